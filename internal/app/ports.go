package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Clock is the time of the process. Speed divides every wait of a policy, such as a backoff, a deadline or a poll
// interval. It is 1 except in dev and in tests, where it makes a demo take seconds.
type Clock interface {
	Now() time.Time
	Speed() int
}

// Store is the database, as one login sees it. All writes go through InTenant.
type Store interface {
	// InTenant runs fn in a transaction for one tenant and commits it when fn returns nil. The reads of fn are
	// the first round trip; its queued writes and the commit are the second. fn may run twice, after a
	// serialization failure, so it must have no side effect outside tx.
	InTenant(ctx context.Context, t tenant.ID, with With, fn func(tx Tx) error) error

	// Each read takes one round trip and no lock. A row that is absent or another tenant's is fault.Absent().

	Order(ctx context.Context, t tenant.ID, o order.ID) (*Aggregate, error)
	Orders(ctx context.Context, t tenant.ID, f OrderFilter) (Page[*Aggregate], error)
	Events(ctx context.Context, t tenant.ID, o order.ID, after, limit int) ([]event.Record, error)
	Saga(ctx context.Context, t tenant.ID, o order.ID) (SagaRecord, error)
	DeadLetters(ctx context.Context, t tenant.ID, f DeadLetterFilter) (Page[DeadLetter], error)
	DeadLetter(ctx context.Context, t tenant.ID, d id.Of[DeadLetter]) (DeadLetter, error)
	DeadLetterGroups(ctx context.Context, t tenant.ID, f DeadLetterFilter) ([]DeadLetterGroup, error)
	// WorkItems reads the accepted refunds of the payment providers whose refunds are transferred by hand.
	WorkItems(ctx context.Context, t tenant.ID, byHand []string, cursor string, limit int) (Page[WorkItem], error)
	// OrderStats reads the figures from the roll-up, or from the tables for a tenant that is not counted yet.
	OrderStats(ctx context.Context, t tenant.ID, now time.Time) (OrderStats, error)
	Settings(ctx context.Context, t tenant.ID) (Settings, error)
	Member(ctx context.Context, t tenant.ID, m tenant.MemberID) (Member, error)
	// Rate returns the newest exchange rate from EUR, or nil when none is set. EUR itself has none.
	Rate(ctx context.Context, cur money.Currency) (*order.FX, error)
	Deliveries(ctx context.Context, t tenant.ID, o order.ID) ([]Delivery, error)

	WebhookEndpointStore
	CheckpointStore
}

// With is what a transaction does in its first round trip, before anything is decided.
type With struct {
	// Key is looked up. When it was used before with the same request, InTenant returns *Replayed.
	Key *IdempotencyKey
	// Inbox moves a consumer's checkpoint. InTenant returns ErrDuplicate when the event was applied before, and
	// ErrBlocked when the event is behind a parked one.
	Inbox *InboxPosition
}

// InboxPosition is the event of an order that a consumer is about to apply.
type InboxPosition struct {
	Consumer string
	Order    order.ID
	Seq      int
}

// Tx is one transaction. Reads happen at once. Writes are queued and sent with the commit, so they return nothing; a
// use case reads first whatever it decides by.
type Tx interface {
	// Now returns the one time of the transaction.
	Now() time.Time
	// LockOrder locks an order's row and reads its aggregate. It is fault.Absent() when there is no such order.
	LockOrder(ctx context.Context, o order.ID, also Also) (*Aggregate, error)
	// Prepare reads what the creation of an order needs.
	Prepare(ctx context.Context, n NewOrder) (Prepared, error)
	// Begin does what With asks for, for a use case that reads nothing else.
	Begin(ctx context.Context) error

	// Insert queues a new order with its items and events.
	Insert(agg *Aggregate)
	// Save queues what changed in the aggregate since LockOrder: the order (checked against its old version),
	// items, payments, refunds, tasks, resources, dead letters and everything in Added. An item that is no longer
	// in the list is marked removed (D27). An order that did not change is not written.
	Save(agg *Aggregate)
	// AddTask queues a task without the order's lock.
	AddTask(task fulfil.Task)
	// PutSettings queues the tenant's settings.
	PutSettings(s Settings)
	// PutDeliveryKey queues a member's OpenPGP key; nil removes it.
	PutDeliveryKey(m tenant.MemberID, key []byte)
	// Remember queues the answer of the idempotency key.
	Remember(a Answer)
	// Discard drops all writes that are queued so far.
	Discard()

	// Ledger returns the sum of Billing's receipts of an order: received minus refunded.
	Ledger(ctx context.Context, o order.ID) (money.Cents, error)

	WebhookEndpointTx
	CheckpointTx
}

