package portal

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

// actionView is a button of an order: one that works, or one that says why it does not.
type actionView struct {
	Action order.Action
	Text   string
	Href   string
	Danger bool
	Reason string // why it is refused; "" when it is allowed
}

// reasonedAction is an action that asks for a reason on a page of its own.
type reasonedAction struct {
	Text   string // of the button
	Title  string // of the page
	Means  string // what will happen, in machines and money
	Sent   string // what the next page says
	Danger bool
	Fresh  bool // needs a sign-in younger than five minutes
	Do     func(u UseCases, ctx context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error)
}

var reasonedActions = map[order.Action]reasonedAction{
	order.ActCancel: {
		Text: "Cancel order", Title: "Cancel this order?", Sent: "The cancellation was taken.", Danger: true,
		Do: UseCases.CancelOrder,
	},
	order.ActRestore: {
		Text: "Restore as a draft", Title: "Restore this order?",
		Means: "It becomes a draft again, with its number and its prices as they were. Nothing is built and nothing is " +
			"owed until you submit it; it then needs a new payment.", Sent: "The order is a draft again.",
		Do: UseCases.RestoreOrder,
	},
	order.ActRevertPayment: {
		Text: "Set payment aside", Title: "Set this payment aside?",
		Means: "The order waits for its payment again, and nothing of it is built. The payment stays on record as " +
			"reverted; money that really came in has to be sent back by hand unless a gateway took it.",
		Sent: "The payment was set aside.", Danger: true, Fresh: true,
		Do: UseCases.RevertPayment,
	},
	order.ActHold: {
		Text: "Hold", Title: "Hold this order?",
		Means: "Nothing is checked or built until the hold is released. The payment stays as it is, and the customer can " +
			"still cancel for a full refund.", Sent: "The order is held.",
		Do: UseCases.HoldOrder,
	},
	order.ActRelease: {
		Text: "Release", Title: "Release this order?",
		Means: "The checks begin, and building follows when every item passed them.", Sent: "The hold was released.",
		Do: UseCases.ReleaseOrder,
	},
}

// actionRights is what a visitor must be allowed to do at all to be shown an action, refused or not.
var actionRights = []struct {
	Action order.Action
	Need   app.Permission
}{
	{order.ActEdit, app.WriteOrders},
	{order.ActConfirmPayment, app.ConfirmMoney},
	{order.ActHold, app.HoldOrders},
	{order.ActRelease, app.HoldOrders},
	{order.ActRevertPayment, app.RevertMoney},
	{order.ActCancel, app.WriteOrders},
	{order.ActRestore, app.WriteOrders},
}

// actionsOf lists what the visitor can do to the order, and what they could in another state.
func (p *Portal) actionsOf(v *session, agg *app.Aggregate) []actionView {
	allowed := p.useCases.AllowedActions(v.Caller, agg)
	base := "/orders/" + agg.Order.ID.String()
	var views []actionView
	for _, ar := range actionRights {
		if !p.useCases.May(v.Actor, ar.Need) {
			continue
		}
		view := actionView{
			Action: ar.Action, Href: base + "/do/" + string(ar.Action), Text: reasonedActions[ar.Action].Text,
			Danger: reasonedActions[ar.Action].Danger,
		}
		switch ar.Action {
		case order.ActEdit:
			view.Text, view.Href = "Open the cart", base+"/cart"
		case order.ActConfirmPayment:
			view.Text, view.Href = "Confirm payment", base+"/payment"
		}
		if !slices.Contains(allowed, ar.Action) {
			if view.Reason = refusal(agg.Order, ar.Action); view.Reason == "" {
				continue
			}
		}
		views = append(views, view)
	}
	return views
}

// refusal says why an order does not take an action now; "" where it would only be noise.
func refusal(o *order.Order, a order.Action) string {
	switch a {
	case order.ActCancel:
		switch {
		case o.State == order.Fulfilled:
			return "Delivered services stay: an order can be cancelled until its last item was delivered."
		case o.State == order.Cancelled || o.State == order.Failed:
			return ""
		case o.Closing != order.NotClosing:
			return "It is on its way out already."
		case o.DeliveryBegun():
			return "All or nothing: delivery has begun, so the whole order goes forward."
		}
	case order.ActRestore:
		if o.State == order.Cancelled {
			return "A cancelled order can be restored once every refund was accepted."
		}
	case order.ActRevertPayment:
		if o.State == order.Provisioning || o.State == order.PartiallyFulfilled {
			return "Building has begun: a payment can be set aside only before."
		}
	case order.ActHold:
		if o.State == order.Provisioning || o.State == order.PartiallyFulfilled {
			return "Building has begun: an order can be held only before."
		}
	}
	return ""
}

