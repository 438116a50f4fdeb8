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

// actionView is a button of an order. It works, or it says why the action is refused.
type actionView struct {
	Action order.Action
	Text   string
	Href   string
	Danger bool
	Reason string // why it is refused; "" when it is allowed
}

// reasonedAction is an action that asks for a reason on its own page.
type reasonedAction struct {
	Text   string // of the button
	Title  string // of the page
	Means  string // what will happen to machines and money
	Sent   string // what the next page says
	Danger bool
	Fresh  bool // needs a sign-in that is less than five minutes old
	Do     func(u UseCases, ctx context.Context, c app.Caller, in app.Reasoned) (*app.Aggregate, error)
}

var reasonedActions = map[order.Action]reasonedAction{
	order.ActCancel: {
		Text: "Cancel order", Title: "Cancel this order?", Sent: "The cancellation was accepted.", Danger: true,
		Do: UseCases.CancelOrder,
	},
	order.ActRestore: {
		Text: "Restore as a draft", Title: "Restore this order?",
		Means: "It becomes a draft again, with its number and its prices as they were. Nothing is built and nothing is " +
			"owed until you submit it; it then needs a new payment.",
		Sent: "The order is a draft again.",
		Do:   UseCases.RestoreOrder,
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
			"still cancel for a full refund.",
		Sent: "The order is held.",
		Do:   UseCases.HoldOrder,
	},
	order.ActRelease: {
		Text: "Release", Title: "Release this order?",
		Means: "The checks begin, and building follows when every item has passed them.",
		Sent:  "The hold was released.",
		Do:    UseCases.ReleaseOrder,
	},
}

// actionRights lists the permission without which a visitor does not see an action at all, not even as refused.
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

// actionsOf lists the actions that are allowed now, and those that the order's state refuses with a reason.
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

// refusal returns why an order refuses an action now; "" where the reason would help nobody.
func refusal(o *order.Order, a order.Action) string {
	switch a {
	case order.ActCancel:
		switch {
		case o.State == order.Fulfilled:
			return "Delivered services stay: an order can be cancelled until its last item was delivered."
		case o.State == order.Cancelled || o.State == order.Failed:
			return ""
		case o.Closing != order.NotClosing:
			return "It is being closed already."
		case o.DeliveryBegun():
			return "All or nothing: delivery has begun, so the whole order will be delivered."
		}
	case order.ActRestore:
		if o.State == order.Cancelled {
			return "A cancelled order can be restored once every refund was accepted."
		}
	case order.ActRevertPayment:
		if o.State == order.Provisioning || o.State == order.PartiallyFulfilled {
			return "Building has begun: a payment can only be set aside before that."
		}
	case order.ActHold:
		if o.State == order.Provisioning || o.State == order.PartiallyFulfilled {
			return "Building has begun: an order can only be held before that."
		}
	}
	return ""
}

// actionPageView is the page that says what an action will do and asks for a reason.
type actionPageView struct {
	O      *order.Order
	Action order.Action
	reasonedAction
	Effects []effect
	Refund  string // the total that is refunded, "" when nothing was paid
	Keeps   string // what stays paid
	Reason  string
	Fault   string
}

// effect is what cancelling now would do to one item's machines and money (D7).
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
		view.addEffects(agg.Order)
	}
	return p.show(w, r, status, actionPage(p.pageLayout(r, v, "orders", action.Title), view))
}

// addEffects describes what cancelling does to every item, and adds up the money.
func (view *actionPageView) addEffects(o *order.Order) {
	pay := o.LivePayment()
	var refunds, keeps money.Cents
	for i := range o.Items {
		it := &o.Items[i]
		var share money.Cents
		if pay != nil {
			share = pay.ShareOf(it.ID)
		}
		e := effect{Name: nameOf(*it)}
		switch o.CancelEffect(it) {
		case order.CancelDrops:
			e.What, e.Tone = "It is not built.", tone{"calm", "cross"}
			refunds += share
			e.Money = refundEffect(pay, share)
		case order.CancelRollsBack:
			e.What, e.Tone = "What was built of it is removed.", tone{"warn", "undo"}
			refunds += share
			e.Money = refundEffect(pay, share)
		case order.CancelKeeps:
			e.What, e.Tone = "It was delivered: it stays and keeps running.", tone{"good", "check"}
			keeps += share
			e.Money = amount(share, o.Currency) + " stays paid."
		case order.CancelCompensating:
			e.What, e.Tone = "It is being removed already.", tone{"warn", "undo"}
			e.Money = "Its refund is under way."
		case order.CancelNothing, order.CancelRefused:
			e.What, e.Tone = "Nothing changes.", tone{"calm", "dot"}
		}
		view.Effects = append(view.Effects, e)
	}
	view.Means = "Nothing was paid, so nothing is owed either way. You can restore the order later."
	if pay != nil {
		view.Refund, view.Keeps = amount(refunds, pay.Currency), amount(keeps, pay.Currency)
		view.Means = "No new work starts. What cannot stay is removed first; the order ends once every machine is " +
			"confirmed gone and every refund is accepted."
	}
}

func refundEffect(pay *order.Payment, share money.Cents) string {
	if pay == nil {
		return "Nothing was paid for it."
	}
	return amount(share, pay.Currency) + " is refunded."
}

// maxReason is the most characters of a reason.
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
			"Give a reason of one to 500 characters. It is kept in the order's record.")
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
	return seeOther(w, r, here)
}

// oneLine joins the lines of a text area's text.
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
	view.Amount, view.Method = money.Format(o.Due, o.Currency), "bank_transfer"
	view.PaidAt = v.now.In(v.zone()).Format(formTime)
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
	view.Reference = strings.TrimSpace(r.PostForm.Get("reference"))
	view.Amount = strings.TrimSpace(r.PostForm.Get("amount"))
	view.PaidAt, view.Method = r.PostForm.Get("paid_at"), r.PostForm.Get("method")
	showAgain := func(faults ...string) error {
		view.Faults = faults
		return p.show(w, r, http.StatusUnprocessableEntity,
			paymentPage(p.pageLayout(r, v, "desk", "Confirm a payment"), view))
	}
	paidAt, err := time.ParseInLocation(formTime, view.PaidAt, v.zone())
	if err != nil {
		return showAgain("Enter when it was paid, as date and time.")
	}
	_, err = p.useCases.ConfirmPayment(r.Context(), v.Caller, app.ConfirmPayment{
		Order: agg.Order.ID, Precondition: pre, Reference: view.Reference,
		Amount: event.Amount{Amount: view.Amount, Currency: agg.Order.Currency}, PaidAt: paidAt, Method: view.Method,
	})
	if f := fault.Of(err); f != nil && f.Kind == fault.KindInvalid {
		if len(f.Violations) > 0 {
			return showAgain(messages(f.Violations)...)
		}
		return showAgain(f.Detail)
	}
	if err != nil {
		return err
	}
	p.flash(r, "The payment was confirmed. Checks begin now; building follows.")
	return seeOther(w, r, "/orders/"+agg.Order.ID.String())
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
	p.flash(r, "A new delivery was requested. It is sent, newly encrypted, to the address on file.")
	return seeOther(w, r, "/orders/"+agg.Order.ID.String())
}

// passphrase shows the one-time passphrase of a delivery. It is a POST because it deletes the passphrase (D21).
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
