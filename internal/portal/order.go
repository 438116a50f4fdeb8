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

// orderView is the data of an order's page and of every fragment of its stream.
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
	Live    bool // the order may still change without a person, so the page opens the stream
	Steps   bool // the visitor may see the saga log
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
	Attempt    int       // number of the next call, 0 before the second
	NextTry    time.Time // zero: no wait
	Waiting    string    // label of NextTry
	Undo       bool      // the item is compensated: its bar is hatched
	Refund     string
	Redeliver  bool
	Delivery   *app.Delivery
	Passphrase *app.Delivery // the delivery whose passphrase was not shown yet
	EditLink   string
}

// maxCalls is the most calls of one step.
const maxCalls = fulfil.MaxCalls

// orderView returns the view of an order. events are those that were read before, nil at first; it reads the
// newer ones.
func (p *Portal) orderView(r *http.Request, v *session, agg *app.Aggregate, events []record) (orderView, error) {
	events, err := p.eventsSince(r, v, agg.Order, events)
	if err != nil {
		return orderView{}, err
	}
	if slices.ContainsFunc(agg.Order.Items, mayBeDelivered) {
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
	view.Story = storyOf(v, agg, p.useCases.PaymentMethods())
	view.Path, view.Exits = pathOf(agg.Order, events)
	view.Events, view.Entries = events, entriesOf(v, agg, events)
	view.Actions = p.actionsOf(v, agg)
	view.Live, view.Steps = isLive(agg), p.useCases.May(v.Actor, app.ReadSaga)
	return view, nil
}

// mayBeDelivered reports whether a mail with the item's credentials may have been sent.
func mayBeDelivered(it order.Item) bool {
	return it.State == order.ItemActive || it.State == order.ItemDelivered
}

// isLive reports whether the order may still change without a person.
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
			view.Passphrase = nil // only the order's own customer sees it (D21)
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
	view.addProgress(agg.ProvisionTask(it.ID), it)
	for i := range agg.Deliveries {
		d := &agg.Deliveries[i]
		if d.Item != it.ID {
			continue
		}
		if view.Delivery == nil || d.At.After(view.Delivery.At) {
			view.Delivery = d
		}
		if d.HasPassphrase && d.State != app.DeliveryFailed && view.Passphrase == nil {
			view.Passphrase = d
		}
	}
	if rf := o.RefundOf(it.ID); rf != nil {
		view.Refund = refundText(rf)
	}
	return view
}

// addProgress adds how many calls the item's task has made, and when the next one is due.
func (v *itemView) addProgress(task *fulfil.Task, it order.Item) {
	v.Undo = it.State == order.ItemCompensating || it.State == order.ItemStuck || it.State == order.ItemRolledBack
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

// moneyView is the order's money, to the cent.
type moneyView struct {
	Due, Paid, Refunded, Kept string
	Difference                string // paid − due, "" when they are equal
	Unexplained               string // captured − refunded − allocations of live items: always zero
	Balanced                  bool
	Rows                      []moneyRow
	Payments                  []order.Payment
	Currency                  money.Currency
	HasPaid                   bool
}

type moneyRow struct{ Name, Price, Paid, Refunded, Balance string }

// moneyOf adds up the order's money (D11): captured less refunded is what is allocated to live items. A reverted
// payment counts on neither side.
func moneyOf(o *order.Order) moneyView {
	view := moneyView{Due: amount(o.Due, o.Currency), Currency: o.Currency, Payments: o.Payments}
	var captured, refunded, allocated money.Cents
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
		allocated += balance
		view.Rows = append(view.Rows, moneyRow{
			Name: nameOf(it), Price: amount(it.Price, o.Currency), Paid: amount(paidFor[it.ID], o.Currency),
			Refunded: amount(refundedFor[it.ID], o.Currency), Balance: amount(balance, o.Currency),
		})
	}
	view.Paid, view.Refunded = amount(captured, o.Currency), amount(refunded, o.Currency)
	view.Kept, view.HasPaid = amount(captured-refunded, o.Currency), captured != 0
	unexplained := captured - refunded - allocated
	view.Unexplained, view.Balanced = amount(unexplained, o.Currency), unexplained == 0
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
		return "The delivery failed"
	}
	return "Mailed to " + it.Delivery.Recipient
}

// callText returns the number of the next call; "" before the second.
func callText(attempt int) string {
	if attempt == 0 {
		return ""
	}
	return fmt.Sprintf(", call %d of %d", attempt, maxCalls)
}
