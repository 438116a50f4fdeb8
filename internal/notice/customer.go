package notice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/money"
)

// ForCustomer renders a mail to a customer.
func ForCustomer(r Reader, n Customer) (Mail, error) {
	if !slices.Contains(Kinds(), n.Kind) {
		return Mail{}, fmt.Errorf("there is no mail to customers of kind %d", n.Kind)
	}
	w := writer{Reader: r, Language: r.Language, order: plain(n.Order)}
	p := page{
		Footer: w.Say("customer.footer", "brand", plain(r.Brand.Name), "order", w.order),
		Button: fact{w.Say("button.order"), n.Link},
	}
	if n.Simulated {
		p.Note = w.Say("simulated")
	}
	switch n.Kind {
	case Paid:
		w.paid(&p, n)
	case Started:
		w.headed(&p, "started")
		p.Lead = []string{w.Count("started.lead", len(n.Items)), w.Say("started.next")}
		w.lines(&p, n)
	case RefundBegun, RefundDelayed, RefundMoving:
		w.refund(&p, n)
	case Fulfilled:
		w.fulfilled(&p, n)
	case Cancelled:
		w.cancelled(&p, n)
	case Failed:
		w.failed(&p, n)
	}
	return p.mail(r)
}

// writer builds the page for one reader about one order.
type writer struct {
	Reader
	Language
	order string
}

func (w writer) headed(p *page, kind string) {
	p.Subject, p.Heading = w.Say(Key(kind+".subject"), "order", w.order), w.Say(Key(kind+".heading"))
}

func (w writer) paid(p *page, n Customer) {
	w.headed(p, "paid")
	p.Lead = []string{w.Count("paid.lead", len(n.Items))}
	p.Facts = []fact{{w.Say("label.order"), w.order}}
	if pay := n.Payment; pay != nil {
		p.Facts = append(p.Facts,
			fact{w.Say("label.paid"), w.Money(pay.Cents, pay.Currency)},
			fact{w.Say("label.reference"), plain(pay.Reference)},
			fact{w.Say("label.paid-at"), w.moment(pay.At)})
	}
	total := money.Cents(0)
	for _, it := range n.Items {
		total += it.Cents
		p.Lines = append(p.Lines, line{Name: name(it), Detail: w.about(it), Amount: w.Money(it.Cents, n.Currency)})
	}
	p.Total = fact{w.Say("label.total"), w.Money(total, n.Currency)}
	p.Fine = w.Say("paid.note")
}

func (w writer) refund(p *page, n Customer) {
	kind := map[Kind]string{RefundBegun: "refund", RefundDelayed: "delayed", RefundMoving: "moving"}[n.Kind]
	amount := w.Money(refunded(n.Items), n.Currency)
	p.Subject = w.Say(Key(kind+".subject"), "order", w.order, "amount", amount)
	p.Heading = w.Say(Key(kind+".heading"), "amount", amount)
	switch {
	case n.Kind != RefundBegun:
		p.Lead = []string{w.Say(Key(kind+".lead"), "order", w.order, "amount", amount)}
	case n.Why == WhyCancelled:
		p.Lead = []string{w.Count("refund.cancelled", len(n.Items), "order", w.order)}
	default:
		p.Lead = []string{w.Count("refund.lead", len(n.Items), "order", w.order)}
		if n.Why == WhyRejected {
			p.Lead = append(p.Lead, w.rejections(n)...)
		}
	}
	w.lines(p, n)
	w.payBack(p, n)
}

func (w writer) fulfilled(p *page, n Customer) {
	delivered := 0
	for _, it := range n.Items {
		if it.Fate == Delivered {
			delivered++
		}
	}
	if dropped := len(n.Items) - delivered; dropped > 0 {
		w.headed(p, "partly")
		p.Lead = []string{w.Count("partly.delivered", delivered) + " " + w.Count("partly.dropped", dropped)}
	} else {
		w.headed(p, "fulfilled")
		p.Lead = []string{w.Count("fulfilled.lead", delivered)}
	}
	w.lines(p, n)
	w.payBack(p, n)
}

func (w writer) cancelled(p *page, n Customer) {
	w.headed(p, "cancelled")
	lead := Key("cancelled.lead")
	switch {
	case n.Why == WhyUnpaid:
		lead = "cancelled.unpaid"
	case n.Payment == nil:
		lead = "cancelled.free"
	}
	p.Lead = []string{w.Say(lead, "order", w.order)}
	w.lines(p, n)
	w.payBack(p, n)
}

