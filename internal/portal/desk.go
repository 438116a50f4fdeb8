package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

// deskTabs lists the pages of the desk that a visitor may open.
func (p *Portal) deskTabs(v *session, here string) []tab {
	pages := []struct {
		text, path string
		need       app.Permission
	}{
		{"Payments", "/desk/payments", app.ConfirmMoney},
		{"Refunds by hand", "/desk/refunds", app.ReadDesk},
		{"Dead letters", "/desk/dead-letters", app.ReadDesk},
		{"Figures", "/desk/figures", app.ReadAnalytics},
		{"Routing", "/desk/routing", app.ReadRouting},
	}
	var tabs []tab
	for _, page := range pages {
		if p.useCases.May(v.Actor, page.need) {
			tabs = append(tabs, tab{page.text, page.path, page.path == here})
		}
	}
	return tabs
}

func (p *Portal) deskPage(w http.ResponseWriter, r *http.Request, v *session) error {
	if p.useCases.May(v.Actor, app.ConfirmMoney) {
		return seeOther(w, r, "/desk/payments")
	}
	return seeOther(w, r, "/desk/dead-letters")
}

func (p *Portal) paymentsPage(w http.ResponseWriter, r *http.Request, v *session) error {
	page, err := p.useCases.Orders(r.Context(), v.Caller, app.OrderFilter{
		State: order.PendingPayment, Query: r.URL.Query().Get("q"), Cursor: r.URL.Query().Get("cursor"), Limit: pageSize,
	})
	if err != nil {
		return err
	}
	view := listView{Query: r.URL.Query().Get("q"), First: r.URL.Query().Get("cursor") == ""}
	for _, agg := range page.Data {
		view.Rows = append(view.Rows, rowOf(agg))
	}
	if page.Next != "" {
		view.Older = "/desk/payments?" + url.Values{"q": {view.Query}, "cursor": {page.Next}}.Encode()
	}
	return p.show(w, r, http.StatusOK, paymentsPage(p.pageLayout(r, v, "desk", "Payments to confirm"), v,
		p.deskTabs(v, "/desk/payments"), view))
}

// refundsView lists the refunds that a person has to make by hand.
type refundsView struct {
	Items    []app.WorkItem
	Older    string
	MayWrite bool
}

func (p *Portal) refundsPage(w http.ResponseWriter, r *http.Request, v *session) error {
	page, err := p.useCases.WorkItems(r.Context(), v.Caller, r.URL.Query().Get("cursor"), pageSize)
	if err != nil {
		return err
	}
	view := refundsView{Items: page.Data, MayWrite: p.useCases.May(v.Actor, app.WorkDesk)}
	if page.Next != "" {
		view.Older = "/desk/refunds?" + url.Values{"cursor": {page.Next}}.Encode()
	}
	return p.show(w, r, http.StatusOK, refundsPage(p.pageLayout(r, v, "desk", "Refunds by hand"), v,
		p.deskTabs(v, "/desk/refunds"), view))
}

func (p *Portal) finishRefund(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	refund, err := id.Parse[order.Refund](r.PathValue("refund"))
	if err != nil {
		return errNoPage
	}
	o, err := id.Parse[order.Order](r.PostForm.Get("order"))
	if err != nil {
		return errNoPage
	}
	reason := oneLine(r.PostForm.Get("reason"))
	if err := checkReason(reason); err != nil {
		return err
	}
	if _, err := p.useCases.FinishWorkItem(r.Context(), v.Caller, refund, o, reason); err != nil {
		return err
	}
	p.flash(r, "The refund is marked as done.")
	return seeOther(w, r, "/desk/refunds")
}

// checkReason refuses a missing or too long reason. It answers forms whose controls require one, so that a
// browser always sends it.
func checkReason(reason string) error {
	if n := len([]rune(reason)); n == 0 || n > maxReason {
		return fault.Violated([]fault.Violation{{
			Pointer: "/reason", Code: "required",
			Message: fmt.Sprintf("Give a reason of one to %d characters. It is kept in the record.", maxReason),
		}})
	}
	return nil
}

// deadLettersView lists dead letters, and groups those that share a cause.
type deadLettersView struct {
	DeadLetters []app.DeadLetter
	Groups      []app.DeadLetterGroup
	All         bool
	Older       string
	MayWrite    bool
}

func (p *Portal) deadLettersPage(w http.ResponseWriter, r *http.Request, v *session) error {
	open := app.DeadLetterOpen
	f := app.DeadLetterFilter{State: &open, Cursor: r.URL.Query().Get("cursor"), Limit: pageSize}
	view := deadLettersView{All: r.URL.Query().Get("state") == "all", MayWrite: p.useCases.May(v.Actor, app.WorkDesk)}
	if view.All {
		f.State = nil
	}
	page, err := p.useCases.DeadLetters(r.Context(), v.Caller, f)
	if err != nil {
		return err
	}
	view.DeadLetters = page.Data
	if !view.All && f.Cursor == "" {
		groups, err := p.useCases.DeadLetterGroups(r.Context(), v.Caller, app.DeadLetterFilter{})
		if err != nil {
			return err
		}
		for _, g := range groups {
			if g.Count > 1 && g.Suggested() != app.SuggestWait {
				view.Groups = append(view.Groups, g)
			}
		}
	}
	if page.Next != "" {
		view.Older = "/desk/dead-letters?" + url.Values{"cursor": {page.Next}, "state": {r.URL.Query().Get("state")}}.Encode()
	}
	return p.show(w, r, http.StatusOK, deadLettersPage(p.pageLayout(r, v, "desk", "Dead letters"), v,
		p.deskTabs(v, "/desk/dead-letters"), view))
}

// suggestions are what an operator should try first.
var suggestions = map[app.Suggestion]string{
	app.SuggestRedrive:   "Redrive it: the fault may be over.",
	app.SuggestRemove:    "Remove it at the provider by hand, then redrive it.",
	app.SuggestPayByHand: "Refund it by hand, then two people sign to abandon it.",
	app.SuggestAddress:   "Correct the customer's address or key, then redrive it.",
	app.SuggestSecond:    "One person has signed to abandon it; a second one checks the proof.",
	app.SuggestWait:      "Nothing to do: it closes automatically.",
	app.SuggestNothing:   "Nothing to do.",
}

func (p *Portal) routingPage(w http.ResponseWriter, r *http.Request, v *session) error {
	routing, err := p.useCases.Routing(r.Context(), v.Caller)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, routingPage(p.pageLayout(r, v, "desk", "Routing"),
		p.deskTabs(v, "/desk/routing"), routing))
}

// routedTo reports whether an event is routed to a consumer.
func routedTo(e app.RoutedEvent, c event.Consumer) bool { return slices.Contains(e.Consumers, c) }

func deadLetterTone(d app.DeadLetter) tone {
	if d.State == app.DeadLetterOpen || d.State == app.DeadLetterParked {
		return tone{"bad", "alert"}
	}
	return tone{"calm", "check"}
}