// actionPageView asks for a reason and says beforehand what will happen.
type actionPageView struct {
	O      *order.Order
	Action order.Action
	reasonedAction
	Effects []effect
	Refund  string // what goes back in all, "" when nothing was paid
	Keeps   string // what stays paid
	Reason  string
	Fault   string
}

// effect is what cancelling now would do to one item, in machines and in money (D7).
type effect struct {
	Name, What, Money string
	Tone              tone
}

func (p *Portal) actionPage(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	action, ok := reasonedActions[order.Action(r.PathValue("action"))]
	if !ok {
		return errNoPage
	}
	if action.Fresh && p.requireFresh(w, r, v, r.URL.Path) {
		return nil
	}
	return p.showAction(w, r, v, agg, action, http.StatusOK, "")
}

func (p *Portal) showAction(
	w http.ResponseWriter, r *http.Request, v *session, agg *app.Aggregate, action reasonedAction,
	status int, wrong string,
) error {
	name := order.Action(r.PathValue("action"))
	if !slices.Contains(p.useCases.AllowedActions(v.Caller, agg), name) {
		return agg.Order.Refuse(string(name))
	}
	view := actionPageView{
		O: agg.Order, Action: name, reasonedAction: action, Reason: r.PostFormValue("reason"), Fault: wrong,
	}
	if name == order.ActCancel {
		view.cancelling(agg.Order)
	}
	return p.show(w, r, status, actionPage(p.pageLayout(r, v, "orders", action.Title), view))
}

// cancelling words the effect on every item and sums up the money.
func (view *actionPageView) cancelling(o *order.Order) {
	pay := o.LivePayment()
	var back, keeps money.Cents
	for i := range o.Items {
		it := &o.Items[i]
		var share money.Cents
		if pay != nil {
			share = pay.Of(it.ID)
		}
		e := effect{Name: nameOf(*it)}
		switch o.CancelEffect(it) {
		case order.CancelDrops:
			e.What, e.Tone = "It is not built.", tone{"calm", "cross"}
			back += share
			e.Money = goesBack(pay, share)
		case order.CancelRollsBack:
			e.What, e.Tone = "What was built of it is removed.", tone{"warn", "undo"}
			back += share
			e.Money = goesBack(pay, share)
		case order.CancelKeeps:
			e.What, e.Tone = "It was delivered: it stays and keeps running.", tone{"good", "check"}
			keeps += share
			e.Money = amount(share, o.Currency) + " stays paid."
		case order.CancelGoing:
			e.What, e.Tone = "It is being removed already.", tone{"warn", "undo"}
			e.Money = "Its refund is under way."
		case order.CancelNothing, order.CancelRefused:
			e.What, e.Tone = "Nothing changes.", tone{"calm", "dot"}
		}
		view.Effects = append(view.Effects, e)
	}
	view.Means = "Nothing was paid, so nothing is owed either way. You can restore the order later."
	if pay != nil {
		view.Refund, view.Keeps = amount(back, pay.Currency), amount(keeps, pay.Currency)
		view.Means = "No new work starts. What cannot stay is removed first; the order ends once every machine is " +
			"confirmed gone and every refund was accepted."
	}
}

func goesBack(pay *order.Payment, share money.Cents) string {
	if pay == nil {
		return "Nothing was paid for it."
	}
	return amount(share, pay.Currency) + " goes back."
}

// maxReason bounds a reason: a few sentences.
const maxReason = 500

func (p *Portal) act(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	name := order.Action(r.PathValue("action"))
	action, ok := reasonedActions[name]
	if !ok {
		return errNoPage
	}
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	here := "/orders/" + agg.Order.ID.String()
	if action.Fresh && p.requireFresh(w, r, v, here+"/do/"+string(name)) {
		return nil
	}
	pre, err := sentVersion(r)
	if err != nil {
		return err
	}
	reason := oneLine(r.PostForm.Get("reason"))
	if reason == "" || len([]rune(reason)) > maxReason {
		return p.showAction(w, r, v, agg, action, http.StatusUnprocessableEntity,
			"Give a reason of one to 500 characters. It stands in the order's record.")
	}
	if _, err := action.Do(p.useCases, r.Context(), v.Caller, app.Reasoned{
		Order: agg.Order.ID, Precondition: pre, Reason: reason,
	}); err != nil {
		return err
	}
	p.flash(r, action.Sent)
	if name == order.ActRestore {
		here += "/cart"
	}
	return see(w, r, here)
}