func (w writer) failed(p *page, n Customer) {
	w.headed(p, "failed")
	if n.Why == WhyRejected {
		p.Lead = append([]string{w.Say("failed.rejected", "order", w.order)}, w.rejections(n)...)
	} else {
		p.Lead = []string{w.Say("failed.lead", "order", w.order)}
	}
	w.lines(p, n)
	w.payBack(p, n)
}

// lines adds a line for each item: what became of it, why, and how far its refund is.
func (w writer) lines(p *page, n Customer) {
	for _, it := range n.Items {
		l := line{Name: name(it), Detail: w.about(it)}
		switch {
		case n.Kind == Started || n.Payment == nil: // nothing has happened to the items yet
		case n.Kind == RefundDelayed || n.Kind == RefundMoving: // an earlier mail said it
		default:
			l.Detail = append(l.Detail, w.Say(map[Fate]Key{
				Coming: "fate.coming", Delivered: "fate.delivered", Dropped: "fate.dropped",
			}[it.Fate]))
			if why := w.why(it); why != "" {
				l.Detail = append(l.Detail, why)
			}
		}
		if it.Refund != nil {
			l.Detail = append(l.Detail, w.state(*it.Refund))
		}
		p.Lines = append(p.Lines, l)
	}
}

func (w writer) why(it Item) string {
	switch it.Why {
	case WhyTechnical:
		return w.Say("why.technical")
	case WhyCapacity:
		return w.Say("why.capacity", "region", plain(it.Region))
	case WhyTogether:
		return w.Say("why.together")
	default: // the reason concerns the whole order, and the lead names it
		return ""
	}
}

func (w writer) state(r Refund) string {
	key := map[RefundState]Key{
		RefundAsked: "refund.asked", RefundAccepted: "refund.accepted", RefundDone: "refund.done",
		RefundStuck: "refund.stuck",
	}[r.State]
	return w.Say(key, "amount", w.Money(r.Cents, r.Currency), "date", w.moment(r.At))
}

// rejections returns what a check found in plain words, each sentence once.
func (w writer) rejections(n Customer) []string {
	var texts []string
	for _, f := range n.Rejected {
		text := w.Say(rejection(f.Code))
		for _, it := range n.Items {
			if it.Line == f.Line {
				text = called(it) + ": " + text
			}
		}
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

func rejection(code string) Key {
	switch code {
	case "quota-exceeded":
		return "rejected.quota"
	case "region-not-offered", "not-offered-now":
		return "rejected.region"
	case "image-not-available":
		return "rejected.image"
	case "no-capacity":
		return "rejected.capacity"
	case "billing-cycle-mismatch", "billing-cycle-not-offered":
		return "rejected.cycle"
	default:
		return "rejected.other"
	}
}

// payBack adds how refunds are paid, and their total when there are several.
func (w writer) payBack(p *page, n Customer) {
	refunds := 0
	for _, it := range n.Items {
		if it.Refund != nil {
			refunds++
		}
	}
	if refunds == 0 || n.Payment == nil {
		return
	}
	if refunds > 1 {
		p.Total = fact{w.Say("label.refunds"), w.Money(refunded(n.Items), n.Currency)}
	}
	method := Key("way.same")
	if n.Payment.Transfer {
		method = "way.transfer"
	}
	p.Facts = []fact{{w.Say("label.way"), w.Say(method)}}
}

func refunded(items []Item) (sum money.Cents) {
	for _, it := range items {
		if it.Refund != nil {
			sum += it.Refund.Cents
		}
	}
	return sum
}

// about returns what distinguishes an item from another of the same product: region and billing cycle.
func (w writer) about(it Item) []string {
	cycle := w.Say("cycle.monthly")
	if it.Annual {
		cycle = w.Say("cycle.annual")
	}
	var about []string
	if it.Label != "" {
		about = append(about, plain(it.Title))
	}
	return []string{strings.Join(append(about, plain(it.Region), cycle), ", ")}
}

func name(it Item) string { return fmt.Sprintf("%d. %s", it.Line, called(it)) }

// called returns the customer's own name for an item, else the product's title.
func called(it Item) string {
	if it.Label != "" {
		return short(plain(it.Label), 80)
	}
	return short(plain(it.Title), 80)
}
