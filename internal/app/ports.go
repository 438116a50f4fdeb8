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

// Clock tells the time. Speed divides every wait of policy (backoff, deadline, poll): 1 but in dev
// and in tests, so that a demo takes seconds.
type Clock interface {
	Now() time.Time
	Speed() int
}

// Store is a database login as the use cases see it. Writes go through InTenant alone.
type Store interface {
	// InTenant opens a transaction for one tenant and commits it when fn returns nil. fn's reads are
	// the first round trip, its queued writes and the commit the second. fn may run twice
	// (serialization failure): it has no side effect outside tx.
	InTenant(ctx context.Context, t tenant.ID, with With, fn func(tx Tx) error) error

	// Reads: one round trip each, no lock. Absent or another tenant's is fault.Absent().
	Order(ctx context.Context, t tenant.ID, o order.ID) (*Aggregate, error)
	Orders(ctx context.Context, t tenant.ID, f OrderFilter) (Page[*Aggregate], error)
	Events(ctx context.Context, t tenant.ID, o order.ID, after, limit int) ([]event.Record, error)
	Saga(ctx context.Context, t tenant.ID, o order.ID) (SagaRecord, error)
	DeadLetters(ctx context.Context, t tenant.ID, f DeadLetterFilter) (Page[DeadLetter], error)
	DeadLetter(ctx context.Context, t tenant.ID, d id.Of[DeadLetter]) (DeadLetter, error)
	DeadLetterGroups(ctx context.Context, t tenant.ID, f DeadLetterFilter) ([]DeadLetterGroup, error)
	WorkItems(ctx context.Context, t tenant.ID, cursor string, limit int) (Page[WorkItem], error)
	// OrderStats reads the figures from the roll-up; of a tenant that was not counted yet, from the tables.
	OrderStats(ctx context.Context, t tenant.ID, now time.Time) (OrderStats, error)
	Settings(ctx context.Context, t tenant.ID) (Settings, error)
	Member(ctx context.Context, t tenant.ID, m tenant.MemberID) (Member, error)
	// Rate is the newest exchange rate from EUR; nil when none is set. EUR itself has none.
	Rate(ctx context.Context, cur money.Currency) (*order.FX, error)
	Deliveries(ctx context.Context, t tenant.ID, o order.ID) ([]Delivery, error)

	WebhookEndpointStore
	CheckpointStore
}

// With rides along with a transaction's first round trip.
type With struct {
	Key *IdempotencyKey // looked up before anything is decided; a hit ends fn with *Replayed
	// a consumer's row, moved in the same transaction; a duplicate ends fn with ErrDuplicate, what waits behind
	// a parked event with ErrBlocked
	Inbox *InboxPosition
}

// InboxPosition is how far a consumer has come with an order.
type InboxPosition struct {
	Consumer string
	Order    order.ID
	Seq      int
}

// Tx is one transaction. Reads return at once; writes are queued and flushed with the commit, so they
// return nothing: what needs an answer is read first.
type Tx interface {
	// Now is the transaction's one moment.
	Now() time.Time
	// LockOrder locks an order's row and reads everything that moves with it. fault.Absent() when it
	// is not there.
	LockOrder(ctx context.Context, o order.ID, also Also) (*Aggregate, error)
	// Prepare reads what creating an order needs.
	Prepare(ctx context.Context, n NewOrder) (Prepared, error)
	// Begin runs With's look-ups when a use case needs nothing else read.
	Begin(ctx context.Context) error

	// Insert queues a new order with its items and events.
	Insert(agg *Aggregate)
	// Save queues what changed in the aggregate since LockOrder: the order row (guarded by its old
	// version, and left alone when nothing of it changed), items (one that is gone from the list is
	// marked removed, D27), payments, refunds, tasks, parts, letters, and everything in Added.
	Save(agg *Aggregate)
	// AddTask queues a task outside a aggregate's order lock (notify).
	AddTask(task fulfil.Task)
	// PutSettings queues the tenant's settings; PutDeliveryKey a member's OpenPGP key (nil removes it).
	PutSettings(s Settings)
	PutDeliveryKey(m tenant.MemberID, key []byte)
	// Remember queues the answer of the idempotency key; Discard forgets all writes queued so far.
	Remember(a Answer)
	Discard()

	// Ledger is what Billing's receipts of an order come to: received - given back.
	Ledger(ctx context.Context, o order.ID) (money.Cents, error)

	WebhookEndpointTx
	CheckpointTx
}

