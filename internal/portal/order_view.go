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
	Visit   *session
	D       *app.Aggregate
	O       *order.Order
	Story   story
	Path    []progressStep
	Exits   []progressStep
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

// maxCalls is how many calls a step may take.
const maxCalls = fulfil.MaxCalls

// orderView draws an order. events are those read before, nil at first; what came since is read too.
func (p *Portal) orderView(r *http.Request, v *session, agg *app.Aggregate, events []record) (orderView, error) {
	events, err := p.eventsSince(r, v, agg.Order, events)
	if err != nil {
		return orderView{}, err
	}
	if slices.ContainsFunc(agg.Order.Items, sentOnce) {
		if agg.Deliveries, err = p.useCases.Deliveries(r.Context(), v.Caller, agg.Order.ID); err != nil {
			return orderView{}, err
		}
	}
	items, err := p.itemViews(r, v, agg)
	if err != nil {
		return orderView{}, err
	}
	view := orderView{
		Visit: v, D: agg, O: agg.Order, Items: items, Money: moneyOf(agg.Order), Faults: messages(agg.Order.Faults),
	}
	view.Story = storyOf(v, agg)
	view.Path, view.Exits = pathOf(agg.Order, events)
	view.Events, view.Entries = events, entriesOf(v, agg, events)
	view.Actions = p.actionsOf(v, agg)
	view.Live, view.Steps = isLive(agg), p.useCases.May(v.Actor, app.ReadSaga)
	return view, nil
}

// sentOnce reports whether a mail with the item's credentials may have been sent.
func sentOnce(it order.Item) bool {
	return it.State == order.ItemActive || it.State == order.ItemDelivered
}

// isLive reports whether anything about the order may still move by itself.
func isLive(agg *app.Aggregate) bool {
	o := agg.Order
	if o.State == order.Draft {
		return false
	}
	working := slices.ContainsFunc(agg.Tasks, func(task fulfil.Task) bool {
		return task.Live() && task.Kind != fulfil.Notify && task.Kind != fulfil.Webhook
	})
	return !o.State.Terminal() || working
}

func (p *Portal) itemViews(r *http.Request, v *session, agg *app.Aggregate) ([]itemView, error) {
	cat, err := p.useCases.Catalog(r.Context())
	if err != nil {
		return nil, err
	}
	mayWrite := p.useCases.May(v.Actor, app.WriteOrders)
	views := make([]itemView, 0, len(agg.Order.Items))
	for _, it := range agg.Order.Items {
		view := itemOf(cat, agg, it)
		account := ""
		if task := agg.ProvisionTask(it.ID); task != nil {
			account = task.Queue
		}
		view.Simulated = p.cfg.Simulated(it.Snapshot.Product, it.Snapshot.Region, account)
		view.Redeliver = mayWrite && (it.State == order.ItemDelivered ||
			it.State == order.ItemActive && agg.Order.DeliveryStuck)
		if agg.Order.Customer != v.Member {
			view.Passphrase = nil // shown to the order's own customer alone (D21)
		}
		views = append(views, view)
	}
	return views, nil
}

func itemOf(cat *catalog.Catalog, agg *app.Aggregate, it order.Item) itemView {
	o, s := agg.Order, it.Snapshot
	view := itemView{
		Item: it, Name: nameOf(it), Kind: s.Title, Price: amount(it.Price, o.Currency), Cycle: cycleText(s.BillingCycle),
		Text: itemTexts[it.State], Tone: itemTones[it.State],
	}
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
	view.work(agg.ProvisionTask(it.ID), it)
	for i := range agg.Deliveries {
		x := &agg.Deliveries[i]
		if x.Item != it.ID {
			continue
		}
		if view.Delivery == nil || x.At.After(view.Delivery.At) {
			view.Delivery = x
		}
		if x.HasPassphrase && x.State != app.DeliveryFailed && view.Passphrase == nil {
			view.Passphrase = x
		}
	}
	if rf := o.RefundOf(it.ID); rf != nil {
		view.Refund = refundText(rf)
	}
	return view
}

// work says how the task that builds the item is doing: attempts, and when the next call is due.
func (v *itemView) work(task *fulfil.Task, it order.Item) {
	v.Back = it.State == order.ItemCompensating || it.State == order.ItemStuck || it.State == order.ItemRolledBack
	if task == nil || !task.Live() {
		return
	}
	if task.Try > 0 {
		v.Attempt = min(task.Try+1, maxCalls)
	}
	switch it.State {
	case order.ItemRetryWait:
		v.NextTry, v.Waiting = task.NextAt, "Next try"
	case order.ItemWaitingCapacity:
		v.NextTry, v.Waiting = task.NextAt, "Asking again"
	case order.ItemCompensating:
		if task.Try > 0 {
			v.NextTry, v.Waiting = task.NextAt, "Next try to remove it"
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
		view.Rows = append(view.Rows, moneyRow{
			nameOf(it), amount(it.Price, o.Currency), amount(paidFor[it.ID], o.Currency), amount(refundedFor[it.ID], o.Currency),
			amount(balance, o.Currency),
		})
	}
	unexplained := captured - refunded - held
	view.Paid, view.Refunded, view.Kept = amount(captured, o.Currency), amount(refunded, o.Currency),
		amount(captured-refunded, o.Currency)
	view.Unexplained, view.Balanced, view.HasPaid = amount(unexplained, o.Currency), unexplained == 0, captured != 0
	if p := o.LivePayment(); p != nil && p.Paid != p.Due {
		view.Difference = amount(p.Paid-p.Due, p.Currency)
	}
	return view
}

func (p *Portal) orderPage(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	view, err := p.orderView(r, v, agg, nil)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, orderPage(p.pageLayout(r, v, "orders", cmp.Or(agg.Order.Number, "Order")), view))
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
		return "A mail was sent; whether it arrived is not known,"
	case app.DeliveryFailed:
		return "Delivery did not get through"
	}
	return "Mailed to " + it.Delivery.Recipient
}

// callText says which of the six calls comes next; nothing before the second.
func callText(attempt int) string {
	if attempt == 0 {
		return ""
	}
	return fmt.Sprintf(", call %d of %d", attempt, maxCalls)
}
