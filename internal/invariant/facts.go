// Package invariant checks an installation from outside. It reports every violation of the promises I1 to I25,
// which rules lists. It is pure: small readers (pgfacts, topicfacts, simfacts, mailfacts) collect plain rows for
// it. It must not know the product and imports none of its packages, so that no rule is checked with the code that
// has to keep it. Lifecycle, routing and derivation are here a second time, written by hand.
package invariant

import "time"

// Facts are what the readers read. A nil Topic, Cloud or Mailbox was not read, and the promises that need it are
// reported as not checked. Ids are strings, and states have their names in the API.
type Facts struct {
	At time.Time // the time of the database's snapshot
	// AtRest says that faults are off, every wait is over and no task is queued. Then every order is at rest.
	// Otherwise Order.AtRest says it for each order.
	AtRest bool
	Speed  int // of the installation's clock, which divides every wait of a policy; 0 means 1
	// Slack is how late a retry may come beyond its 10 %, because of queue, commit and request. If it is 0,
	// upper bounds are not checked, only that no retry comes early.
	Slack time.Duration
	// Died says that a process of the installation crashed. A refusal that it had received may be lost, and then
	// the call is made once more.
	Died bool

	Orders          []Order
	Items           []Item
	Events          []Event
	Outbox          []Outbox
	Payments        []Payment
	Allocations     []Allocation
	Refunds         []Refund
	Tasks           []Task
	Journal         []JournalEntry
	Log             []LogLine
	DeadLetters     []DeadLetter
	Deliveries      []Delivery
	Checkpoints     []Checkpoint
	AuditLog        []AuditEntry
	Findings        []Finding
	Credentials     []Credential
	Answers         []Answer
	Receipts        []Receipt
	BillingFindings []BillingFinding
	Rollups         []Rollup
	Days            []Day
	Grants          []Grant

	Topic   *Topic
	Cloud   *Cloud
	Mailbox *Mailbox

	Replays []Replay       // answers that a client recorded, if one did
	Earlier map[string]int // Counts of an earlier check, for comparison
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
	AtRest                     bool // has not changed for long enough
}

// Item is a row of order_items. A removed item was deleted from a draft.
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

// Outbox is a row of outbox: an event, by its number, or a dead letter that is not on its topic yet.
type Outbox struct {
	Tenant, Order string
	Seq           int
	DeadLetter    string
}

// Payment is a row of payments. Its state is confirmed, reverted or refunded (its order was restored).
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

// Refund is a row of refunds. Its state is requested, accepted, completed or stuck.
type Refund struct {
	Tenant, ID, Order, Payment, Item string
	State                            string
	Cents                            int64
	Currency                         string
	AcceptedAt                       time.Time // zero if it never was
}

func (r Refund) accepted() bool { return r.State == "accepted" || r.State == "completed" }

// Task is a row of saga_tasks. Its kind is validate, provision, refund, deliver, notify, webhook, redrive or
// checkout, and its state queued, open, stuck or closed.
type Task struct {
	Tenant, ID, Order, Item, Payment, Subject string
	Kind, State                               string
	Compensating                              bool
	Epoch                                     int64
	NextAt                                    time.Time // zero while it is on hold
}

func (u Task) live() bool { return u.State == "queued" || u.State == "open" }

// JournalEntry is a row of saga_resources. Its phase is intent, created, ready, deleting or gone.
type JournalEntry struct {
	Tenant, Task, Step string
	Generation         int
	Key, Phase         string
	Refs               []string
}

// LogLine is a row of saga_log.
type LogLine struct {
	Tenant, Order, Task    string
	At                     time.Time
	Step, What, Class, Key string
	Note                   string
}

// DeadLetter is a row of dead_letters. Its state is open, parked, redriven, abandoned or closed.
type DeadLetter struct {
	Tenant, ID, Order, Item, Task string
	Source, Class, Code, Detail   string
	Step                          string
	Attempts                      int
	Hash                          []byte
	State                         string
	At, ClosedAt                  time.Time
	Reason                        string
	AbandonReason, Proof          string // if it was abandoned
	FirstBy, SecondBy             string // who signed the abandonment
	Consumer                      string // the consumer that could not apply the event, if it is about one
	Seq                           int    // the event's number
}

