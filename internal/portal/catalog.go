package portal

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

func (p *Portal) catalogPage(w http.ResponseWriter, r *http.Request, v *session) error {
	cat, err := p.useCases.Catalog(r.Context())
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, catalogPage(p.pageLayout(r, v, "catalog", "Catalogue"), cat.Products()))
}

// configView is the configurator of one product.
type configView struct {
	Product  catalog.Product
	Editing  *editing // an item of a draft, or nil for a new one
	Label    string
	Plan     string
	Region   string
	Cycle    string
	Fields   []field
	Head     map[string]string // faults of the members outside the configuration, by name
	Quote    quoteView
	Summary  []string // all faults, when the form was submitted
	MayOrder bool
	Simulate map[string]bool // regions that are simulated
}

// editing identifies the item that is changed.
type editing struct {
	Order   order.ID
	Item    order.ItemID
	Version int
}

// quoteView is the price of the configuration as entered.
type quoteView struct {
	OK       bool
	Lines    []lineView
	Monthly  string // of the first period, "" when billed by the year
	Annual   string
	Due      string
	Rate     string // how euros were converted, "" when they were not
	Other    []string
	Currency money.Currency
	Reduced  bool // the price is annual, a fifth less than twelve months
}

type lineView struct{ Title, Sum, Amount string }

// configViewOf returns the form of a product, with what was sent, or with the defaults when form is nil.
func (p *Portal) configViewOf(r *http.Request, v *session, form url.Values) (configView, error) {
	cat, err := p.useCases.Catalog(r.Context())
	if err != nil {
		return configView{}, err
	}
	product, ok := cat.Product(r.PathValue("product"))
	if !ok {
		return configView{}, errNoPage
	}
	fields, err := parseFields(product.Schema)
	if err != nil {
		return configView{}, err
	}
	d := product.Default
	view := configView{
		Product: product, Plan: d.Plan, Region: d.Region, Cycle: string(d.Cycle), Head: map[string]string{},
		MayOrder: p.useCases.May(v.Actor, app.WriteOrders), Simulate: map[string]bool{},
	}
	for _, region := range product.Regions {
		view.Simulate[region] = p.cfg.Simulated(product.ID, region, "")
	}
	if form != nil {
		view.Label, view.Plan = strings.TrimSpace(form.Get("label")), form.Get("plan")
		view.Region, view.Cycle = form.Get("region"), form.Get("billing_cycle")
		view.Fields = entered(fields, form)
		return view, nil
	}
	view.Fields = filled(fields, d.Configuration)
	return view, nil
}

func (v configView) input() (app.ItemInput, error) {
	configuration, err := configurationOf(v.Fields)
	in := app.ItemInput{
		Product: v.Product.ID, Plan: v.Plan, Region: v.Region, BillingCycle: v.Cycle, Label: v.Label,
		Configuration: configuration,
	}
	if v.Editing != nil {
		in.ID = v.Editing.Item.String()
	}
	return in, err
}

// priced asks for the quote and adds its faults to the fields that they are about.
func (p *Portal) priced(r *http.Request, v *session, view configView) (configView, error) {
	in, err := view.input()
	if err != nil {
		return view, err
	}
	if !p.useCases.May(v.Actor, app.AskQuote) {
		return view, nil
	}
	q, err := p.useCases.Quote(r.Context(), v.Caller, []app.ItemInput{in}, "")
	if f := fault.Of(err); f != nil && f.Kind == fault.KindInvalid {
		view.Quote.Other = append(view.Quote.Other, f.Detail)
		return view, nil
	}
	if err != nil {
		return view, err
	}
	view = view.withFaults(q.Faults)
	view.Quote.Currency = q.Currency
	if len(q.Items) != 1 || !q.Items[0].OK {
		return view, nil
	}
	it := q.Items[0]
	view.Quote.OK = true
	view.Quote.Lines = linesOf(view.Product, it.Lines)
	view.Quote.Due = amount(it.Due, q.Currency)
	if it.Cycle == string(catalog.Annual) {
		view.Quote.Annual, view.Quote.Reduced = amount(it.Due, q.Currency), true
	} else {
		view.Quote.Monthly = amount(it.Monthly, q.Currency)
	}
	view.Quote.Rate = rateText(q.FX, q.Currency)
	return view, nil
}

func rateText(fx *order.FX, cur money.Currency) string {
	if fx == nil {
		return ""
	}
	return fmt.Sprintf("Converted at %s %s for one euro (%s, %s).", fx.Rate, cur, fx.Source, fx.At.Format("2 Jan 2006"))
}

