package portal

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// orderView is an order's page: first paint and every fragment of the stream are drawn from it.
type orderView struct {
	Visit   *visit
	D       *app.Dossier
	O       *order.Order
	Story   story
	Path    []station
	Exits   []station
	Items   []itemView
	Money   moneyView
	Events  []record
	Entries []entry
	Actions []actionView
	Faults  []string
	Live    bool // something may still move by itself: the page listens
	Steps   bool // the visitor may see the work behind the order
}

// itemView is one item as its customer sees it.
type itemView struct {
	Item       order.Item
	Name       string
	Kind       string // product and plan
	Details    []pair
	Lines      []lineView
	Price      string
	Cycle      string
	Text       string
	Tone       tone
	Simulated  bool
	Attempt    int       // of the six calls, 0 before the second
	NextTry    time.Time // zero: no wait
	Waiting    string    // what the wait is for
	Back       bool      // it is going back: its bar is hatched
	Refund     string
	Redeliver  bool
	Delivery   *app.Delivery
	Passphrase *app.Delivery // the delivery whose passphrase was not shown yet
	EditLink   string
}

// maxCalls is one call and five retries (D5).
const maxCalls = 6

// orderView draws an order. events are those read before, nil at first; what came since is read too.
func (p *Portal) orderView(r *http.Request, v *visit, d *app.Dossier, events []record) (orderView, error) {
	events, err := p.eventsSince(r, v, d.Order, events)
	if err != nil {
		return orderView{}, err
	}
	items, err := p.itemViews(r, v, d)
	if err != nil {
		return orderView{}, err
	}
	view := orderView{Visit: v, D: d, O: d.Order, Items: items, Money: moneyOf(d.Order), Faults: messages(d.Order.Faults)}
	view.Story = storyOf(v, d)
	view.Path, view.Exits = pathOf(d.Order, events)
	view.Events, view.Entries = events, entriesOf(v, d, events)
	view.Actions = p.actionsOf(v, d)
	view.Live, view.Steps = isLive(d), p.verbs.May(v.Actor, app.ReadSaga)
	return view, nil
}

// isLive tells whether anything about the order may still move by itself.
func isLive(d *app.Dossier) bool {
	o := d.Order
	if o.State == order.Draft {
		return false
	}
	working := slices.ContainsFunc(d.Units, func(u fulfil.Unit) bool { return u.Live() && u.Kind != fulfil.Notify && u.Kind != fulfil.Webhook })
	return !o.State.Terminal() || working
}

func (p *Portal) itemViews(r *http.Request, v *visit, d *app.Dossier) ([]itemView, error) {
	cat, err := p.verbs.Catalog(r.Context())
	if err != nil {
		return nil, err
	}
	mayWrite := p.verbs.May(v.Actor, app.WriteOrders)
	views := make([]itemView, 0, len(d.Order.Items))
	for _, it := range d.Order.Items {
		view := itemOf(cat, d, it)
		view.Simulated = p.cfg.Simulated(it.Snapshot.Product, it.Snapshot.Region)
		view.Redeliver = mayWrite && (it.State == order.ItemDelivered || it.State == order.ItemActive && d.Order.DeliveryStuck)
		if d.Order.Customer != v.Member {
			view.Passphrase = nil // shown to the order's own customer alone (D21)
		}
		views = append(views, view)
	}
	return views, nil
}

func itemOf(cat *catalog.Catalog, d *app.Dossier, it order.Item) itemView {
	o, s := d.Order, it.Snapshot
	view := itemView{Item: it, Name: nameOf(it), Kind: s.Title, Price: amount(it.Price, o.Currency), Cycle: cycleText(s.BillingCycle), Text: itemTexts[it.State], Tone: itemTones[it.State]}
	product, known := cat.Product(s.Product)
	if known {
		if fields, err := parseFields(product.Schema); err == nil {
			view.Details = described(filled(fields, s.Configuration))
		}
	}
	for _, plan := range product.Plans {
		if plan.ID == s.Plan {
			view.Kind += " " + plan.Title
		}
	}
	view.Lines = linesOf(product, s.Lines)
	view.EditLink = fmt.Sprintf("/catalog/%s?order=%s&item=%s", s.Product, o.ID, it.ID)
	view.work(d.ProvisionUnit(it.ID), it)
	for i := range d.Deliveries {
		x := &d.Deliveries[i]
		if x.Item != it.ID {
			continue
		}
		if view.Delivery == nil || x.At.After(view.Delivery.At) {
			view.Delivery = x
		}
		if x.HasPassphrase && x.State == app.DeliveryAccepted && view.Passphrase == nil {
			view.Passphrase = x
		}
	}
	if rf := o.RefundOf(it.ID); rf != nil {
		view.Refund = refundText(rf)
	}
	return view
}

