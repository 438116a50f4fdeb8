// Package invariant looks at the world from outside and names every way in which it is wrong: the
// promises I1 to I25, listed by rules. It is pure. It is given plain rows that small
// readers collected (pgfacts, topicfacts, simfacts, mailfacts) and must not know the product: it
// calls none of its packages, so that no rule is checked against the code that keeps it. What it
// knows of the lifecycle, the routing and the derivation is a second copy, written by hand.
package invariant

import "time"

// Facts are what the readers saw. A nil Topic, Cloud or Mailbox was not looked at, and the promises
// that need it are reported as not checked. Ids are texts, states the names of the API.
type Facts struct {
	At time.Time // of the database's snapshot
	// AtRest says that faults are off, every wait is over and no work is queued: then every order
	// counts as at rest. Else Order.AtRest says it of each.
	AtRest bool
	Speed  int // of the installation's clock, which divides every wait of policy; 0 is 1
	// Slack is how late a retry may come beyond its 10 %, for what carries it (queue, commit, request).
	// 0: upper bounds are not checked, only that no retry comes early.
	Slack time.Duration
	// Died says that a process of the installation died: a refusal that it had heard may be lost with
	// it, and its call is then made once more.
	Died bool

	Orders      []Order
	Items       []Item
	Events      []Event
	Outbox      []Outbox
	Payments    []Payment
	Allocations []Allocation
	Refunds     []Refund
	Tasks       []Task
	Parts       []JournalEntry
	Log         []LogLine
	DeadLetters []DeadLetter
	Deliveries  []Delivery
	Checkpoints []Checkpoint
	Audit       []Audit
	Findings    []Finding
	Credentials []Credential
	Answers     []Answer
	Receipts    []Receipt
	Left        []Left
	Rollups     []Rollup
	Days        []Day
	Grants      []Grant

	Topic   *Topic
	Cloud   *Cloud
	Mailbox *Mailbox

	Replays []Replay       // answers seen by a client, where somebody recorded them
	Earlier map[string]int // Counts of an earlier look, to compare with
	Texts   []Text         // further texts to search for secrets: logs, HTTP answers, metrics
}

// Order is a row of orders.
type Order struct {
	Tenant, ID, Number         string
	State, Outcome, Settlement string
	Policy                     string
	Closing                    string // "", cancel or rejected
	Version, LastSeq           int
	Currency                   string
	DueCents                   int64
	Held                       bool
	Expires                    bool
	DeliveryStuck              bool
	CreatedAt, UpdatedAt       time.Time
	AtRest                     bool // has been quiet for long enough
}

// Item is a row of order_items. A removed one was taken off a draft's list.
type Item struct {
	Tenant, Order, ID string
	State, Product    string
	Generation        int
	Snapshot          []byte
	PriceCents        int64
	Removed           bool
}

// Event is a row of order_event.
type Event struct {
	Tenant, Order          string
	Seq                    int
	ID, Type, Actor        string
	At                     time.Time
	Causation, Correlation string
	Traceparent            string
	Data                   []byte
}

// Outbox is something that is not on the topic yet: an event by its number, or a dead letter.
type Outbox struct {
	Tenant, Order string
	Seq           int
	DeadLetter    string
}

// Payment is a row of payments: state confirmed, reverted or refunded (its order was restored).
type Payment struct {
	Tenant, ID, Order   string
	State               string
	Provider, Reference string
	DueCents, PaidCents int64
	Currency            string
	PaidAt              time.Time
}

// Allocation is an item's share of a payment.
type Allocation struct {
	Tenant, Payment, Item string
	Cents                 int64
}

// Refund is a row of refunds: state requested, accepted, completed or stuck.
type Refund struct {
	Tenant, ID, Order, Payment, Item string
	State                            string
	Cents                            int64
	Currency                         string
	AcceptedAt                       time.Time // zero: never
}

func (r Refund) accepted() bool { return r.State == "accepted" || r.State == "completed" }

// Task is a row of saga_tasks: kind validate, provision, refund, deliver, notify, webhook, redrive or
// checkout; state queued, open, stuck or closed.
type Task struct {
	Tenant, ID, Order, Item, Payment, Subject string
	Kind, State                               string
	Compensating                              bool
	Epoch                                     int64
	NextAt                                    time.Time // zero while held
}

func (u Task) live() bool { return u.State == "queued" || u.State == "open" }

// Part is a line of the journal: phase intent, created, ready, deleting or gone.
type JournalEntry struct {
	Tenant, Task, Part string
	Generation         int
	Key, Phase         string
	Refs               []string
}

// LogLine is a line of the saga record.
type LogLine struct {
	Tenant, Order, Task    string
	At                     time.Time
	Part, What, Class, Key string
	Note                   string
}

// Letter is a dead letter: state open, parked, redriven, abandoned or closed.
type DeadLetter struct {
	Tenant, ID, Order, Item, Task string
	Source, Class, Code, Detail   string
	Step                          string
	Attempts                      int
	Hash                          []byte
	State                         string
	At, ClosedAt                  time.Time
	Reason                        string
	AbandonReason, Proof          string // of an abandonment
	FirstBy, SecondBy             string // who signed it
	Consumer                      string // of the source event: who could not apply it
	Seq                           int    // the event's number
}