// Aggregate is an order with everything that moves with it: read together under the order's lock,
// changed in memory by a use case, written back together.
type Aggregate struct {
	Order     *order.Order
	Tasks     []fulfil.Task     // all tasks of the order, closed ones too
	Resources []fulfil.Resource // when asked for
	Settings  Settings
	Customer  Member
	// KnownPayment is the payment that already carries the reference asked for in Also.
	KnownPayment *KnownPayment
	// Letters are the order's open dead letters.
	DeadLetters []DeadLetter
	// Letter is the dead letter asked for in Also, open or not.
	DeadLetter DeadLetter
	// Signers are the members asked for in Also, as far as they have rights still.
	Signers []Member
	// Deliveries of the order's items, newest first, when asked for.
	Deliveries []Delivery
	// LastLine is the highest line ever used, removed items included: a line is never given twice.
	LastLine int

	Added Added
}

// Added is what a use case adds to an order besides changing it.
type Added struct {
	Events      []event.Record
	Log         []LogEntry
	DeadLetters []DeadLetter
	Credentials []SealedCredential
	Destroyed   []order.ItemID // whose sealed credentials are nulled (D9)
	Deliveries  []Delivery
	Incidents   []Incident
	Receipts    []Receipt
	Findings    []BillingFinding
}

// Also asks LockOrder for more.
type Also struct {
	Resources        bool
	Deliveries       bool
	PaymentProvider  string
	PaymentReference string
	DeadLetter       id.Of[DeadLetter] // find the order by a dead letter of it; the order's id is not needed then
	Signer           tenant.MemberID   // with Letter: read this member, and who asked to abandon it first
}

// KnownPayment is where a reference was used before.
type KnownPayment struct {
	Order   order.ID
	Payment order.PaymentID
	State   order.PaymentState
}

// NewOrder says what is about to be created.
type NewOrder struct {
	Customer   tenant.MemberID
	ExternalID string
}

// Prepared is what creating an order needs to know.
type Prepared struct {
	Settings        Settings
	Customer        Member    // zero when there is no such member
	ExternalIDTaken order.ID  // zero when free
	Rate            *order.FX // from EUR to the tenant's currency; nil when none is set or needed
}

// Member of a tenant.
type Member struct {
	ID          tenant.MemberID
	Role        tenant.Role
	Subject     string
	Email       string
	DeliveryKey []byte // OpenPGP public key, binary
}

// Settings of a tenant, with their defaults filled in.
type Settings struct {
	Tenant         tenant.ID      `json:"-"`
	Slug           string         `json:"-"`
	Version        int            `json:"-"`
	Name           string         `json:"name"`
	Currency       money.Currency `json:"currency"`
	TimeZone       string         `json:"time_zone"`
	PaymentMethod  string         `json:"payment_method"`   // default of submit (D28)
	SafetyWindow   int            `json:"safety_window"`    // seconds before validation begins (D12)
	PaymentDueDays int            `json:"payment_due_days"` // default 14
	QuoteValidDays int            `json:"quote_valid_days"` // default 30 (D8)
	SingleCycle    bool           `json:"single_cycle"`     // D15
	RequireKey     bool           `json:"require_idempotency_key"`
	Language       string         `json:"language"` // of mails: en, de or sl
	BrandColor     string         `json:"brand_color"`
	BrandContrast  string         `json:"brand_contrast"`
}

// LogEntry is a line of the saga record.
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
	Next  time.Time // of a retry: when
}

