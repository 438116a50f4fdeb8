package kafka

// Grant is one access control entry that a principal of the product needs at a broker. Only the relay
// may write events. Creating the topics and a rebuild need an administrator's rights.
type Grant struct {
	Who        string // "relay", or "readers": consumers and the processes that serve streams
	Resource   string // "topic", "group" or "transactional-id"
	Name       string
	Prefix     bool     // Name is the prefix of the resources' names
	Operations []string // by Kafka's names
}

// Grants lists exactly the rights that the product needs at a broker. groups are the consumer groups
// of the readers.
func (n Names) Grants(groups ...string) []Grant {
	list := []Grant{
		{"relay", "topic", n.Events, true, []string{"DESCRIBE", "WRITE"}}, // dead letters too
		{"relay", "topic", n.Positions, false, []string{"READ"}},
		{"relay", "transactional-id", n.Relay, true, []string{"DESCRIBE", "WRITE"}},
		{"readers", "topic", n.Events, false, []string{"DESCRIBE", "READ"}},
	}
	for _, g := range groups {
		list = append(list, Grant{"readers", "group", g, false, []string{"DESCRIBE", "READ"}})
	}
	return list
}