// Aggregate is an order with everything that changes together with it. It is read under the order's lock,
// changed in memory by a use case and written back as a whole.
type Aggregate struct {
	Order     *order.Order
	Tasks     []fulfil.Task     // all tasks of the order, closed ones too
	Resources []fulfil.Resource // when Also asks for them
	Settings  Settings
	Customer  Member
	// KnownPayments are those that already have the reference in Also, at most one of each payment provider in Also.
	KnownPayments []KnownPayment
	// DeadLetters are the order's open dead letters.
	DeadLetters []DeadLetter
	// DeadLetter is the one that Also names, open or not.
	DeadLetter DeadLetter
	// Signers are the members that Also asks for, without those whose rights were revoked.
	Signers []Member
	// Deliveries are those of the order's items, newest first, when Also asks for them.
	Deliveries []Delivery
	// LastLine is the highest line number ever used, by removed items too, because a number is not used twice.
	LastLine int

	Added Added
}

// Added holds the rows that a use case adds to an order.
type Added struct {
	Events      []event.Record
	Log         []LogEntry
	DeadLetters []DeadLetter
	Credentials []SealedCredential
	Destroyed   []order.ItemID // items whose sealed credentials are set to NULL (D9)
	Deliveries  []Delivery
	Incidents   []Incident
	Receipts    []Receipt
	Findings    []BillingFinding
}

// Also says what LockOrder reads besides the order.
type Also struct {
	Resources        bool
	Deliveries       bool
	PaymentProviders []string
	PaymentReference string
	DeadLetter       id.Of[DeadLetter] // find the order by this dead letter; the order's id may be zero then
	Signer           tenant.MemberID   // with DeadLetter: read this member, and the first signer of its abandonment
}

// KnownPayment is the payment that used a reference before.
type KnownPayment struct {
	Order    order.ID
	Payment  order.PaymentID
	State    order.PaymentState
	Provider string
}

// NewOrder describes an order that is about to be created.
type NewOrder struct {
	Customer   tenant.MemberID
	ExternalID string
}

// Prepared is what the creation of an order needs to know.
type Prepared struct {
	Settings        Settings
	Customer        Member    // zero when there is no such member
	ExternalIDTaken order.ID  // the order that has the external id; zero when none has
	Rate            *order.FX // from EUR to the tenant's currency; nil when none is set or needed
}

// Member is a member of a tenant.
type Member struct {
	ID          tenant.MemberID
	Role        tenant.Role
	Subject     string
	Email       string
	DeliveryKey []byte // OpenPGP public key, binary
}

// Settings are the settings of a tenant, with defaults filled in. The comments of the members are their
// descriptions in docs/configuration.md.
type Settings struct {
	Tenant         tenant.ID      `json:"-"`
	Slug           string         `json:"-"`
	Version        int            `json:"-"`
	Name           string         `json:"name"`                    // shown on the pages and in mails
	Currency       money.Currency `json:"currency"`                // of new orders
	TimeZone       string         `json:"time_zone"`               // of times and days, such as Europe/Ljubljana
	PaymentMethod  string         `json:"payment_method"`          // default of submit (D28)
	SafetyWindow   int            `json:"safety_window"`           // seconds before validation begins (D12)
	PaymentDueDays int            `json:"payment_due_days"`        // default 14
	QuoteValidDays int            `json:"quote_valid_days"`        // default 30 (D8)
	SingleCycle    bool           `json:"single_cycle"`            // all items of an order share a billing cycle (D15)
	RequireKey     bool           `json:"require_idempotency_key"` // writes of the API without one are refused
	Language       string         `json:"language"`                // of mails: en, de or sl
	BrandColor     string         `json:"brand_color"`             // of buttons and links, as #rrggbb
	BrandContrast  string         `json:"brand_contrast"`          // of text on the brand colour, as #rrggbb
}

// LogEntry is an entry of the saga log.
type LogEntry struct {
	ID    int64 // set when read
	Task  fulfil.TaskID
	At    time.Time
	Step  string
	What  LogWhat
	Class fault.Class
	Key   string
	Note  string
	Took  time.Duration
	Next  time.Time // when the next retry is due
}

// LogWhat is the kind of a LogEntry; the numbers are stored.
type LogWhat uint8

// The kinds of entry.
const (
	LogIntent       LogWhat = 1
	LogAnswer       LogWhat = 2
	LogCompensating LogWhat = 3 // the compensation starts
	LogDecision     LogWhat = 4 // by a person or another task
)

