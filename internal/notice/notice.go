// Package notice holds what the module's mails say: to a customer what became of an order, to operators
// what needs them, beside an encrypted delivery what to do with it. Every text stands here in each
// language, next to its translations. It is pure: news goes in, subject, plain text and HTML come out. It
// must not know how an order moves, whom a mail is for, or how it is sent; and it is given nothing that
// opens a service.
package notice

import (
	"time"

	"github.com/platforma-cloud/orders/internal/money"
)

// Reader is who reads, as far as a text depends on it.
type Reader struct {
	Language Language
	Zone     *time.Location // of the tenant; nil: UTC
	Brand    Brand
}

// Brand is how a tenant shows itself.
type Brand struct {
	Name     string
	Color    string // #rrggbb; anything else: our own
	Contrast string // of text on Color; one that cannot be read on it is left aside
}

// Mail is a rendered text: a subject of one line, and twice the same, for programs that show HTML and for
// those that do not.
type Mail struct{ Subject, Text, HTML string }

// Kind of news for a customer.
type Kind uint8

// The kinds.
const (
	Paid          Kind = iota + 1 // the receipt
	Started                       // everything passed its checks and is being built
	RefundBegun                   // items that will not come, and what is given back for them
	RefundDelayed                 // a refund needs a person of ours
	RefundMoving                  // a refund that was delayed goes on
	Fulfilled
	Cancelled
	Failed
)

// Kinds lists all of them, in the order of an order's life.
func Kinds() []Kind {
	return []Kind{Paid, Started, RefundBegun, RefundDelayed, RefundMoving, Fulfilled, Cancelled, Failed}
}

// Customer is news for a customer.
type Customer struct {
	Kind      Kind
	Order     string // its number
	Link      string // to the order; "": none
	At        time.Time
	Currency  money.Currency
	Simulated bool     // it is built in a simulated region, and the mail says so
	Payment   *Payment // the receipt's; else what refunds go back to
	Items     []Item   // that the news is about
	Why       Why
	Rejected  []Rejection // when Why is WhyRejected
}

// Payment is money that came in.
type Payment struct {
	Cents     money.Cents
	Currency  money.Currency
	Reference string
	Transfer  bool // by bank transfer: a refund goes to the account that it came from
	At        time.Time
}

// Item is a line of an order.
type Item struct {
	Line   int
	Label  string // the customer's own name for it, may be empty
	Title  string // the product's
	Region string
	Annual bool // else it is billed by the month
	Cents  money.Cents
	Fate   Fate
	Why    Why // when it was not delivered
	Refund *Refund
}

// Fate of an item as a customer sees it.
type Fate uint8

// The fates.
const (
	Coming    Fate = iota // on its way
	Delivered             // its access came in a mail of its own
	Dropped               // not delivered, and nothing of it is left
)

// Refund of an item.
type Refund struct {
	Cents    money.Cents
	Currency money.Currency
	State    RefundState
	At       time.Time // when the payment provider took it over; zero: not yet
}

// RefundState is how far a refund has come.
type RefundState uint8

// The states.
const (
	RefundAsked    RefundState = iota + 1
	RefundAccepted             // the payment provider has taken it over
	RefundDone                 // the money is back
	RefundStuck                // a person of ours looks into it
)

// Why something was not delivered.
type Why uint8

// The reasons.
const (
	WhyNone      Why = iota
	WhyTechnical     // it could not be set up
	WhyCapacity      // there was no room
	WhyTogether      // all or nothing, and another item could not be delivered
	WhyRejected      // a check before building forbade it
	WhyCancelled     // it was asked for
	WhyUnpaid        // the time to pay ran out
)

// Rejection is what a check before building found.
type Rejection struct {
	Line int    // of the item; 0: of the order
	Code string // of the fault
}

// Cause of a mail to operators; the values are stored.
type Cause string

// The causes.
const (
	ItemStuck      Cause = "item-stuck"      // a clean-up ran out of retries
	RefundFailed   Cause = "refund-failed"   // a refund did
	NewDeadLetter  Cause = "dead-letter"     // other work stands on the desk
	PaymentOverdue Cause = "payment-overdue" // half of the time to pay is over
	BooksDiffer    Cause = "books-differ"    // receipts and allocations of an order that ended do not agree
	WebhookFailing Cause = "webhook-failing" // a webhook's message was never taken: nothing is posted there any more
)

// Causes lists all of them.
func Causes() []Cause {
	return []Cause{ItemStuck, RefundFailed, NewDeadLetter, PaymentOverdue, BooksDiffer, WebhookFailing}
}

// Operators is news for operators, or for admins: how often one thing happened since they heard of it last.
type Operators struct {
	Cause    Cause
	Count    int       // how often
	Since    time.Time // the first of them
	Orders   []string  // numbers of orders concerned, a few
	Webhooks []Webhook // that are concerned, a few
	More     int       // how many orders or webhooks are not named
	Link     string    // to where it is worked on; "": none
}

// Webhook is one that is failing.
type Webhook struct {
	ID     string
	Host   string // of its address
	Since  time.Time
	Status int      // of HTTP, what its last call answered; 0: no answer came
	Silent NoAnswer // why none came
}

// NoAnswer is why a call of a webhook got no answer.
type NoAnswer string

// The reasons.
const (
	NotInTime  NoAnswer = "not-in-time"
	NoName     NoAnswer = "no-name"     // the host's name does not resolve
	NoRoute    NoAnswer = "no-route"    // no connection, or it broke
	NoTrust    NoAnswer = "no-trust"    // no TLS that can be trusted
	NotAllowed NoAnswer = "not-allowed" // the address is not on the public internet
)