// oneLine makes one line of a text area's text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// paymentView is the form by which an operator confirms that money came in.
type paymentView struct {
	O         *order.Order
	Due       string
	Customer  string
	Reference string
	Amount    string
	PaidAt    string
	Method    string
	Zone      string
	Faults    []string
}

// formTime is how a datetime-local control writes a moment.
const formTime = "2006-01-02T15:04"

func (p *Portal) paymentPage(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	if p.requireFresh(w, r, v, r.URL.Path) {
		return nil
	}
	o := agg.Order
	if !slices.Contains(p.useCases.AllowedActions(v.Caller, agg), order.ActConfirmPayment) {
		return o.Refuse(string(order.ActConfirmPayment))
	}
	view := paymentViewOf(v, agg)
	view.Amount, view.PaidAt, view.Method = money.Format(o.Due, o.Currency), v.now.In(v.zone()).Format(formTime),
		"bank_transfer"
	return p.show(w, r, http.StatusOK, paymentPage(p.pageLayout(r, v, "desk", "Confirm a payment"), view))
}

func paymentViewOf(v *session, agg *app.Aggregate) paymentView {
	return paymentView{
		O: agg.Order, Due: amount(agg.Order.Due, agg.Order.Currency), Customer: agg.Customer.Email, Zone: v.zone().String(),
	}
}

func (p *Portal) confirmPayment(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	if p.requireFresh(w, r, v, r.URL.Path) {
		return nil
	}
	pre, err := sentVersion(r)
	if err != nil {
		return err
	}
	view := paymentViewOf(v, agg)
	view.Reference, view.Amount = strings.TrimSpace(r.PostForm.Get("reference")),
		strings.TrimSpace(r.PostForm.Get("amount"))
	view.PaidAt, view.Method = r.PostForm.Get("paid_at"), r.PostForm.Get("method")
	again := func(faults ...string) error {
		view.Faults = faults
		return p.show(w, r, http.StatusUnprocessableEntity,
			paymentPage(p.pageLayout(r, v, "desk", "Confirm a payment"), view))
	}
	paidAt, err := time.ParseInLocation(formTime, view.PaidAt, v.zone())
	if err != nil {
		return again("Say when it was paid, as date and time.")
	}
	_, err = p.useCases.ConfirmPayment(r.Context(), v.Caller, app.ConfirmPayment{
		Order: agg.Order.ID, Precondition: pre, Reference: view.Reference,
		Amount: event.Amount{Amount: view.Amount, Currency: agg.Order.Currency}, PaidAt: paidAt, Method: view.Method,
	})
	if f := fault.Of(err); f != nil && f.Kind == fault.KindInvalid {
		if len(f.Violations) > 0 {
			return again(messages(f.Violations)...)
		}
		return again(f.Detail)
	}
	if err != nil {
		return err
	}
	p.flash(r, "The payment was confirmed. Checks begin now; building follows.")
	return see(w, r, "/orders/"+agg.Order.ID.String())
}

func (p *Portal) redeliver(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	item, err := id.Parse[order.Item](r.PathValue("item"))
	if err != nil {
		return errNoPage
	}
	if _, err := p.useCases.Redeliver(r.Context(), v.Caller, app.Redeliver{Order: agg.Order.ID, Item: item}); err != nil {
		return err
	}
	p.flash(r, "A new delivery was asked for. It goes, freshly encrypted, to the address on file.")
	return see(w, r, "/orders/"+agg.Order.ID.String())
}

// passphrase shows the one-time passphrase of a delivery. It is a POST, because it changes something:
// the passphrase is gone afterwards (D21).
func (p *Portal) passphrase(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	if p.requireFresh(w, r, v, "/orders/"+agg.Order.ID.String()) {
		return nil
	}
	delivery, err := id.Parse[app.Delivery](r.PathValue("delivery"))
	if err != nil {
		return errNoPage
	}
	phrase, err := p.useCases.ShowPassphrase(r.Context(), v.Caller, agg.Order.ID, delivery)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, passphrasePage(p.pageLayout(r, v, "orders", "One-time passphrase"),
		agg.Order, phrase))
}