// work says how the unit that builds the item is doing: attempts, and when the next call is due.
func (v *itemView) work(u *fulfil.Unit, it order.Item) {
	v.Back = it.State == order.ItemCompensating || it.State == order.ItemStuck || it.State == order.ItemRolledBack
	if u == nil || !u.Live() {
		return
	}
	if u.Try > 0 {
		v.Attempt = min(u.Try+1, maxCalls)
	}
	switch it.State {
	case order.ItemRetryWait:
		v.NextTry, v.Waiting = u.NextAt, "Next try"
	case order.ItemWaitingCapacity:
		v.NextTry, v.Waiting = u.NextAt, "Asking again"
	case order.ItemCompensating:
		if u.Try > 0 {
			v.NextTry, v.Waiting = u.NextAt, "Next try to remove it"
		}
	}
}

func cycleText(cycle string) string {
	if cycle == string(catalog.Annual) {
		return "a year"
	}
	return "a month"
}

func refundText(r *order.Refund) string {
	sum := amount(r.Cents, r.Currency)
	switch r.State {
	case order.RefundRequested:
		return sum + " is being refunded"
	case order.RefundAccepted:
		return sum + " refund accepted, on its way"
	case order.RefundCompleted:
		return sum + " refunded"
	}
	return sum + " refund needs a person"
}

// moneyView is the order's account, to the cent.
type moneyView struct {
	Due, Paid, Refunded, Kept string
	Difference                string // paid less due, "" when there is none
	Unexplained               string // captured − refunded − allocations of live items: always nothing
	Balanced                  bool
	Rows                      []moneyRow
	Payments                  []order.Payment
	Currency                  money.Currency
	HasPaid                   bool
}

type moneyRow struct{ Name, Price, Paid, Refunded, Balance string }

// moneyOf recounts the order's money (D11): captured less refunded is what the live items hold. A
// reverted payment counts on neither side.
func moneyOf(o *order.Order) moneyView {
	view := moneyView{Due: amount(o.Due, o.Currency), Currency: o.Currency, Payments: o.Payments}
	var captured, refunded, held money.Cents
	paidFor, refundedFor := map[order.ItemID]money.Cents{}, map[order.ItemID]money.Cents{}
	for i := range o.Payments {
		pay := &o.Payments[i]
		if pay.State == order.PaymentReverted {
			continue
		}
		captured += pay.Paid
		for _, a := range pay.Allocations {
			paidFor[a.Item] += a.Cents
		}
	}
	for _, rf := range o.Refunds {
		if rf.State.Accepted() {
			refunded += rf.Cents
			refundedFor[rf.Item] += rf.Cents
		}
	}
	for _, it := range o.Items {
		balance := paidFor[it.ID] - refundedFor[it.ID]
		held += balance
		view.Rows = append(view.Rows, moneyRow{nameOf(it), amount(it.Price, o.Currency), amount(paidFor[it.ID], o.Currency), amount(refundedFor[it.ID], o.Currency), amount(balance, o.Currency)})
	}
	unexplained := captured - refunded - held
	view.Paid, view.Refunded, view.Kept = amount(captured, o.Currency), amount(refunded, o.Currency), amount(captured-refunded, o.Currency)
	view.Unexplained, view.Balanced, view.HasPaid = amount(unexplained, o.Currency), unexplained == 0, captured != 0
	if p := o.LivePayment(); p != nil && p.Paid != p.Due {
		view.Difference = amount(p.Paid-p.Due, p.Currency)
	}
	return view
}

// story says where an order stands: what happened, what it means for money and machines, what comes
// next.
type story struct{ Head, Means, Next string }