// withFaults adds each fault to its field. A fault that belongs to no field is listed with the price.
func (v configView) withFaults(faults []fault.Violation) configView {
	const at = "/items/0"
	byPointer := map[string]string{}
	for _, f := range faults {
		if _, known := byPointer[f.Pointer]; !known {
			byPointer[f.Pointer] = f.Message
		}
	}
	v.Fields = withFaults(v.Fields, byPointer, at)
	for _, f := range faults {
		v.Summary = append(v.Summary, f.Message)
		name := strings.TrimPrefix(f.Pointer, at+"/")
		switch {
		case slices.Contains([]string{"plan", "region", "billing_cycle", "label"}, name):
			v.Head[name] = f.Message
		case !strings.HasPrefix(name, "configuration/"):
			v.Quote.Other = append(v.Quote.Other, f.Message)
		}
	}
	return v
}

// linesOf describes the lines of a price with the titles and units of the product's price list.
func linesOf(product catalog.Product, lines []order.PriceLine) []lineView {
	views := make([]lineView, 0, len(lines))
	for _, l := range lines {
		title, unit := words(l.Component), ""
		if i := slices.IndexFunc(product.Prices, func(pr catalog.Price) bool { return pr.Component == l.Component }); i >= 0 {
			title, unit = product.Prices[i].Title, product.Prices[i].Unit
		}
		sum := fmt.Sprintf("%s × %s", grouped(fmt.Sprint(l.Quantity)), amount(l.UnitPrice, app.CatalogCurrency))
		if unit != "" && unit != "month" {
			sum = fmt.Sprintf("%s %s × %s", grouped(fmt.Sprint(l.Quantity)), plural(unit, l.Quantity),
				amount(l.UnitPrice, app.CatalogCurrency))
		}
		views = append(views, lineView{title, sum, amount(l.Amount, app.CatalogCurrency)})
	}
	return views
}

// plural returns the plural of a unit. Abbreviations such as GB stay as they are.
func plural(unit string, n int64) string {
	if n == 1 || strings.ToUpper(unit) == unit {
		return unit
	}
	return unit + "s"
}

func (p *Portal) configurator(w http.ResponseWriter, r *http.Request, v *session) error {
	view, err := p.configViewOf(r, v, nil)
	if err != nil {
		return err
	}
	if r.URL.Query().Has("item") {
		if view, err = p.editedItem(r, v, view); err != nil {
			return err
		}
	}
	if view, err = p.priced(r, v, view); err != nil {
		return err
	}
	view.Summary = nil // nothing was submitted yet
	return p.show(w, r, http.StatusOK, configPage(p.pageLayout(r, v, "catalog", view.Product.Title), view))
}

// editedItem fills the form with the item of a draft that the query names: ?order=…&item=….
func (p *Portal) editedItem(r *http.Request, v *session, view configView) (configView, error) {
	q := r.URL.Query()
	o, it, err := p.draftItem(r, v, q.Get("order"), q.Get("item"))
	if err != nil {
		return view, err
	}
	s := it.Snapshot
	view.Editing = &editing{Order: o.ID, Item: it.ID, Version: o.Version}
	view.Label, view.Plan, view.Region, view.Cycle = it.Label, s.Plan, s.Region, s.BillingCycle
	view.Fields = filled(view.Fields, s.Configuration)
	return view, nil
}

func (p *Portal) draftItem(r *http.Request, v *session, orderID, itemID string) (*order.Order, *order.Item, error) {
	o, err := id.Parse[order.Order](orderID)
	if err != nil {
		return nil, nil, errNoPage
	}
	agg, err := p.useCases.Order(r.Context(), v.Caller, o)
	if err != nil {
		return nil, nil, err
	}
	for i := range agg.Order.Items {
		if agg.Order.Items[i].ID.String() == itemID {
			return agg.Order, &agg.Order.Items[i], nil
		}
	}
	return nil, nil, errNoPage
}

// quote answers with the live price: the fragments of lines, total and faults. It never sends the form's controls,
// so that nobody loses what they are typing.
func (p *Portal) quote(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	view, err := p.configViewOf(r, v, r.PostForm)
	if err != nil {
		return err
	}
	if view, err = p.priced(r, v, view); err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, quoteFragments(view))
}