// Delivery is one mail with an item's credentials: state asked, accepted or failed.
type Delivery struct {
	Tenant, ID, Item, MessageID, State string
}

// Mark is how far a consumer has come with an order.
type Checkpoint struct {
	Tenant, Order, Consumer string
	Seq                     int // the highest applied
	Parked, HeldTo          int // an event that was set aside, and the last heard since; 0: none
}

// heard is how far the consumer has listened: what waits behind a parked event it has not applied.
func (m Checkpoint) heard() int { return max(m.Seq, m.HeldTo) }

// Witness is what the Audit consumer saw on the topic: row N of its tenant's chain.
type Audit struct {
	Tenant        string
	N             int64
	Order         string
	Seq           int
	Event, Type   string
	At, SeenAt    time.Time
	Hash          []byte // SHA-256 of the data
	Topic         string // its id
	Partition     int32
	Offset        int64
	Before, Chain []byte // the chain's hash before this row, and with it
}

// Finding is what the witness found wrong about the topic.
type Finding struct {
	Tenant, Kind, Order, Detail string
	Partition                   int32
	Offset                      int64
}

// Credential says whether an item's access is kept, never what it is.
type Credential struct {
	Tenant, Item string
	Generation   int
	Sealed       bool
}

// Answer is the remembered answer of an idempotency key.
type Answer struct {
	Tenant, Key string
	Status      int
	Body        []byte
}

// Replay is a request that a client sent again under its key, with both answers.
type Replay struct {
	Key          string
	First, Again []byte
}

// Receipt is a row of Billing's ledger: an event that it heard, and what that moved.
type Receipt struct {
	Tenant, Order string
	Seq           int
	Event, Type   string
	Subject       string // the payment or refund; "": no money moves by it
	Cents, Moved  int64
	Currency      string
}

// Left is what Billing found wrong at an order's end.
type Left struct {
	Tenant, Order string
	Seq           int
	Cents         int64
}

// Rollup is a tenant whose figures are kept by day, by the days of its time zone.
type Rollup struct{ Tenant, Zone string }

// Day is an entry of the roll-up: of the orders of a state that were created on that day, or, without a state,
// of the money that moved on it.
type Day struct {
	Tenant, Day, State, Currency string // the day as 2006-01-02
	Amounts                      Amounts
}

// Amounts of a day are its orders, those of them that are paid, and what those ask for; or what was captured
// and refunded, in cents.
type Amounts [3]int64

// Grant is something that a login may do to a table.
type Grant struct {
	Login, Table, Verb string // UPDATE, DELETE or TRUNCATE
}

// Topic is what a read_committed reader sees from the first offset to the end.
type Topic struct {
	Records     []Record // events
	DeadLetters []Record // dead letters; nil: their topic was not read
	// Horizon is the time of the oldest record where the topic no longer begins at its beginning:
	// events before it may have gone by retention. Zero: all is there.
	Horizon time.Time
}

// Record is one record.
type Record struct {
	Partition int32
	Offset    int64
	Key       string
	Headers   []Header
	Value     []byte
}

// Header of a record.
type Header struct{ Key, Value string }

func (r Record) header(key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return ""
}

// Cloud is the provider's own ledger, with the secrets it handed out.
type Cloud struct {
	Live    []Resource
	Log     []Call // in the order in which the calls were carried out
	Secrets []Secret
	// Canaries are texts that stand in secrets alone, such as a prefix that the provider gives them.
	Canaries []string
}

// Resource is something that exists at the provider.
type Resource struct {
	ID, Name, Kind, Phase string // pending, ready, failed or deleting
	Labels                map[string]string
}

// Call is one request that the provider carried out.
type Call struct {
	At        time.Time
	Operation string // create, delete, look, observe, credentials or list
	Key       string // the key's name
	Result    string // a code of the provider
	Fault     string // the scripted fault that acted, if one did
	Effect    bool   // something was made, or began to go
	IDs       []string

	Tenant, Order, Item, Part, Generation string
}

// Secret is what the provider handed out for an item: a JSON document.
type Secret struct {
	Item     string
	Document []byte
}

// Mailbox is what a mail server accepted.
type Mailbox struct{ Mails []Mail }

// Mail is one message as it was sent.
type Mail struct {
	MessageID string // as the header has it
	Raw       []byte
}

// Text is something that must hold no secret.
type Text struct{ Where, Text string }

// Counts are the numbers of rows that never fall (I22).
func (f *Facts) Counts() map[string]int {
	return map[string]int{
		"orders": len(f.Orders), "order_items": len(f.Items), "order_event": len(f.Events), "payments": len(f.Payments),
		"allocations": len(f.Allocations), "refunds": len(f.Refunds), "audit_log": len(f.Audit), "saga_log": len(f.Log),
		"dead_letters": len(f.DeadLetters),
	}
}
