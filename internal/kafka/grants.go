package kafka

// Grant is what one of our principals may do on a broker that enforces access control lists: nobody else
// writes events. Who creates the topics, and who rebuilds, needs an administrator's rights.
type Grant struct {
	Who        string // "relay", or "readers": consumers and the processes that serve streams
	Resource   string // "topic", "group" or "transactional-id"
	Name       string
	Prefix     bool     // Name is the beginning of all that is meant
	Operations []string // by Kafka's names
}

// Grants lists every right that the product needs at a broker and no other. Groups are the readers' consumer groups.
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