// addToCart puts the submitted form into the cart. For "Recalculate", the button of browsers without scripts, it
// only shows the page again with its price.
func (p *Portal) addToCart(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	view, err := p.configViewOf(r, v, r.PostForm)
	if err != nil {
		return err
	}
	if item := r.PostForm.Get("item"); item != "" {
		o, it, err := p.draftItem(r, v, r.PostForm.Get("order"), item)
		if err != nil {
			return err
		}
		view.Editing = &editing{Order: o.ID, Item: it.ID, Version: o.Version}
	}
	if view, err = p.priced(r, v, view); err != nil {
		return err
	}
	showAgain := func(status int) error {
		return p.show(w, r, status, configPage(p.pageLayout(r, v, "catalog", view.Product.Title), view))
	}
	if r.PostForm.Get("do") == "price" {
		return showAgain(http.StatusOK)
	}
	if !view.Quote.OK || len(view.Summary) > 0 {
		return showAgain(http.StatusUnprocessableEntity)
	}
	agg, err := p.putInCart(r, v, view)
	if f := fault.Of(err); f != nil && len(f.Violations) > 0 { // about another item or the whole order
		view.Summary = messages(f.Violations)
		return showAgain(http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	p.rememberCart(r, agg.Order)
	name := cmp.Or(view.Label, view.Product.Title)
	if view.Editing != nil {
		p.flash(r, name+" was changed.")
	} else {
		p.flash(r, name+" is in your cart.")
	}
	return seeOther(w, r, "/orders/"+agg.Order.ID.String()+"/cart")
}

func messages(faults []fault.Violation) []string {
	var m []string
	for _, f := range faults {
		m = append(m, f.Message)
	}
	return m
}

// putInCart changes the item in its draft, or adds it to the person's cart. When somebody else has changed the
// cart meanwhile, it reads the cart again and tries once more.
func (p *Portal) putInCart(r *http.Request, v *session, view configView) (*app.Aggregate, error) {
	in, err := view.input()
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		agg, err := p.tryCart(r, v, view, in)
		if f := fault.Of(err); try == 0 && f != nil && f.Code == fault.CodeVersionConflict {
			continue
		}
		return agg, err
	}
}

func (p *Portal) tryCart(r *http.Request, v *session, view configView, in app.ItemInput) (*app.Aggregate, error) {
	ctx := r.Context()
	var cart *app.Aggregate
	var err error
	if view.Editing != nil {
		cart, err = p.useCases.Order(ctx, v.Caller, view.Editing.Order)
	} else {
		cart, err = p.findCart(r, v)
	}
	switch {
	case errors.Is(err, errNoCart):
		return p.useCases.CreateOrder(ctx, v.Caller, app.CreateOrder{Items: []app.ItemInput{in}})
	case err != nil:
		return nil, err
	}
	items := inputsOf(cart.Order)
	if view.Editing == nil {
		items = append(items, in)
	}
	for i := range items {
		if view.Editing != nil && items[i].ID == in.ID {
			items[i] = in
		}
	}
	version := cart.Order.Version
	return p.useCases.EditOrder(ctx, v.Caller, app.EditOrder{
		Order: cart.Order.ID, Precondition: app.Precondition{Version: &version}, Items: &items,
	})
}

// inputsOf returns a draft's items as the input that leaves them unchanged.
func inputsOf(o *order.Order) []app.ItemInput {
	items := make([]app.ItemInput, 0, len(o.Items))
	for _, it := range o.Items {
		s := it.Snapshot
		items = append(items, app.ItemInput{
			ID: it.ID.String(), Product: s.Product, Plan: s.Plan, Region: s.Region, BillingCycle: s.BillingCycle,
			Label: it.Label, Configuration: s.Configuration,
		})
	}
	return items
}

// controlAttributes connects a control with its help and its fault.
func controlAttributes(f field) templ.Attributes {
	a := templ.Attributes{"aria-describedby": f.ID() + "-help fault-" + f.ID()}
	if f.Fault != "" {
		a["aria-invalid"] = "true"
	}
	if f.MaxLen != nil && f.Type == "string" {
		a["maxlength"] = strconv.FormatInt(*f.MaxLen, 10)
	}
	return a
}

func bound(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// perUnit returns what a plan's price is for: " a month", or " a TB and month".
func perUnit(plan catalog.Plan) string {
	if plan.Unit == "" || plan.Unit == "month" {
		return " a month"
	}
	return " a " + plan.Unit + " and month"
}

// includedText lists what a plan includes, the sizes of a machine first.
func includedText(included map[string]int64) string {
	known := []struct{ key, text string }{{"vcpu", "vCPU"}, {"ram_gb", "GB memory"}, {"disk_gb", "GB disk"}}
	var parts []string
	for _, k := range known {
		if n, ok := included[k.key]; ok {
			parts = append(parts, fmt.Sprintf("%d %s", n, k.text))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(included)) {
		if !slices.ContainsFunc(known, func(k struct{ key, text string }) bool { return k.key == key }) {
			parts = append(parts, fmt.Sprintf("%d %s", included[key], words(key)))
		}
	}
	return strings.Join(parts, " · ")
}
