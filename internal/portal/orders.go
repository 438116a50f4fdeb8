package portal

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// aggregate reads the aggregate of the order that the path names.
func (p *Portal) aggregate(r *http.Request, v *session) (*app.Aggregate, error) {
	o, err := id.Parse[order.Order](r.PathValue("order"))
	if err != nil {
		return nil, errNoPage
	}
	return p.useCases.Order(r.Context(), v.Caller, o)
}

// sentVersion returns the version of the order, the settings or the webhook that a form was rendered from.
func sentVersion(r *http.Request) (app.Precondition, error) {
	n, err := strconv.Atoi(r.PostForm.Get("version"))
	if err != nil {
		return app.Precondition{}, fault.New(fault.KindMalformed, "unreadable-form",
			"The form does not say which version it was made for.")
	}
	return app.Precondition{Version: &n}, nil
}

// listView is a page of orders.
type listView struct {
	Tabs  []tab
	State string
	Query string
	Rows  []orderRow
	Older string // link to the next page, "" on the last page
	First bool   // this is the first page, with the newest orders
	Whole bool   // the list has everybody's orders, so it names their customers
}

type tab struct {
	Text, Href string
	Here       bool
}

type orderRow struct {
	Order    *order.Order
	Items    string
	Due      string
	Customer string
}

// pageSize is the most rows of a list, about two screens.
const pageSize = 25

func (p *Portal) ordersPage(w http.ResponseWriter, r *http.Request, v *session) error {
	q := r.URL.Query()
	f := app.OrderFilter{Query: q.Get("q"), Cursor: q.Get("cursor"), Limit: pageSize}
	if v.isCustomer() {
		f.Customer = v.Member
	}
	state, known := order.ParseState(q.Get("state"))
	if known {
		f.State = state
	}
	page, err := p.useCases.Orders(r.Context(), v.Caller, f)
	if err != nil {
		return err
	}
	view := listView{Query: f.Query, First: f.Cursor == "", Whole: !v.isCustomer()}
	if known {
		view.State = state.String()
	}
	view.Tabs = append(view.Tabs, tab{"All", listLink("", f.Query, ""), !known})
	for _, s := range order.States() {
		view.Tabs = append(view.Tabs, tab{stateText(s), listLink(s.String(), f.Query, ""), known && s == state})
	}
	for _, agg := range page.Data {
		view.Rows = append(view.Rows, rowOf(agg))
	}
	if page.Next != "" {
		view.Older = listLink(view.State, f.Query, page.Next)
	}
	return p.show(w, r, http.StatusOK, ordersPage(p.pageLayout(r, v, "orders", "Orders"), v, view))
}

func rowOf(agg *app.Aggregate) orderRow {
	o := agg.Order
	row := orderRow{Order: o, Due: amount(o.Due, o.Currency), Customer: agg.Customer.Email}
	for i, it := range o.Items {
		if i == 2 && len(o.Items) > 3 {
			row.Items += " and " + count(len(o.Items)-i, "more", "more")
			break
		}
		if i > 0 {
			row.Items += ", "
		}
		row.Items += nameOf(it)
	}
	if row.Items == "" {
		row.Items = "No items yet"
	}
	return row
}

// nameOf returns the customer's own name for an item, else the product's title.
func nameOf(it order.Item) string {
	if it.Label != "" {
		return it.Label
	}
	return it.Snapshot.Title
}

func listLink(state, query, cursor string) string {
	q := url.Values{}
	for name, value := range map[string]string{"state": state, "q": query, "cursor": cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return "/orders"
	}
	return "/orders?" + q.Encode()
}

var stateTexts = map[order.State]string{
	order.Draft: "Draft", order.PendingPayment: "Awaiting payment", order.PaymentConfirmed: "Paid",
	order.Validating: "Validating", order.Provisioning: "Provisioning",
	order.PartiallyFulfilled: "Partially fulfilled", order.Fulfilled: "Fulfilled", order.Cancelled: "Cancelled",
	order.Failed: "Failed",
}

func stateText(s order.State) string { return stateTexts[s] }

// tone is the look of a state: a CSS class for its colour, and an icon. A word always accompanies them.
type tone struct{ Class, Icon string }

func stateTone(o *order.Order) tone {
	switch {
	case o.Settlement == order.SettlementStuck:
		return tone{"bad", "alert"}
	case o.Settlement == order.SettlementCompensating:
		return tone{"warn", "undo"}
	}
	switch o.State {
	case order.Fulfilled:
		if o.Outcome == order.OutcomePartial {
			return tone{"warn", "check"}
		}
		return tone{"good", "check"}
	case order.PendingPayment:
		return tone{"warn", "clock"}
	case order.Cancelled:
		return tone{"calm", "cross"}
	case order.Failed:
		return tone{"bad", "cross"}
	case order.Draft:
		return tone{"calm", "pen"}
	}
	return tone{"busy", "gear"}
}

var itemTexts = map[order.ItemState]string{
	order.ItemPending: "Not started", order.ItemQueued: "Queued", order.ItemProvisioning: "Being built",
	order.ItemActive: "Ready, delivery under way", order.ItemDelivered: "Delivered",
	order.ItemRetryWait: "Waiting to try again", order.ItemWaitingCapacity: "Waiting for capacity",
	order.ItemCompensating: "Being removed and refunded",
	order.ItemRolledBack:   "Removed and refunded", order.ItemCancelled: "Cancelled",
	order.ItemStuck: "Removal needs a person",
}

var itemTones = map[order.ItemState]tone{
	order.ItemPending: {"calm", "clock"}, order.ItemQueued: {"calm", "clock"}, order.ItemProvisioning: {"busy", "gear"},
	order.ItemActive: {"busy", "mail"}, order.ItemDelivered: {"good", "check"}, order.ItemRetryWait: {"warn", "clock"},
	order.ItemWaitingCapacity: {"warn", "pause"}, order.ItemCompensating: {"warn", "undo"},
	order.ItemRolledBack: {"calm", "undo"}, order.ItemCancelled: {"calm", "cross"}, order.ItemStuck: {"bad", "alert"},
}
