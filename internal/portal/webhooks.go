package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
)

// settingsTabs lists the pages of the settings that a visitor may open.
func (p *Portal) settingsTabs(v *session, here string) []tab {
	tabs := []tab{{"Organisation", "/settings", here == "/settings"}}
	if p.useCases.May(v.Actor, app.ReadWebhooks) {
		tabs = append(tabs, tab{"Webhooks", "/settings/webhooks", here == "/settings/webhooks"})
	}
	return tabs
}

// webhooksView lists the endpoints, with the form to add one.
type webhooksView struct {
	Tabs      []tab
	Endpoints []app.WebhookEndpoint
	MayWrite  bool
	Form      webhookForm
	Faults    []string
}

// webhookForm is what a person entered.
type webhookForm struct {
	URL, Description string
	Types            []event.Type
}

// Has reports whether an event type is ticked.
func (f webhookForm) Has(t event.Type) bool { return slices.Contains(f.Types, t) }

func webhookFormOf(r *http.Request) webhookForm {
	f := webhookForm{URL: strings.TrimSpace(r.PostForm.Get("url")), Description: oneLine(r.PostForm.Get("description"))}
	for _, t := range r.PostForm["types"] {
		f.Types = append(f.Types, event.Type(t))
	}
	return f
}

func (p *Portal) webhooksPage(w http.ResponseWriter, r *http.Request, v *session) error {
	return p.showWebhooks(w, r, v, http.StatusOK, webhookForm{}, nil)
}

func (p *Portal) showWebhooks(
	w http.ResponseWriter, r *http.Request, v *session, status int, form webhookForm, faults []string,
) error {
	endpoints, err := p.useCases.WebhookEndpoints(r.Context(), v.Caller)
	if err != nil {
		return err
	}
	view := webhooksView{
		Tabs: p.settingsTabs(v, "/settings/webhooks"), Endpoints: endpoints,
		MayWrite: p.useCases.May(v.Actor, app.WriteWebhooks), Form: form, Faults: faults,
	}
	return p.show(w, r, status, webhooksPage(p.pageLayout(r, v, "settings", "Webhooks"), v, view))
}

func (p *Portal) addWebhook(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	if p.requireFresh(w, r, v, "/settings/webhooks") {
		return nil
	}
	form := webhookFormOf(r)
	issued, err := p.useCases.AddWebhookEndpoint(r.Context(), v.Caller, app.AddWebhookEndpoint(form))
	if faults := formFaults(err); faults != nil {
		return p.showWebhooks(w, r, v, http.StatusUnprocessableEntity, form, faults)
	}
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, secretPage(p.pageLayout(r, v, "settings", "Signing secret"), issued))
}

// formFaults returns the faults with which a form is shown again; nil for any other error.
func formFaults(err error) []string {
	f := fault.Of(err)
	switch {
	case f == nil || f.Kind != fault.KindInvalid && f.Kind != fault.KindConflict || f.Code == fault.CodeVersionConflict:
		return nil
	case len(f.Violations) > 0:
		return messages(f.Violations)
	}
	return []string{f.Detail}
}

// webhookView is one endpoint with its webhook deliveries.
type webhookView struct {
	E          app.WebhookEndpoint
	MayWrite   bool
	Form       webhookForm
	Faults     []string
	State      string // the list shows only deliveries in this state; "": all
	Deliveries []app.WebhookDelivery
	First      bool   // this is the first page of the list
	Older      string // link to the next page, "" on the last page
}

// Base returns the path of the endpoint's page.
func (view webhookView) Base() string { return "/settings/webhooks/" + view.E.ID.String() }

func (p *Portal) webhookPage(w http.ResponseWriter, r *http.Request, v *session) error {
	return p.showWebhook(w, r, v, http.StatusOK, nil, nil)
}

func (p *Portal) showWebhook(
	w http.ResponseWriter, r *http.Request, v *session, status int, form *webhookForm, faults []string,
) error {
	e, err := p.webhookEndpoint(r, v)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := app.WebhookDeliveryFilter{Cursor: q.Get("cursor"), Limit: pageSize}
	view := webhookView{
		E: e, MayWrite: p.useCases.May(v.Actor, app.WriteWebhooks), Faults: faults, First: q.Get("cursor") == "",
		Form: webhookForm{URL: e.URL, Description: e.Description, Types: e.Types},
	}
	if form != nil {
		view.Form = *form
	}
	for _, s := range webhookDeliveryStates {
		if s.String() == q.Get("state") {
			f.State, view.State = &s, s.String()
		}
	}
	page, err := p.useCases.WebhookDeliveries(r.Context(), v.Caller, e.ID, f)
	if err != nil {
		return err
	}
	if view.Deliveries = page.Data; page.Next != "" {
		view.Older = view.Base() + "?" + url.Values{"state": {view.State}, "cursor": {page.Next}}.Encode()
	}
	return p.show(w, r, status, webhookPage(p.pageLayout(r, v, "settings", "Webhook"), v, view))
}