// Delivery is one mail with an item's credentials. Its state is asked, accepted or failed.
type Delivery struct {
	Tenant, ID, Item, MessageID, State string
}

// Checkpoint is how far a consumer has come with an order: a row of inbox.
type Checkpoint struct {
	Tenant, Order, Consumer string
	Seq                     int // the highest applied
	Parked, BlockedTo       int // the parked event, and the last one that is blocked behind it; 0: none
}

// reached returns the last event that the consumer has applied, parked or blocked.
func (m Checkpoint) reached() int { return max(m.Seq, m.BlockedTo) }

// AuditEntry is entry N in its tenant's chain of the audit log, which records what the Audit consumer saw on the
// topic.
type AuditEntry struct {
	Tenant        string
	N             int64
	Order         string
	Seq           int
	Event, Type   string
	At, SeenAt    time.Time
	Hash          []byte // SHA-256 of the data
	Topic         string // the topic's id
	Partition     int32
	Offset        int64
	Before, Chain []byte // the hash of the entry before, and of this one
}

// Finding is a fault of the topic that the Audit consumer found.
type Finding struct {
	Tenant, Kind, Order, Detail string
	Partition                   int32
	Offset                      int64
}

// Credential says whether an item's credentials are stored, never what they are.
type Credential struct {
	Tenant, Item string
	Generation   int
	Sealed       bool
}

// Answer is the stored answer of an idempotency key.
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

// Receipt is a row of Billing's ledger: an event that it received, and the amount that the event moved.
type Receipt struct {
	Tenant, Order string
	Seq           int
	Event, Type   string
	Subject       string // the payment or refund; "" if the event moves no money
	Cents, Moved  int64
	Currency      string
}

// BillingFinding is an amount that Billing found unbalanced at an order's end.
type BillingFinding struct {
	Tenant, Order string
	Seq           int
	Cents         int64
}

// Rollup is a tenant whose figures are kept by the days of its time zone.
type Rollup struct{ Tenant, Zone string }

// Day is an entry of the roll-up. With a state it counts the orders in this state that were created on the day;
// without one it sums the money that moved on the day.
type Day struct {
	Tenant, Day, State, Currency string // the day as 2006-01-02
	Amounts                      Amounts
}

// Amounts are a day's orders, the paid ones among them, and the amount due for the paid ones in cents; or the
// captured and the refunded cents.
type Amounts [3]int64

// Grant is a privilege of a login on a table.
type Grant struct {
	Login, Table, Privilege string // UPDATE, DELETE or TRUNCATE
}

// Topic is what a read_committed reader reads from the first offset to the end.
type Topic struct {
	Records     []Record // events
	DeadLetters []Record // dead letters; nil if their topic was not read
	// Horizon is the time of the oldest record if the topic's retention has removed records. Events before it may
	// be missing. It is zero if the topic is complete.
	Horizon time.Time
}

// Record is one record of a topic.
type Record struct {
	Partition int32
	Offset    int64
	Key       string
	Headers   []Header
	Value     []byte
}

// Header is a header of a record.
type Header struct{ Key, Value string }

func (r Record) header(key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return ""
}

// Cloud is the provider's own ledger, with the secrets that it issued.
type Cloud struct {
	Live    []Resource
	Log     []Call // in the order in which the calls were carried out
	Secrets []Secret
	// Canaries are texts that occur only in secrets, such as a prefix that the provider gives them.
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
	Effect    bool   // something was created or began to be removed
	IDs       []string

	Tenant, Order, Item, Step, Generation string
}

// Secret is the JSON document that the provider issued for an item.
type Secret struct {
	Item     string
	Document []byte
}

// Mailbox is what a mail server accepted.
type Mailbox struct{ Mails []Mail }

// Mail is one message as it was sent.
type Mail struct {
	MessageID string // as in the header
	Raw       []byte
}

// Text is something that must hold no secret.
type Text struct{ Where, Text string }

// Counts returns the numbers of rows of the tables that never lose any (I22).
func (f *Facts) Counts() map[string]int {
	return map[string]int{
		"orders": len(f.Orders), "order_items": len(f.Items), "order_event": len(f.Events), "payments": len(f.Payments),
		"allocations": len(f.Allocations), "refunds": len(f.Refunds), "audit_log": len(f.AuditLog), "saga_log": len(f.Log),
		"dead_letters": len(f.DeadLetters),
	}
}
