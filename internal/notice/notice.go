// Package notice holds the texts of the mails: what became of a customer's order, what needs an operator, and how
// to open an encrypted delivery. Every text is here in each language, next to its translations. The package is
// pure: it renders a notice as a subject, a plain text and HTML. It must not know how an order moves, who gets a
// mail, or how it is sent; and it is never given credentials of a service.
package notice

import (
	"time"

	"github.com/platforma-cloud/orders/internal/money"
)

// Reader holds what a text depends on about the person who reads it.
type Reader struct {
	Language Language
	Zone     *time.Location // of the tenant; nil: UTC
	Brand    Brand
}

// Brand is the name and the colours under which a tenant writes.
type Brand struct {
	Name     string
	Color    string // #rrggbb; anything else: our own colour
	Contrast string // colour of text on Color; ignored when the text could not be read
}

// Mail is a rendered mail: a subject of one line, and the same content as plain text and as HTML.
type Mail struct{ Subject, Text, HTML string }

// Kind is the kind of a notice to a customer.
type Kind uint8

// The kinds.
const (
	Paid          Kind = iota + 1 // the receipt
	Started                       // every item passed its checks and is being built
	RefundBegun                   // items that will not be delivered, and what is refunded for them
	RefundDelayed                 // a refund waits for an operator
	RefundMoving                  // a refund that was delayed was accepted
	Fulfilled
	Cancelled
	Failed
)

// Kinds lists all of them, in the order of an order's life.
func Kinds() []Kind {
	return []Kind{Paid, Started, RefundBegun, RefundDelayed, RefundMoving, Fulfilled, Cancelled, Failed}
}

// Customer is the content of a mail to a customer.
type Customer struct {
	Kind      Kind
	Order     string // its number
	Link      string // to the order; "": none
	At        time.Time
	Currency  money.Currency
	Simulated bool     // the order is built in a simulated region, and the mail says so
	Payment   *Payment // of Paid, the payment that came in; else the one that refunds go back to
	Items     []Item   // that the mail is about
	Why       Why
	Rejected  []Rejection // when Why is WhyRejected
}

// Payment is money that came in.
type Payment struct {
	Cents     money.Cents
	Currency  money.Currency
	Reference string
	Transfer  bool // paid by bank transfer: a refund goes to the account that it came from
	At        time.Time
}

// Item is a line of an order.
type Item struct {
	Line   int
	Label  string // the customer's own name for it, may be empty
	Title  string // of the product
	Region string
	Annual bool // billed by the year, else by the month
	Cents  money.Cents
	Fate   Fate
	Why    Why // when it was not delivered
	Refund *Refund
}

// Fate is what became of an item, as a customer sees it.
type Fate uint8

// The fates.
const (
	Coming    Fate = iota // being built
	Delivered             // its credentials came in a mail of their own
	Dropped               // not delivered, and nothing of it is left
)

// Refund is the refund of an item.
type Refund struct {
	Cents    money.Cents
	Currency money.Currency
	State    RefundState
	At       time.Time // when the payment provider accepted it; zero: not yet
}

// RefundState is how far a refund has come.
type RefundState uint8

// The states.
const (
	RefundAsked    RefundState = iota + 1
	RefundAccepted             // the payment provider has accepted it
	RefundDone                 // the money was paid back
	RefundStuck                // an operator looks into it
)

// Why is the reason why something was not delivered.
type Why uint8

// The reasons.
const (
	WhyNone      Why = iota
	WhyTechnical     // it could not be set up
	WhyCapacity      // there was no room
	WhyTogether      // the order is all or nothing, and another item could not be delivered
	WhyRejected      // a check before building failed
	WhyCancelled     // somebody cancelled it
	WhyUnpaid        // the time to pay ran out
)

// Rejection is what a check before building found.
type Rejection struct {
	Line int    // of the item; 0: of the order
	Code string // of the violation
}

// Cause is why operators get a mail. The values are stored.
type Cause string

// The causes.
const (
	ItemStuck      Cause = "item-stuck"      // the compensation of an item ran out of retries
	RefundFailed   Cause = "refund-failed"   // a refund ran out of retries
	NewDeadLetter  Cause = "dead-letter"     // other work became a dead letter
	PaymentOverdue Cause = "payment-overdue" // half of the time to pay is over
	ReceiptsDiffer Cause = "books-differ"    // receipts and allocations of an order that ended do not agree
	WebhookFailing Cause = "webhook-failing" // a webhook delivery ran out of retries: the endpoint gets nothing more
)

// Causes lists all of them.
func Causes() []Cause {
	return []Cause{ItemStuck, RefundFailed, NewDeadLetter, PaymentOverdue, ReceiptsDiffer, WebhookFailing}
}

// Operators is the content of a mail to operators, or to admins: how often something happened since their last
// mail about it.
type Operators struct {
	Cause    Cause
	Count    int       // how often it happened
	Since    time.Time // when it happened first
	Orders   []string  // numbers of some of the orders concerned
	Webhooks []Webhook // some of the webhooks concerned
	More     int       // how many orders or webhooks are not named
	Link     string    // to the page where it is worked on; "": none
}

// Webhook is a webhook endpoint that is failing.
type Webhook struct {
	ID       string
	Host     string // of its address
	Since    time.Time
	Status   int      // HTTP status of its last call; 0: no answer came
	NoAnswer NoAnswer // why no answer came
}

// NoAnswer is why a call to a webhook endpoint got no answer.
type NoAnswer string

// The reasons.
const (
	NotInTime  NoAnswer = "not-in-time"
	NoName     NoAnswer = "no-name"     // the host's name does not resolve
	NoRoute    NoAnswer = "no-route"    // no connection, or it broke
	NoTrust    NoAnswer = "no-trust"    // no TLS that can be trusted
	NotAllowed NoAnswer = "not-allowed" // the address is not on the public internet
)