var webhookDeliveryStates = []app.WebhookDeliveryState{
	app.WebhookDeliveryPending, app.WebhookDeliveryDelivered, app.WebhookDeliveryFailed,
}

func (p *Portal) webhookEndpoint(r *http.Request, v *session) (app.WebhookEndpoint, error) {
	e, err := id.Parse[app.WebhookEndpoint](r.PathValue("webhook"))
	if err != nil {
		return app.WebhookEndpoint{}, errNoPage
	}
	return p.useCases.WebhookEndpoint(r.Context(), v.Caller, e)
}

// changeWebhook handles the forms of a webhook's page: edit, enable and disable, rotate the secret, delete.
func (p *Portal) changeWebhook(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	pre, err := sentVersion(r)
	if err != nil {
		return err
	}
	e, err := p.webhookEndpoint(r, v)
	if err != nil {
		return err
	}
	here := "/settings/webhooks/" + e.ID.String()
	do := r.PostForm.Get("do")
	if do != "enable" && do != "disable" && p.requireFresh(w, r, v, here) {
		return nil
	}
	switch do {
	case "rotate":
		return p.rotateSecret(w, r, v, e, pre)
	case "delete":
		if _, err := p.useCases.DeleteWebhookEndpoint(r.Context(), v.Caller, e.ID, pre); err != nil {
			return err
		}
		p.flash(r, "The webhook is deleted, and its secret with it. Nothing is posted there any more.")
		return seeOther(w, r, "/settings/webhooks")
	case "enable", "disable":
		on := do == "enable"
		if _, err := p.useCases.EditWebhookEndpoint(r.Context(), v.Caller, app.EditWebhookEndpoint{
			WebhookEndpoint: e.ID, Enabled: &on, Precondition: pre,
		}); err != nil {
			return err
		}
		if on {
			p.flash(r, "The webhook is in service. What waited is posted now.")
		} else {
			p.flash(r, "The webhook is disabled. What is pending waits; new events are not kept for it.")
		}
		return seeOther(w, r, here)
	}
	form := webhookFormOf(r)
	_, err = p.useCases.EditWebhookEndpoint(r.Context(), v.Caller, app.EditWebhookEndpoint{
		WebhookEndpoint: e.ID, URL: &form.URL, Description: &form.Description, Types: &form.Types, Precondition: pre,
	})
	if faults := formFaults(err); faults != nil {
		return p.showWebhook(w, r, v, http.StatusUnprocessableEntity, &form, faults)
	}
	if err != nil {
		return err
	}
	p.flash(r, "The webhook was saved.")
	return seeOther(w, r, here)
}

func (p *Portal) rotateSecret(
	w http.ResponseWriter, r *http.Request, v *session, e app.WebhookEndpoint, pre app.Precondition,
) error {
	hours, err := strconv.Atoi(r.PostForm.Get("overlap"))
	if err != nil {
		return p.showWebhook(w, r, v, http.StatusUnprocessableEntity, nil, []string{
			"Choose how long the current secret stays valid.",
		})
	}
	overlap := time.Duration(hours) * time.Hour
	issued, err := p.useCases.RotateWebhookSecret(r.Context(), v.Caller, app.RotateWebhookSecret{
		WebhookEndpoint: e.ID, Overlap: &overlap, Precondition: pre,
	})
	if faults := formFaults(err); faults != nil {
		return p.showWebhook(w, r, v, http.StatusUnprocessableEntity, nil, faults)
	}
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, secretPage(p.pageLayout(r, v, "settings", "Signing secret"), issued))
}