// LogWhat is what a line tells; the numbers are stored.
type LogWhat uint8

// The kinds of line.
const (
	LogIntent       LogWhat = 1
	LogAnswer       LogWhat = 2
	LogCompensating LogWhat = 3 // turned back
	LogDecision     LogWhat = 4 // by a person or another task
)

// String is the name used in the saga record.
func (w LogWhat) String() string {
	return [...]string{"", "intent", "answer", "compensating", "decision"}[w]
}

// SagaRecord is all of an order's tasks with their lines.
type SagaRecord struct {
	Order     *order.Order
	Tasks     []fulfil.Task
	Resources []fulfil.Resource
	Log       []LogEntry
}

// DeadLetter is work that needs a person; a failed step of an item that is going back is written too
// and closed with it.
type DeadLetter struct {
	ID            id.Of[DeadLetter]
	Order         order.ID
	Item          order.ItemID
	Task          fulfil.TaskID
	Source        string // event, step, refund, mail
	Class         fault.Class
	Code          string // cause: step-failed, compensation-exhausted, refund-failed, delivery-failed, …
	Detail        string // our own words
	Step          string
	Attempts      int
	PayloadSHA256 [32]byte
	State         DeadLetterState
	FirstFailedAt time.Time
	At            time.Time
	ClosedAt      *time.Time
	Reason        string
	Abandonment   Abandonment // zero until somebody asked for it
	Event         ParkedEvent // of the source event
}

// DeadLetterState of a dead letter; the numbers are stored.
type DeadLetterState uint8

// The states.
const (
	DeadLetterOpen      DeadLetterState = 0
	DeadLetterParked    DeadLetterState = 1
	DeadLetterRedriven  DeadLetterState = 2
	DeadLetterAbandoned DeadLetterState = 3
	DeadLetterClosed    DeadLetterState = 4
)

// String is the name used in the API.
func (s DeadLetterState) String() string {
	return [...]string{"open", "parked", "redriven", "abandoned", "closed"}[s]
}

// DeadLetterFilter selects dead letters.
type DeadLetterFilter struct {
	State  *DeadLetterState
	Cause  string       // its code; "": any
	Class  *fault.Class // nil: any
	Order  order.ID
	Cursor string
	Limit  int
}

// WorkItem is a refund that a payment provider without an interface has accepted: an operator moves
// the money by hand and marks it done.
type WorkItem struct {
	Refund    order.Refund
	Order     order.ID
	Number    string
	Reference string // of the payment
	Since     time.Time
}

// SealedCredential is an item's sealed access.
type SealedCredential struct {
	Item       order.ItemID
	Generation int
	Sealed     []byte
}

// Delivery is one mail with an item's credentials.
type Delivery struct {
	ID               id.Of[Delivery]
	Item             order.ItemID
	PassphraseSealed []byte // set when written; only the portal's login reads it
	HasPassphrase    bool   // set when read: it was not shown yet
	MessageID        string
	Recipient        string
	State            DeliveryState
	At               time.Time
}

// DeliveryState of a delivery; the numbers are stored.
type DeliveryState uint8

// The states.
const (
	DeliveryAsked    DeliveryState = 1
	DeliveryAccepted DeliveryState = 2
	DeliveryFailed   DeliveryState = 3
)

// String is the name used on pages.
func (s DeliveryState) String() string { return [...]string{"", "asked", "accepted", "failed"}[s] }