func storyOf(v *visit, d *app.Dossier) story {
	o := d.Order
	due := amount(o.Due, o.Currency)
	switch {
	case o.Settlement == order.SettlementStuck:
		return story{"A person is looking at this order.", stuckMeans(o), "Our operators have been told; nothing is lost, and you need not do anything."}
	case o.Closing == order.ClosingCancel && !o.State.Terminal():
		return story{"This order is being cancelled.", "No new work starts. What was built and not yet delivered is removed, and its payment goes back.", "It ends once every machine is confirmed gone and every refund was accepted."}
	case o.Closing == order.ClosingRejected && !o.State.Terminal():
		return story{"This order cannot be built as it is.", "Nothing was built. Your payment goes back in full.", "The reasons are listed below. It ends as failed once the refund was accepted."}
	}
	switch o.State {
	case order.Draft:
		return story{"This is a draft.", "Nothing is ordered and nothing is owed.", "Submit it from the cart when it is complete."}
	case order.PendingPayment:
		s := story{"We are waiting for your payment of " + due + ".", "Nothing is built before the money is confirmed.", "Transfer " + due + " and name " + o.Number + " as the reference; an operator confirms it."}
		if o.Method != "" && o.Method != "manual" {
			s.Next = "The payment provider (" + o.Method + ") confirms it by itself; this page follows along."
		}
		if o.ExpiresAt != nil {
			s.Next += " Unpaid, the order is cancelled on " + v.day(*o.ExpiresAt) + "."
		}
		return s
	case order.PaymentConfirmed:
		if o.HeldAt != nil {
			return story{"Your payment is in; an operator holds the order.", "Nothing is built meanwhile, and your money is safe.", "It goes on when the hold is released. You can still cancel for a full refund."}
		}
		s := story{"Your payment is in.", "Nothing is built yet: you can still cancel for a full refund.", "We check every item against what the regions can build right now."}
		if u := d.ValidateUnit(); u != nil && u.NextAt.After(v.now) {
			s.Next = "The checks begin at " + v.clock(u.NextAt) + "."
		}
		return s
	case order.Validating:
		return story{"We are checking every item with its region.", "Nothing is built yet: you can still cancel for a full refund.", "Building starts as soon as every item passed."}
	case order.Provisioning:
		return story{"Your services are being built.", "Nothing was delivered yet. What cannot be built is removed and refunded." + policyMeans(o.Policy), "Credentials are sent encrypted, item by item."}
	case order.PartiallyFulfilled:
		return story{"Part of your order is ready.", "Delivered services stay yours. What cannot be built is removed and refunded." + policyMeans(o.Policy), "The rest is still being built."}
	case order.Fulfilled:
		if o.Outcome == order.OutcomePartial {
			return story{"Your order is complete, though not with every item.", "Delivered services are yours; the other items were removed and refunded.", "You can order the missing items again at any time."}
		}
		return story{"Everything was delivered.", "Your payment of " + due + " covers the first period of every item.", "Credentials are in your mail; you can have them sent again below."}
	case order.Cancelled:
		if len(o.Refunds) > 0 {
			return story{"This order was cancelled.", "Nothing of it runs, and your payment went back.", "You can restore it as a draft; it then needs a new payment."}
		}
		return story{"This order was cancelled.", "Nothing was built and nothing is owed.", "You can restore it as a draft."}
	}
	return story{"This order failed.", "Nothing of it runs, and your payment went back.", "The timeline tells what happened. You can order again at any time."}
}

func policyMeans(p order.Policy) string {
	if p == order.AllOrNothing {
		return " You chose all or nothing: one item that cannot be built takes the whole order back."
	}
	return ""
}

func stuckMeans(o *order.Order) string {
	if o.DeliveryStuck {
		return "A service is ready and its delivery mail did not get through. It runs and stays yours."
	}
	for _, rf := range o.Refunds {
		if rf.State == order.RefundStuck {
			return "A refund did not go through by itself. The money is still owed to you."
		}
	}
	return "Something could not be removed by itself. Refunds do not wait for it."
}

// station is one state on the order's path.
type station struct {
	State order.State
	Text  string
	Is    string // done, here, skipped or ahead
}

// pathOf draws the nine states: seven along the way, two apart. Which ones the order went through is
// read from its events, for an order may pass one by or come back.
func pathOf(o *order.Order, events []record) (path, exits []station) {
	been := map[order.State]bool{}
	for _, e := range events {
		if s, ok := order.ParseState(e.Payload.To); ok {
			been[s] = true
		}
	}
	way := []order.State{order.Draft, order.PendingPayment, order.PaymentConfirmed, order.Validating, order.Provisioning, order.PartiallyFulfilled, order.Fulfilled}
	furthest := slices.Index(way, o.State)
	if furthest < 0 { // off the way: as far as it had come
		for i, s := range way {
			if been[s] {
				furthest = i + 1
			}
		}
	}
	for i, s := range way {
		st := station{s, stateText(s), "ahead"}
		switch {
		case s == o.State:
			st.Is = "here"
		case i < furthest && (been[s] || s == order.Draft):
			st.Is = "done"
		case i < furthest:
			st.Is = "skipped"
		}
		path = append(path, st)
	}
	for _, s := range []order.State{order.Cancelled, order.Failed} {
		st := station{s, stateText(s), "ahead"}
		if s == o.State {
			st.Is = "here"
		}
		exits = append(exits, st)
	}
	return path, exits
}

func (p *Portal) orderPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := p.dossier(r, v)
	if err != nil {
		return err
	}
	view, err := p.orderView(r, v, d, nil)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, orderPage(p.chrome(r, v, "orders", cmp.Or(d.Order.Number, "Order")), view))
}

// stationText says to a screen reader what the drawing shows.
func stationText(is string) string {
	return map[string]string{"done": ", done", "here": ", the order is here", "skipped": ", passed by", "ahead": ", not reached"}[is]
}

func policyText(p order.Policy) string {
	if p == order.AllOrNothing {
		return "all or nothing"
	}
	return "item by item"
}

func deliveryText(it itemView) string {
	switch it.Delivery.State {
	case app.DeliveryAsked:
		return "Delivery is being sent, asked"
	case app.DeliveryFailed:
		return "Delivery did not get through"
	}
	return "Sent to " + it.Delivery.Recipient
}

// callText says which of the six calls comes next; nothing before the second.
func callText(attempt int) string {
	if attempt == 0 {
		return ""
	}
	return fmt.Sprintf(", call %d of %d", attempt, maxCalls)
}