// String returns the name used in the saga log.
func (w LogWhat) String() string {
	return [...]string{"", "intent", "answer", "compensating", "decision"}[w]
}

// SagaRecord holds all tasks of an order with their resources and log entries.
type SagaRecord struct {
	Order     *order.Order
	Tasks     []fulfil.Task
	Resources []fulfil.Resource
	Log       []LogEntry
}

// DeadLetter is work that needs a person. A step that failed before an item's compensation has one too; it is
// closed when the compensation ends.
type DeadLetter struct {
	ID            id.Of[DeadLetter]
	Order         order.ID
	Item          order.ItemID
	Task          fulfil.TaskID
	Source        string // event, step, refund, mail
	Class         fault.Class
	Code          string // cause: step-failed, compensation-exhausted, refund-failed, delivery-failed, …
	Detail        string // in our own words
	Step          string
	Attempts      int
	PayloadSHA256 [32]byte
	State         DeadLetterState
	FirstFailedAt time.Time
	At            time.Time
	ClosedAt      *time.Time
	Reason        string
	Abandonment   Abandonment // zero until somebody asks for it
	Event         ParkedEvent // set when Source is event
}

// DeadLetterState is the state of a dead letter; the numbers are stored.
type DeadLetterState uint8

// The states of a dead letter.
const (
	DeadLetterOpen      DeadLetterState = 0
	DeadLetterParked    DeadLetterState = 1
	DeadLetterRedriven  DeadLetterState = 2
	DeadLetterAbandoned DeadLetterState = 3
	DeadLetterClosed    DeadLetterState = 4
)

// String returns the name used in the API.
func (s DeadLetterState) String() string {
	return [...]string{"open", "parked", "redriven", "abandoned", "closed"}[s]
}

// DeadLetterFilter selects dead letters.
type DeadLetterFilter struct {
	State  *DeadLetterState
	Cause  string       // the code; "": any
	Class  *fault.Class // nil: any
	Order  order.ID
	Cursor string
	Limit  int
}

// WorkItem is an accepted refund that an operator transfers by hand and marks done (D4).
type WorkItem struct {
	Refund    order.Refund
	Order     order.ID
	Number    string
	Reference string // of the payment
	Since     time.Time
}

// SealedCredential holds the sealed credentials of an item.
type SealedCredential struct {
	Item       order.ItemID
	Generation int
	Sealed     []byte
}

// Delivery is a mail with an item's credentials.
type Delivery struct {
	ID               id.Of[Delivery]
	Item             order.ItemID
	PassphraseSealed []byte // set on write; only the portal's login reads it
	HasPassphrase    bool   // set on read; it was not shown yet
	MessageID        string
	Recipient        string
	State            DeliveryState
	At               time.Time
}

// DeliveryState is the state of a delivery; the numbers are stored.
type DeliveryState uint8

// The states of a delivery.
const (
	DeliveryAsked    DeliveryState = 1
	DeliveryAccepted DeliveryState = 2
	DeliveryFailed   DeliveryState = 3
)

// String returns the name used on pages.
func (s DeliveryState) String() string { return [...]string{"", "asked", "accepted", "failed"}[s] }

// OrderFilter selects orders, newest first.
type OrderFilter struct {
	Customer      tenant.MemberID // zero: all customers of the tenant
	State         order.State     // zero: any
	Outcome       *order.Outcome
	Settlement    *order.Settlement
	Product       string
	CreatedAfter  time.Time
	CreatedBefore time.Time
	Reference     string // of a payment
	Query         string // prefix of number, external id or label
	Deleted       bool   // include deleted ones
	Cursor        string // opaque, from Page.Next
	Limit         int    // 1 to 100
}

// Page is one page of a list. Next is the cursor of the next page, "" on the last one.
type Page[T any] struct {
	Data []T
	Next string
}

// CatalogSource returns the catalogue as it is sold now.
type CatalogSource interface {
	Catalog(ctx context.Context) (*catalog.Catalog, error)
}

// Sealer seals an item's credentials and passphrases for a tenant.
type Sealer interface {
	Seal(ctx context.Context, s Sealing, plaintext []byte) ([]byte, error)
}

// Sealing names what is sealed. It is the associated data of the cipher, so a value can be opened only under the
// name that it was sealed for.
type Sealing struct {
	Tenant     tenant.ID
	Order      order.ID
	Item       order.ItemID
	Kind       string // "credential", or "passphrase:" and the delivery's id
	Generation int
}

