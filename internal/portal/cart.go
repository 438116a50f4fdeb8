package portal

import (
	"errors"
	"net/http"
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
)

// errNoCart is returned when a person has no draft.
var errNoCart = errors.New("no draft")

// findCart returns the draft that the person filled last, else their newest one.
func (p *Portal) findCart(r *http.Request, v *session) (*app.Aggregate, error) {
	ctx := r.Context()
	if known, err := id.Parse[order.Order](p.sessions.GetString(ctx, keyCart)); err == nil {
		agg, err := p.useCases.Order(ctx, v.Caller, known)
		if err == nil && agg.Order.State == order.Draft {
			return agg, nil
		}
		if f := fault.Of(err); err != nil && (f == nil || f.Kind != fault.KindNotFound) {
			return nil, err
		}
	}
	drafts, err := p.useCases.Orders(ctx, v.Caller, app.OrderFilter{Customer: v.Member, State: order.Draft, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(drafts.Data) == 0 {
		return nil, errNoCart
	}
	return drafts.Data[0], nil
}

// rememberCart stores in the session which draft is the cart and how many items its badge shows.
func (p *Portal) rememberCart(r *http.Request, o *order.Order) {
	ctx := r.Context()
	if o.State != order.Draft {
		p.sessions.Remove(ctx, keyCart)
		p.sessions.Remove(ctx, keyCount)
		return
	}
	p.sessions.Put(ctx, keyCart, o.ID.String())
	p.sessions.Put(ctx, keyCount, len(o.Items))
}

// cartView is a draft as its owner sees it before paying.
type cartView struct {
	Order   *order.Order
	Items   []itemView
	Totals  totalsView
	Methods []payment.Method
	Method  payment.Method // the tenant's default where it is offered, else the first
	Due     int            // days until an unpaid order is cancelled
	Faults  []string
	MayEdit bool
}

type totalsView struct{ Monthly, Annual, Due, Exact, Rate string }

func totalsOf(o *order.Order) totalsView {
	t := o.Totals()
	view := totalsView{
		Due: amount(t.DueNow, o.Currency), Exact: money.Format(t.DueNow, o.Currency), Rate: rateText(o.FX, o.Currency),
	}
	if t.Monthly != 0 {
		view.Monthly = amount(t.Monthly, o.Currency)
	}
	if t.Annual != 0 {
		view.Annual = amount(t.Annual, o.Currency)
	}
	return view
}

func (p *Portal) currentCart(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.findCart(r, v)
	if errors.Is(err, errNoCart) {
		p.sessions.Remove(r.Context(), keyCount)
		return p.show(w, r, http.StatusOK, emptyCartPage(p.pageLayout(r, v, "cart", "Cart")))
	}
	if err != nil {
		return err
	}
	return seeOther(w, r, "/orders/"+agg.Order.ID.String()+"/cart")
}

func (p *Portal) cartPage(w http.ResponseWriter, r *http.Request, v *session) error {
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	if agg.Order.State != order.Draft {
		return seeOther(w, r, "/orders/"+agg.Order.ID.String())
	}
	if agg.Order.Customer == v.Member {
		p.rememberCart(r, agg.Order)
	}
	return p.showCart(w, r, v, agg, http.StatusOK, nil)
}

func (p *Portal) showCart(
	w http.ResponseWriter, r *http.Request, v *session, agg *app.Aggregate, status int, faults []string,
) error {
	items, err := p.itemViews(r, v, agg)
	if err != nil {
		return err
	}
	view := cartView{
		Order: agg.Order, Items: items, Totals: totalsOf(agg.Order), Methods: p.useCases.PaymentMethods(),
		Due: agg.Settings.PaymentDueDays, Faults: faults,
		MayEdit: slices.Contains(p.useCases.AllowedActions(v.Caller, agg), order.ActEdit),
	}
	var offered bool
	if view.Method, offered = methodNamed(view.Methods, agg.Settings.PaymentMethod); !offered && len(view.Methods) > 0 {
		view.Method = view.Methods[0]
	}
	return p.show(w, r, status, cartPage(p.pageLayout(r, v, "cart", "Cart"), v, view))
}

// changeCart handles the cart's one form: it removes an item, saves policy and reference, or submits. It saves
// policy and reference first, so that what is submitted is what the form showed.
func (p *Portal) changeCart(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	agg, err := p.aggregate(r, v)
	if err != nil {
		return err
	}
	pre, err := sentVersion(r)
	if err != nil {
		return err
	}
	here := "/orders/" + agg.Order.ID.String() + "/cart"
	edit := app.EditOrder{Order: agg.Order.ID, Precondition: pre}
	remove := r.PostForm.Get("remove")
	if remove != "" {
		items := slices.DeleteFunc(inputsOf(agg.Order), func(in app.ItemInput) bool { return in.ID == remove })
		edit.Items = &items
	}
	policy, reference := r.PostForm.Get("policy"), r.PostForm.Get("external_id")
	if policy != agg.Order.Policy.String() || reference != agg.Order.ExternalID || edit.Items != nil {
		edit.Policy, edit.ExternalID = &policy, &reference
		changed, err := p.useCases.EditOrder(r.Context(), v.Caller, edit)
		if err != nil {
			return p.cartRefused(w, r, v, agg, err)
		}
		agg, pre.Version = changed, &changed.Order.Version
	}
	p.rememberCart(r, agg.Order)
	if r.PostForm.Get("do") != "submit" || remove != "" {
		if remove != "" {
			p.flash(r, "The item was removed from your cart.")
		}
		return seeOther(w, r, here)
	}
	in := app.SubmitOrder{Order: agg.Order.ID, Precondition: pre, PaymentMethod: r.PostForm.Get("payment_method")}
	if total := r.PostForm.Get("expected_total"); total != "" {
		in.ExpectedTotal = &event.Amount{Amount: total, Currency: agg.Order.Currency}
	}
	submitted, err := p.useCases.SubmitOrder(r.Context(), v.Caller, in)
	if err != nil {
		return p.cartRefused(w, r, v, agg, err)
	}
	p.rememberCart(r, submitted.Order)
	return seeOther(w, r, "/orders/"+agg.Order.ID.String())
}

// cartRefused shows the cart again with the faults of the form. It returns any other error.
func (p *Portal) cartRefused(w http.ResponseWriter, r *http.Request, v *session, agg *app.Aggregate, err error) error {
	f := fault.Of(err)
	if f == nil || f.Kind != fault.KindInvalid {
		return err
	}
	faults := messages(f.Violations)
	if len(faults) == 0 {
		faults = []string{f.Detail}
	}
	return p.showCart(w, r, v, agg, http.StatusUnprocessableEntity, faults)
}

// methodNamed returns the payment method with a name. It returns false when the method is not offered.
func methodNamed(methods []payment.Method, name string) (payment.Method, bool) {
	i := slices.IndexFunc(methods, func(m payment.Method) bool { return m.Name == name })
	if i < 0 {
		return payment.Method{}, false
	}
	return methods[i], true
}
