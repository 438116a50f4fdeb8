package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/httpapi"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const anOrder = `{"items":[` + theVPS + `]}`

// wantReplay checks that again is the replay of the answer first, byte for byte.
func (r *integration) wantReplay(what string, first, again *httptest.ResponseRecorder) {
	r.Helper()
	if again.Header().Get("Idempotent-Replayed") != "true" {
		r.Errorf("%s was not replayed: %d %s", what, again.Code, again.Body)
	}
	h := again.Header().Clone()
	h.Del("Idempotent-Replayed")
	h.Set("X-Request-Id", first.Header().Get("X-Request-Id"))
	if again.Code != first.Code || again.Body.String() != first.Body.String() {
		r.Errorf("%s: the replay is %d %s, the first was %d %s", what, again.Code, again.Body, first.Code, first.Body)
	}
	if diff := cmp.Diff(first.Header(), h); diff != "" {
		r.Errorf("%s: headers of the replay (-first +replay):\n%s", what, diff)
	}
}

// wantFresh checks an answer, and that it is not a replay.
func (r *integration) wantFresh(what string, w *httptest.ResponseRecorder, wantAnswer string) {
	r.Helper()
	r.want(what, w, wantAnswer)
	if w.Header().Get("Idempotent-Replayed") != "" {
		r.Errorf("%s was replayed", what)
	}
}

func TestAHundredRequestsWithOneKeyHaveOneEffect(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	submitted := r.submitted()
	for what, at := range map[string]struct{ who, target, body, first string }{
		"create": {r.keyOf(tenant.Customer), "/v1/orders", anOrder, "201"},
		"confirm": {
			r.keyOf(tenant.Operator), "/v1/orders/" + submitted.ID + "/payment/confirm",
			confirmation("once", submitted.Totals.DueNow), "200",
		},
	} {
		before := r.count(`SELECT count(*) FROM platforma.order_event`)
		answers := make([]*httptest.ResponseRecorder, 100)
		var senders sync.WaitGroup
		start := make(chan struct{})
		for i := range answers {
			req := r.request(at.who, "POST", at.target, at.body, "Idempotency-Key", "one-key-"+what)
			senders.Go(func() {
				<-start
				answers[i] = httptest.NewRecorder()
				r.api.ServeHTTP(answers[i], req)
			})
		}
		close(start)
		senders.Wait()
		var first *httptest.ResponseRecorder
		for _, w := range answers {
			if statusAndCode(w) == at.first && w.Header().Get("Idempotent-Replayed") == "" {
				if first != nil {
					t.Fatalf("%s: two first answers:\n%s\n%s", what, first.Body, w.Body)
				}
				first = w
			}
		}
		if first == nil {
			t.Fatalf("%s: no first answer among a hundred; one is %d %s", what, answers[0].Code, answers[0].Body)
		}
		for _, w := range answers {
			switch {
			case w == first:
			case w.Code == 409:
				r.want(what+" at the same time", w, "409 idempotency-key-in-use")
				if w.Header().Get("Retry-After") != "1" {
					t.Errorf("%s: in use, Retry-After = %q", what, w.Header().Get("Retry-After"))
				}
			default:
				r.wantReplay(what, first, w)
			}
		}
		if n := r.count(`SELECT count(*) FROM platforma.order_event`) - before; n != 1 {
			t.Errorf("%s: %d events of a hundred requests, want 1", what, n)
		}
		if n := r.count(`SELECT count(*) FROM platforma.idempotency WHERE key = $1`, "one-key-"+what); n != 1 {
			t.Errorf("%s: %d answers are stored, want 1", what, n)
		}
		r.wantReplay(what+" later", first, r.send(at.who, "POST", at.target, at.body, "Idempotency-Key", "one-key-"+what))
	}
	if n := r.count(`SELECT count(*) FROM platforma.orders`); n != 2 {
		t.Errorf("%d orders, want 2: the submitted one, and one for the hundred requests", n)
	}
}

func TestAKeyThatIsInUseIsRefusedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	conn := r.DB.Super(t)
	holder, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended($1::text || $2::text, 0))`,
		r.Tenant.ID.String(), "busy"); err != nil {
		t.Fatal(err)
	}
	before := r.rows()
	w := r.customer("POST", "/v1/orders", anOrder, "Idempotency-Key", "busy")
	r.want("a key in use", w, "409 idempotency-key-in-use")
	if got := w.Header().Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After = %q, want 1", got)
	}
	r.wantSameRows("a key in use", before)
	if err := holder.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantFresh("the key after its holder has rolled back",
		r.customer("POST", "/v1/orders", anOrder, "Idempotency-Key", "busy"), "201")
}

func TestEveryWriteReplaysItsAnswerByteForByteWithoutASecondEffect(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	n := 0
	write := func(what, who, method, target, body string) *httptest.ResponseRecorder {
		t.Helper()
		n++
		key := fmt.Sprintf("key-%d", n)
		first := r.send(who, method, target, body, "Idempotency-Key", key)
		if first.Code >= 300 {
			t.Fatalf("%s answered %d %s", what, first.Code, first.Body)
		}
		before := r.rows()
		r.wantReplay(what, first, r.send(who, method, target, body, "Idempotency-Key", `"`+key+`"`)) // the same key in quotes
		r.wantSameRows("the replay of "+what, before)
		return first
	}
	customer, operator, admin := r.keyOf(tenant.Customer), r.keyOf(tenant.Operator), r.keyOf(tenant.Admin)
	created := write("create", customer, "POST", "/v1/orders", `{"external_id":"po-1","items":[`+theVPS+`]}`)
	o := r.orderOf(created)
	at := "/v1/orders/" + o.ID
	if created.Header().Get("ETag") != `"1"` || created.Header().Get("Location") != at {
		t.Errorf("created with ETag %q and Location %q", created.Header().Get("ETag"), created.Header().Get("Location"))
	}
	write("edit", customer, "PATCH", at, `{"version":1,"fulfillment_policy":"all_or_nothing"}`)
	write("submit", customer, "POST", at+"/submit", `{"version":2}`)
	write("confirm", operator, "POST", at+"/payment/confirm", confirmation("r1", o.Totals.DueNow))
	write("hold", operator, "POST", at+"/hold", `{"reason":"look"}`)
	write("release", operator, "POST", at+"/release", "")
	write("revert", operator, "POST", at+"/payment/revert", `{"reason":"bounced"}`)
	write("confirm again", operator, "POST", at+"/payment/confirm", confirmation("r2", o.Totals.DueNow))
	cancelled := r.orderOf(write("cancel", customer, "POST", at+"/cancel", `{"reason":"changed my mind"}`))
	r.Drain(parseOrder(t, o.ID))
	write("work item", operator, "POST", "/v1/work-items/"+cancelled.Refunds[0].ID+"/done",
		`{"order":"`+o.ID+`","reason":"sent"}`)
	write("restore", customer, "POST", at+"/restore", "")
	write("submit again", customer, "POST", at+"/submit", "")
	write("confirm a third time", operator, "POST", at+"/payment/confirm", confirmation("r3", o.Totals.DueNow))
	r.Drain(parseOrder(t, o.ID))
	write("redeliver", customer, "POST", at+"/items/"+o.Items[0].ID+"/redeliver", "")
	write("delivery key away", customer, "DELETE", "/v1/me/delivery-key", "")
	write("settings", admin, "PUT", "/v1/settings", r.settings(nil))

	r.Sim.Script(sim.Fault{Label: "stays", Operation: sim.OpDelete, Kind: "refused"})
	r.Sim.Script(sim.Fault{Label: "stays", Step: "server", Operation: sim.OpCreate, Kind: "invalid"})
	stuck := r.orderOf(r.customer("POST", "/v1/orders", strings.Replace(anOrder, `"web"`, `"stays"`, 1)))
	r.orderOf(r.customer("POST", "/v1/orders/"+stuck.ID+"/submit", ""))
	r.orderOf(r.operator("POST", "/v1/orders/"+stuck.ID+"/payment/confirm", confirmation("r4", stuck.Totals.DueNow)))
	r.Drain(parseOrder(t, stuck.ID))
	var deadLetters struct{ Data []struct{ ID, Cause string } }
	r.decode(r.operator("GET", "/v1/dead-letters?state=open&order="+stuck.ID, ""), &deadLetters)
	for _, d := range deadLetters.Data {
		target, key := "/v1/dead-letters/"+d.ID+"/redrive", "redrive-"+d.ID
		if w := r.operator("POST", target, "", "Idempotency-Key", key); w.Code == 200 {
			r.wantReplay("redrive", w, r.operator("POST", target, "", "Idempotency-Key", key))
			return
		}
	}
	t.Errorf("none of the dead letters %+v of %s could be redriven", deadLetters.Data, r.Summary(parseOrder(t, stuck.ID)))
}

// settings returns a body for PUT: the tenant's settings with some members changed.
func (r *integration) settings(changed map[string]any) string {
	r.Helper()
	var s map[string]any
	r.decode(r.admin("GET", "/v1/settings", ""), &s)
	for name, v := range changed {
		s[name] = v
	}
	b, err := json.Marshal(s)
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

// changeVPS adds a new version of the product to the catalogue, in which texts are replaced.
func (r *integration) changeVPS(version int, oldNew ...string) {
	r.Helper()
	for _, e := range catalog.Default() {
		if e.Name != "vps" {
			continue
		}
		e.Version, e.ValidFrom = version, r.Clock.Now()
		e.Body = json.RawMessage(strings.NewReplacer(oldNew...).Replace(string(e.Body)))
		if err := r.DB.API(r).AddCatalogEntries(r.Context(), []catalog.Entry{e}, "test", "change the VPS"); err != nil {
			r.Fatalf("change the catalogue: %v", err)
		}
	}
	r.Clock.Advance(6 * time.Second) // processes see a change of the catalogue within 5 s
}

func TestARetriedCreateReplaysAfterTheCatalogueChanged(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	first := r.customer("POST", "/v1/orders", anOrder, "Idempotency-Key", "k")
	r.wantFresh("create", first, "201")
	r.changeVPS(2, `"business"`, `"commerce"`)
	r.wantFresh("the same without a key", r.customer("POST", "/v1/orders", anOrder), "422 validation-failed")
	r.wantReplay("the retry", first, r.customer("POST", "/v1/orders", anOrder, "Idempotency-Key", "k"))
}

func TestARetriedEditReplaysWithItsStaleVersionAndAReplayedSubmitRecreatesNothing(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.create(theVPS)
	at := "/v1/orders/" + o.ID
	first := r.customer("PATCH", at, `{"version":1,"external_id":"a"}`, "Idempotency-Key", "edit")
	r.wantFresh("edit", first, "200")
	byHeader := r.customer("PATCH", at, `{"external_id":"b"}`, "If-Match", `"2"`, "Idempotency-Key", "edit-2")
	r.wantFresh("edit by If-Match", byHeader, "200")
	r.wantFresh("edit with the stale version", r.customer("PATCH", at, `{"version":1,"external_id":"a"}`),
		"409 version-conflict")
	r.wantReplay("the retried edit", first, r.customer("PATCH", at, `{"version":1,"external_id":"a"}`,
		"Idempotency-Key", "edit"))
	r.wantReplay("the edit by If-Match", byHeader, r.customer("PATCH", at, `{"external_id":"b"}`, "If-Match", `"2"`,
		"Idempotency-Key", "edit-2"))
	submit := r.customer("POST", at+"/submit", "", "Idempotency-Key", "submit")
	r.wantFresh("submit", submit, "200")
	r.wantFresh("cancel", r.customer("POST", at+"/cancel", ""), "200")
	before := r.rows()
	r.wantReplay("submit after the cancel", submit, r.customer("POST", at+"/submit", "", "Idempotency-Key", "submit"))
	r.wantReplay("edit after the cancel", first, r.customer("PATCH", at, `{"version":1,"external_id":"a"}`,
		"Idempotency-Key", "edit"))
	r.wantSameRows("replays", before)
}

func TestAKeyBelongsToOneRequestOfOneMember(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.create(theVPS)
	at := "/v1/orders/" + o.ID
	const key = "only-one"
	r.wantFresh("edit", r.customer("PATCH", at, `{"external_id":"a"}`, "If-Match", `"1"`, "Idempotency-Key", key), "200")
	before := r.rows()
	const reused = "422 idempotency-key-reused"
	r.want("another body", r.customer("PATCH", at, `{"external_id":"b"}`, "If-Match", `"1"`, "Idempotency-Key", key),
		reused)
	r.want("the body spelt otherwise", r.customer("PATCH", at, `{"external_id": "a"}`, "If-Match", `"1"`,
		"Idempotency-Key", key), reused)
	r.want("another If-Match", r.customer("PATCH", at, `{"external_id":"a"}`, "If-Match", `"2"`, "Idempotency-Key", key),
		reused)
	r.want("another path", r.customer("POST", at+"/cancel", "{}", "Idempotency-Key", key), reused)
	r.want("another route", r.customer("POST", "/v1/orders", anOrder, "Idempotency-Key", key), reused)
	r.want("another member", r.operator("PATCH", at, `{"external_id":"a"}`, "If-Match", `"1"`, "Idempotency-Key", key),
		reused)
	r.want("another media type", r.customer("PATCH", at, `{"external_id":"a"}`, "If-Match", `"1"`, "Idempotency-Key", key,
		"Content-Type", "application/json; charset=utf-8"), reused)
	r.wantSameRows("a key of another request", before)
	r.wantFresh("another tenant's key of the same text", r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders",
		anOrder, "Idempotency-Key", key), "201")
}

func TestRefusalsOfUseCasesAreStoredAndThoseOfAccessAndFormAreNot(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.create(theVPS)
	at := "/v1/orders/" + o.ID
	stored := map[string]struct {
		who    string
		method string
		target string
		body   string
		header []string
		want   string
	}{
		"illegal": {
			r.keyOf(tenant.Operator), "POST", at + "/payment/confirm", confirmation("r", o.Totals.DueNow), nil,
			"409 illegal-transition",
		},
		"total": {
			r.keyOf(tenant.Customer), "POST", at + "/submit", `{"expected_total":{"amount":"1.00","currency":"EUR"}}`,
			nil, "422 total-mismatch",
		},
		"version": {r.keyOf(tenant.Customer), "POST", at + "/submit", `{"version":2}`, nil, "409 version-conflict"},
		"if-match": {
			r.keyOf(tenant.Customer), "POST", at + "/submit", "", []string{"If-Match", `"2"`}, "412 precondition-failed",
		},
		"fault": {
			r.keyOf(tenant.Customer), "POST", "/v1/orders", strings.Replace(anOrder, "business", "gold", 1), nil,
			"422 validation-failed",
		},
	}
	first := map[string]*httptest.ResponseRecorder{}
	for key, k := range stored {
		first[key] = r.send(k.who, k.method, k.target, k.body, append(k.header, "Idempotency-Key", key)...)
		r.wantFresh(key, first[key], k.want)
	}
	if n := r.count(`SELECT count(*) FROM platforma.idempotency`); n != len(stored) {
		t.Errorf("%d answers are stored, want %d", n, len(stored))
	}
	if n := r.count(`SELECT count(*) FROM platforma.order_event`); n != 1 {
		t.Errorf("%d events, want only that of the create: a stored refusal writes nothing else", n)
	}
	// The order is at version 2 now, and all requests except the one with the total would succeed.
	r.wantFresh("submit", r.customer("POST", at+"/submit", `{"version":1}`), "200")
	for key, k := range stored {
		r.wantReplay(key, first[key], r.send(k.who, k.method, k.target, k.body, append(k.header, "Idempotency-Key", key)...))
	}

	before := r.rows()
	r.want("forbidden", r.customer("POST", at+"/payment/confirm", confirmation("r", o.Totals.DueNow), "Idempotency-Key",
		"not-stored"), "403 forbidden")
	r.want("absent", r.operator("POST", "/v1/orders/"+noID+"/payment/confirm", confirmation("r", o.Totals.DueNow),
		"Idempotency-Key", "not-stored"), "404 not-found")
	r.want("malformed", r.operator("POST", at+"/payment/confirm", `{`, "Idempotency-Key", "not-stored"),
		"400 malformed-json")
	r.want("by schema", r.operator("POST", at+"/payment/confirm", `{}`, "Idempotency-Key", "not-stored"),
		"422 validation-failed")
	r.want("nobody", r.send("", "POST", at+"/payment/confirm", confirmation("r", o.Totals.DueNow), "Idempotency-Key",
		"not-stored"), "401 unauthenticated")
	r.want("no version", r.customer("PATCH", at, `{}`, "Idempotency-Key", "not-stored"), "428 version-required")
	r.wantSameRows("what is not stored", before)
	r.wantFresh("the same key with a valid request", r.operator("POST", at+"/payment/confirm",
		confirmation("r", o.Totals.DueNow), "Idempotency-Key", "not-stored"), "200")
}

// interruptedUseCases calls a function in the middle of a transaction, between its reads and its writes, where the
// answer is rendered.
type interruptedUseCases struct {
	*app.App
	interrupt func()
}

func (i interruptedUseCases) AllowedActions(c app.Caller, agg *app.Aggregate) []order.Action {
	i.interrupt()
	return i.App.AllowedActions(c, agg)
}

func TestACrashBetweenReadingAndWritingLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	draft := r.create(theVPS)
	for what, interrupt := range map[string]func(cancel func()){
		"client-leaves":   func(cancel func()) { cancel() },
		"use-case-panics": func(func()) { panic("crash") },
		"server-stops":    func(cancel func()) { cancel(); panic("crash") },
	} {
		for _, at := range []struct{ target, body, done string }{
			{"/v1/orders", anOrder, "201"}, {"/v1/orders/" + draft.ID + "/cancel", "", "200"},
		} {
			before := r.rows()
			ctx, cancel := context.WithCancel(t.Context())
			api := httpapi.New(interruptedUseCases{r.UseCases.API, func() { interrupt(cancel) }}, httpapi.Config{
				Now: r.Clock.Now, Hub: app.NewHub(), Log: slog.New(slog.DiscardHandler),
				NewRequestID: func() string { return noID },
			})
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r.request(r.keyOf(tenant.Customer), "POST", at.target, at.body, "Idempotency-Key",
				what+at.target).WithContext(ctx))
			cancel()
			if w.Code != 503 && w.Code != 500 {
				t.Errorf("%s during %s: answered %d %s", what, at.target, w.Code, w.Body)
			}
			r.wantSameRows(what+" during "+at.target, before)
			if at.done == "201" {
				r.wantFresh("the retry after "+what, r.customer("POST", at.target, at.body, "Idempotency-Key", what+at.target),
					at.done)
			}
		}
	}
	r.wantFresh("the cancel after all", r.customer("POST", "/v1/orders/"+draft.ID+"/cancel", "", "Idempotency-Key",
		"client-leaves/v1/orders/"+draft.ID+"/cancel"), "200")
}

func TestKeysLastForThreeDaysAndExternalIDsForEver(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	const body = `{"external_id":"po-4711","items":[` + theVPS + `]}`
	first := r.customer("POST", "/v1/orders", body, "Idempotency-Key", "k")
	r.wantFresh("create", first, "201")
	worker := r.DB.Worker(t)
	purge := func() {
		t.Helper()
		if err := worker.PurgeKeys(t.Context(), r.Clock.Now().Add(-72*time.Hour), 100); err != nil {
			t.Fatal(err)
		}
	}
	for _, wait := range []time.Duration{24*time.Hour - time.Second, 48 * time.Hour} { // to 23:59:59, to 71:59:59
		r.Clock.Advance(wait)
		purge()
		r.wantReplay(wait.String()+" later", first, r.customer("POST", "/v1/orders", body, "Idempotency-Key", "k"))
	}
	r.Clock.Advance(2 * time.Second)
	purge()
	w := r.customer("POST", "/v1/orders", body, "Idempotency-Key", "k")
	r.wantFresh("after three days", w, "409 external-id-in-use")
	var p struct {
		Order string `json:"order_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Order != r.orderOf(first).ID {
		t.Errorf("the conflict does not name the order: %s", w.Body)
	}
}