// CredentialReader opens an item's credentials and logs the access. Only the delivery login may.
type CredentialReader interface {
	Open(ctx context.Context, s Sealing, why, recipient string) (plaintext []byte, err error)
}

// Mailer sends mail.
type Mailer interface {
	SendDelivery(ctx context.Context, m DeliveryMail) error
	SendNotice(ctx context.Context, m Notice) error
	// Class returns the class of an error that SendDelivery or SendNotice returned.
	Class(err error) fault.Class
	// NewPassphrase draws a one-time passphrase.
	NewPassphrase() (string, error)
	// CheckKey parses an OpenPGP public key and checks that mail can be encrypted to it at now.
	CheckKey(armored []byte, now time.Time) (KeyInfo, error)
}

// DeliveryMail is a mail with one item's credentials, which the Mailer encrypts.
type DeliveryMail struct {
	To         string
	MessageID  string // without the domain; one per task and try
	At         time.Time
	PublicKey  []byte // OpenPGP; empty for a password-encrypted attachment
	Passphrase string // when there is no key
	Secret     []byte // JSON document
	Language   notice.Language
	Brand      string

	OrderNumber, Service, PortalURL string // in the encrypted part or in the plain instructions
	Line                            int    // of the item; with Title it distinguishes deliveries
	Title                           string // of the product

	Simulated bool
}

// Notice is an unencrypted mail. It holds no credentials.
type Notice struct {
	To, MessageID string
	At            time.Time
	Brand         string
	notice.Mail
}

// KeyInfo describes an OpenPGP public key.
type KeyInfo struct {
	Fingerprint string
	UserIDs     []string
	Expires     *time.Time
	Binary      []byte
}

// PassphraseReader returns a delivery's one-time passphrase and deletes it. Only the portal's login may.
type PassphraseReader interface {
	TakePassphrase(ctx context.Context, t tenant.ID, o order.ID, d id.Of[Delivery]) (string, error)
}

// Accounts finds the actor of an API key, before a tenant is known.
type Accounts interface {
	// FindActor returns the member whose API key has this SHA-256. It is a fault of KindUnauthenticated when the
	// key is unknown, expired or revoked.
	FindActor(ctx context.Context, hash [32]byte) (tenant.Actor, error)
}

// PaymentWebhookStore stores the payment webhooks as they arrived. Their event ids stay unique for ever.
type PaymentWebhookStore interface {
	// KeepPaymentWebhook stores a webhook; the same event id again changes nothing.
	KeepPaymentWebhook(ctx context.Context, w PaymentWebhook) error
	// OpenPaymentWebhooks lists webhooks that are not processed yet, oldest first.
	OpenPaymentWebhooks(ctx context.Context, limit int) ([]PaymentWebhook, error)
	// FinishPaymentWebhook marks a webhook as processed.
	FinishPaymentWebhook(ctx context.Context, provider, eventID string, at time.Time) error
}

// PaymentWebhook is a payment provider's message as it arrived.
type PaymentWebhook struct {
	Provider, EventID string
	Headers           map[string][]string
	Raw               []byte
	ReceivedAt        time.Time
}

// Tasks is the part of the store that only the worker's login uses.
type Tasks interface {
	// Load reads the aggregate of a task without a lock. It is fault.Absent() when there is no such task.
	Load(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (*Aggregate, error)
	// ExpiredOrders lists unpaid orders whose payment is overdue at now, of all tenants.
	ExpiredOrders(ctx context.Context, now time.Time, limit int) ([]OrderRef, error)
}

// WorkSource is where the feeder finds due tasks, of all tenants at once. It returns a few per tenant, so that a
// tenant with many tasks does not hide another tenant's only one.
type WorkSource interface {
	// DueTasks lists the tasks of a queue that are due and in state s, compensating ones first, at most perTenant
	// for each tenant.
	DueTasks(ctx context.Context, queue string, s fulfil.TaskState, now time.Time, perTenant int) ([]TaskRef, error)
	// MarkOpen moves queued tasks to open, once their jobs are inserted. It leaves other tasks alone.
	MarkOpen(ctx context.Context, tasks []TaskRef) error
}

// TaskRef names a task of a tenant.
type TaskRef struct {
	Tenant tenant.ID
	Task   fulfil.TaskID
}

// OrderRef names an order of a tenant.
type OrderRef struct {
	Tenant tenant.ID
	Order  order.ID
}

// Notifier wakes the feeder and the relay of this process after a commit. A lost wake-up only delays the work
// until the next poll.
type Notifier interface{ Notify() }