func (p *Portal) webhookDeliveryPage(w http.ResponseWriter, r *http.Request, v *session) error {
	e, err := p.webhookEndpoint(r, v)
	if err != nil {
		return err
	}
	d, err := id.Parse[app.WebhookDelivery](r.PathValue("delivery"))
	if err != nil {
		return errNoPage
	}
	delivery, err := p.useCases.WebhookDelivery(r.Context(), v.Caller, e.ID, d)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, webhookDeliveryPage(p.pageLayout(r, v, "settings", "Webhook delivery"), v, e,
		delivery, p.useCases.May(v.Actor, app.WriteWebhooks)))
}

func (p *Portal) replayWebhookDelivery(w http.ResponseWriter, r *http.Request, v *session) error {
	e, err := p.webhookEndpoint(r, v)
	if err != nil {
		return err
	}
	d, err := id.Parse[app.WebhookDelivery](r.PathValue("delivery"))
	if err != nil {
		return errNoPage
	}
	if _, err := p.useCases.ReplayWebhookDelivery(r.Context(), v.Caller, e.ID, d); err != nil {
		return err
	}
	p.flash(r, "The event is posted again, with the same webhook-id.")
	return seeOther(w, r, "/settings/webhooks/"+e.ID.String()+"/deliveries/"+d.String())
}

func webhookEndpointTone(e app.WebhookEndpoint) tone {
	switch e.State {
	case app.WebhookEndpointFailing:
		return tone{"bad", "alert"}
	case app.WebhookEndpointDisabled:
		return tone{"calm", "pause"}
	}
	if e.Failures > 0 {
		return tone{"warn", "undo"}
	}
	return tone{"good", "check"}
}

func webhookEndpointText(e app.WebhookEndpoint) string {
	if e.State == app.WebhookEndpointActive && e.Failures > 0 {
		return "Active, last calls failed"
	}
	return words(e.State.String())
}

// webhookEndpointWhy says why an endpoint was stopped, and what to do.
var webhookEndpointWhy = map[app.WebhookEndpointReason]string{
	app.WebhookEndpointExhausted: "A delivery was not accepted in three days of calls, so it is not called any more. " +
		"Events are kept: repair your endpoint, then post one again or take the webhook back into service.",
	app.WebhookEndpointGone: "It answered 410 Gone, which asks never to be called again. Enable it if that was a " +
		"mistake; events since then were not kept.",
	app.WebhookEndpointByHand: "Somebody in your organisation disabled it. New events are not kept for it.",
}

func webhookDeliveryTone(delivery app.WebhookDelivery) tone {
	switch delivery.State {
	case app.WebhookDeliveryDelivered:
		return tone{"good", "check"}
	case app.WebhookDeliveryFailed:
		return tone{"bad", "alert"}
	case app.WebhookDeliveryDropped:
		return tone{"calm", "cross"}
	}
	if delivery.Calls > 0 {
		return tone{"warn", "undo"}
	}
	return tone{"busy", "clock"}
}

// resultTexts describe the result of a call.
var resultTexts = map[app.CallResult]string{
	app.CallAccepted: "Accepted", app.CallGone: "Gone: never call again", app.CallBusy: "Not now",
	app.CallRedirected: "Redirected; redirects are not followed", app.CallRefused: "Refused",
	app.CallTimedOut: "No answer within 5 seconds", app.CallNameNotFound: "The name does not resolve",
	app.CallUnreachable: "No connection, or it broke", app.CallBadTLS: "No TLS that can be trusted",
	app.CallForbiddenAddress: "The address is not on the public internet",
}

// answerText returns a call's HTTP status with its meaning.
func answerText(status int, r app.CallResult) string {
	switch {
	case r == "":
		return "Not called yet"
	case status == 0:
		return resultTexts[r]
	}
	return strconv.Itoa(status) + " · " + resultTexts[r]
}

// typesText describes the events that an endpoint gets.
func typesText(types []event.Type) string {
	switch len(types) {
	case 0:
		return "All events"
	case 1, 2:
		return strings.Join(namesOf(types), ", ")
	}
	return count(len(types), "event", "events")
}

func namesOf(types []event.Type) []string {
	texts := make([]string, len(types))
	for i, t := range types {
		texts[i] = string(t)
	}
	return texts
}

// secretTimes returns when the endpoint's current secret was made, and until when the previous one is valid.
func secretTimes(e app.WebhookEndpoint) (made, previousUntil time.Time) {
	for _, s := range e.Secrets {
		if s.ExpiresAt.IsZero() {
			made = s.CreatedAt
		} else {
			previousUntil = s.ExpiresAt
		}
	}
	return made, previousUntil
}