// OrderFilter selects orders, newest first.
type OrderFilter struct {
	Customer      tenant.MemberID // zero: all of the tenant
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

// Page of a list; Next is "" on the last one.
type Page[T any] struct {
	Data []T
	Next string
}

// CatalogSource gives the catalogue as it is sold now.
type CatalogSource interface {
	Catalog(ctx context.Context) (*catalog.Catalog, error)
}

// Sealer seals and opens an item's credentials for a tenant; who may open is the database's wall.
type Sealer interface {
	Seal(ctx context.Context, s Sealing, plaintext []byte) ([]byte, error)
}

// Sealing names what is sealed. It is the associated data of the cipher, so a value opens in its place only.
type Sealing struct {
	Tenant     tenant.ID
	Order      order.ID
	Item       order.ItemID
	Kind       string // credential or passphrase
	Generation int
}

// CredentialReader opens an item's credentials, as the delivery login alone may, and logs the access.
type CredentialReader interface {
	Open(ctx context.Context, s Sealing, why, recipient string) (plaintext []byte, err error)
}

// Mailer sends mail. Its errors are classified by Class.
type Mailer interface {
	SendDelivery(ctx context.Context, m DeliveryMail) error
	SendNotice(ctx context.Context, m Notice) error
	// Class of an error of the two.
	Class(err error) fault.Class
	// NewPassphrase draws a one-time passphrase.
	NewPassphrase() (string, error)
	// CheckKey reads an OpenPGP public key for upload.
	CheckKey(armored []byte, now time.Time) (KeyInfo, error)
}

// DeliveryMail is one item's encrypted credentials for its customer.
type DeliveryMail struct {
	To         string
	MessageID  string // left side only; deterministic per delivery and attempt
	At         time.Time
	PublicKey  []byte // OpenPGP; empty: a password-encrypted attachment
	Passphrase string // when there is no key
	Secret     []byte // JSON document
	Language   notice.Language
	Brand      string

	OrderNumber, Service, PortalURL string // stand inside the encryption or in the plain instructions
	Line                            int    // of the item; with Title it tells deliveries apart
	Title                           string // of the product

	Simulated bool
}

// Notice is a mail in the clear, without any credential.
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

// PassphraseReader takes a delivery's one-time passphrase, once: the second time it is gone. Only the
// portal's login may.
type PassphraseReader interface {
	TakePassphrase(ctx context.Context, t tenant.ID, o order.ID, d id.Of[Delivery]) (string, error)
}

// Accounts finds who presents a key, before a tenant is known.
type Accounts interface {
	// FindActor reads the member behind the SHA-256 of a key; fault of KindUnauthenticated when it is
	// unknown, expired or revoked.
	FindActor(ctx context.Context, hash [32]byte) (tenant.Actor, error)
}

// PaymentWebhookStore keeps payment webhooks raw, unique by event id for ever, until they are processed.
type PaymentWebhookStore interface {
	// KeepPaymentWebhook stores one; the same event id again changes nothing.
	KeepPaymentWebhook(ctx context.Context, w PaymentWebhook) error
	// OpenPaymentWebhooks lists those not processed, oldest first.
	OpenPaymentWebhooks(ctx context.Context, limit int) ([]PaymentWebhook, error)
	// FinishPaymentWebhook marks one processed.
	FinishPaymentWebhook(ctx context.Context, provider, eventID string, at time.Time) error
}

// PaymentWebhook is one as it came.
type PaymentWebhook struct {
	Provider, EventID string
	Headers           map[string][]string
	Raw               []byte
	ReceivedAt        time.Time
}

// Tasks is where workers find tasks: their own login's part of the store.
type Tasks interface {
	// Load reads a task's order without locking it. fault.Absent() when there is no such task.
	Load(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (*Aggregate, error)
	// ExpiredOrders lists unpaid orders past their time, of all tenants.
	ExpiredOrders(ctx context.Context, now time.Time, limit int) ([]OrderRef, error)
}

// WorkSource is where the feeder finds work, of all tenants at once: ids only, a few per tenant, so
// that no tenant's heap hides another's single task.
type WorkSource interface {
	// DueTasks lists tasks of a queue in a state that are due, those going back first.
	DueTasks(ctx context.Context, queue string, s fulfil.TaskState, now time.Time, perTenant int) ([]TaskRef, error)
	// MarkOpen moves queued tasks to open, once their jobs are in; others are left alone.
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

// Notifier wakes the feeder and the relay of this process after a commit; losing a kick costs a poll.
type Notifier interface{ Notify() }
