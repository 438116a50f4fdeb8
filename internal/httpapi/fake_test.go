package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var (
	now      = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	tenantA  = id.MustParse[tenant.Tenant]("01900000-0000-7000-8000-0000000000f1")
	ana      = id.MustParse[tenant.Member]("01900000-0000-7000-8000-0000000000c1")
	theOrder = id.MustParse[order.Order]("01900000-0000-7000-8000-000000000001")
	theItem  = id.MustParse[order.Item]("01900000-0000-7000-8000-0000000000a1")
	absent   = "01900000-0000-7000-8000-00000000dead"
)

const (
	rightKey  = "pk_test_right_key_of_ana_0001"
	secondKey = "pk_test_second_key_of_ana_0002"
)

// fakeVerbs is what this package needs of app, without a database: it records what it was asked, keeps
// answers under idempotency keys as app does, and fails as told.
type fakeVerbs struct {
	mu      sync.Mutex
	calls   []string
	inputs  []any
	callers []app.Caller
	fail    map[string]error // by verb
	dossier *app.Dossier
	events  []event.Record
	revoked map[string]bool // keys
	denied  map[app.Permission]bool
	kept    map[string]keptAnswer
	panics  string // verb
}

type keptAnswer struct {
	fingerprint [32]byte
	answer      app.Answer
}

func newFake() *fakeVerbs {
	return &fakeVerbs{fail: map[string]error{}, revoked: map[string]bool{}, denied: map[app.Permission]bool{}, kept: map[string]keptAnswer{}, dossier: sampleDossier()}
}

// sampleDossier is a paid order of one VPS.
func sampleDossier() *app.Dossier {
	payment := id.MustParse[order.Payment]("01900000-0000-7000-8000-0000000000b9")
	return &app.Dossier{
		Settings: app.Settings{Version: 4, Currency: "EUR", Name: "Example d.o.o.", TimeZone: "Europe/Ljubljana", PaymentMethod: "manual", PaymentDueDays: 14, QuoteValidDays: 30},
		Order: &order.Order{
			ID: theOrder, Tenant: tenantA, Number: "ORD-7K3M9QXZ", ExternalID: "po-4711", Customer: ana, State: order.PaymentConfirmed, Version: 3, Method: "manual",
			Currency: "EUR", Due: 20_10, CreatedAt: now.Add(-2 * time.Minute), UpdatedAt: now.Add(1234567 * time.Nanosecond),
			Items: []order.Item{{
				ID: theItem, Line: 1, State: order.ItemPending, Label: "web-1", Generation: 1, Price: 20_10,
				Snapshot: order.Snapshot{
					Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "monthly", Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
					Lines: []order.PriceLine{{Component: "plan", Quantity: 1, UnitPrice: 20_10, Amount: 20_10}}, Monthly: 20_10, Due: 20_10,
				},
			}},
			Payments: []order.Payment{{
				ID: payment, State: order.PaymentLive, Provider: "manual", Reference: "SI56-2026-0042", Method: "bank_transfer", Due: 20_10, Paid: 20_10, Currency: "EUR", PaidAt: now,
				Allocations: []order.Allocation{{Item: theItem, Cents: 20_10}},
			}},
		},
	}
}

func (f *fakeVerbs) note(verb string, c app.Caller, in any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.inputs, f.callers = append(f.calls, verb), append(f.inputs, in), append(f.callers, c)
	if f.panics == verb {
		panic("secret text of a customer")
	}
	return f.fail[verb]
}

func (f *fakeVerbs) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.calls...)
}

func (f *fakeVerbs) last() (any, app.Caller) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inputs[len(f.inputs)-1], f.callers[len(f.callers)-1]
}

// write answers as app's write does: one answer per key, kept with the effect.
func write[R any](f *fakeVerbs, verb string, c app.Caller, in any, result R) (R, error) {
	var none R
	if c.Key != nil {
		f.mu.Lock()
		kept, ok := f.kept[c.Tenant.String()+c.Key.Key]
		f.mu.Unlock()
		if ok && kept.fingerprint != c.Key.Fingerprint {
			return none, fault.New(fault.KindInvalid, fault.CodeKeyReused, "This key was used for another request.")
		}
		if ok {
			return none, &app.Replayed{Answer: kept.answer}
		}
	}
	verdict := f.note(verb, c, in)
	if c.Key == nil {
		return result, verdict
	}
	if verdict != nil && fault.Of(verdict) == nil {
		return none, verdict
	}
	a, err := c.Key.Encode(result, verdict)
	if err != nil {
		return none, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[c.Tenant.String()+c.Key.Key] = keptAnswer{c.Key.Fingerprint, a}
	return result, verdict
}

func (f *fakeVerbs) Authenticate(_ context.Context, bearer string) (tenant.Actor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fail["Authenticate"]; err != nil {
		return tenant.Actor{}, err
	}
	if bearer != rightKey && bearer != secondKey || f.revoked[bearer] {
		return tenant.Actor{}, fault.New(fault.KindUnauthenticated, "unauthenticated", "expired at some time")
	}
	return tenant.Actor{Tenant: tenantA, Kind: tenant.KindMember, Member: ana, Role: tenant.Admin}, nil
}

func (f *fakeVerbs) May(_ tenant.Actor, p app.Permission) bool { return !f.denied[p] }

func (f *fakeVerbs) CreateOrder(_ context.Context, c app.Caller, in app.CreateOrder) (*app.Dossier, error) {
	return write(f, "CreateOrder", c, in, f.dossier)
}

func (f *fakeVerbs) EditOrder(_ context.Context, c app.Caller, in app.EditOrder) (*app.Dossier, error) {
	return write(f, "EditOrder", c, in, f.dossier)
}

func (f *fakeVerbs) SubmitOrder(_ context.Context, c app.Caller, in app.SubmitOrder) (*app.Dossier, error) {
	return write(f, "SubmitOrder", c, in, f.dossier)
}

func (f *fakeVerbs) CancelOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return write(f, "CancelOrder", c, in, f.dossier)
}

func (f *fakeVerbs) RestoreOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return write(f, "RestoreOrder", c, in, f.dossier)
}

func (f *fakeVerbs) HoldOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return write(f, "HoldOrder", c, in, f.dossier)
}

func (f *fakeVerbs) ReleaseOrder(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return write(f, "ReleaseOrder", c, in, f.dossier)
}

func (f *fakeVerbs) Redeliver(_ context.Context, c app.Caller, in app.Redeliver) (*app.Dossier, error) {
	return write(f, "Redeliver", c, in, f.dossier)
}

func (f *fakeVerbs) ConfirmPayment(_ context.Context, c app.Caller, in app.ConfirmPayment) (*app.Dossier, error) {
	return write(f, "ConfirmPayment", c, in, f.dossier)
}

func (f *fakeVerbs) RevertPayment(_ context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error) {
	return write(f, "RevertPayment", c, in, f.dossier)
}

func (f *fakeVerbs) ReceivePaymentWebhook(_ context.Context, provider string, _ http.Header, raw []byte) error {
	return f.note("ReceivePaymentWebhook", app.Caller{}, provider+":"+string(raw))
}

func (f *fakeVerbs) Order(_ context.Context, c app.Caller, o order.ID) (*app.Dossier, error) {
	if err := f.note("Order", c, o); err != nil {
		return nil, err
	}
	if o != theOrder {
		return nil, fault.Absent()
	}
	return f.dossier, nil
}

func (f *fakeVerbs) Orders(_ context.Context, c app.Caller, in app.OrderFilter) (app.Page[*app.Dossier], error) {
	return app.Page[*app.Dossier]{Data: []*app.Dossier{f.dossier}, Next: "next/page="}, f.note("Orders", c, in)
}

func (f *fakeVerbs) OrderEvents(_ context.Context, c app.Caller, o order.ID, after, limit int) ([]event.Record, error) {
	if err := f.note("OrderEvents", c, o); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []event.Record
	for _, e := range f.events {
		if e.Seq > after && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (f *fakeVerbs) commit(types ...event.Type) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range types {
		seq := len(f.events) + 1
		f.events = append(f.events, event.Record{
			ID: event.ID{15: byte(seq)}, Type: t, Tenant: tenantA, Order: theOrder, Seq: seq, At: now.Add(time.Duration(seq) * time.Second), Actor: "member:" + ana.String(),
			Data: json.RawMessage(`{"from":"pending_payment","to":"payment_confirmed","reason":"a transfer came"}`),
		})
	}
}

func (f *fakeVerbs) AllowedActions(app.Caller, *app.Dossier) []order.Action {
	return []order.Action{order.ActCancel, order.ActHold}
}

func (f *fakeVerbs) Catalog(context.Context) (*catalog.Catalog, error) {
	return catalog.Load(catalog.Default(), now)
}

func (f *fakeVerbs) Quote(_ context.Context, c app.Caller, items []app.ItemInput, cur money.Currency) (app.Quote, error) {
	q := app.Quote{Currency: "EUR", Totals: order.Totals{Monthly: 20_10, DueNow: 20_10}}
	q.Items = []app.QuotedItem{
		{OK: true, Cycle: "monthly", Monthly: 20_10, Due: 20_10, Lines: []order.PriceLine{{Component: "plan", Quantity: 1, UnitPrice: 20_10, Amount: 20_10}}},
		{Cycle: "monthly"},
	}
	q.Faults = []fault.Violation{{Pointer: "/items/1/region", Code: "region-not-offered", Message: "Not there.", Allowed: []any{"lj-1"}}}
	return q, f.note("Quote", c, items)
}

func (f *fakeVerbs) Saga(_ context.Context, c app.Caller, o order.ID) (app.SagaRecord, error) {
	return app.SagaRecord{Order: f.dossier.Order}, f.note("Saga", c, o)
}

var sampleLetter = app.DeadLetter{ID: id.Of[app.DeadLetter]{15: 7}, Order: theOrder, Item: theItem, Source: "step", Class: fault.Retryable, Code: "undo-exhausted", Step: "server", Attempts: 6, FirstFailedAt: now, At: now.Add(time.Minute)}

func (f *fakeVerbs) DeadLetters(_ context.Context, c app.Caller, in app.DeadLetterFilter) (app.Page[app.DeadLetter], error) {
	return app.Page[app.DeadLetter]{Data: []app.DeadLetter{sampleLetter}}, f.note("DeadLetters", c, in)
}

func (f *fakeVerbs) LetterGroups(_ context.Context, c app.Caller, in app.DeadLetterFilter) ([]app.LetterGroup, error) {
	return []app.LetterGroup{{Cause: "undo-exhausted", Class: fault.Retryable, Count: 3, Oldest: now, Newest: now.Add(time.Minute)}}, f.note("LetterGroups", c, in)
}

func (f *fakeVerbs) DeadLetter(_ context.Context, c app.Caller, l id.Of[app.DeadLetter]) (app.LetterDetail, error) {
	o := f.dossier.Order
	call := app.LogEntry{At: now, Part: "server", What: app.LogAnswer, Class: fault.Retryable, Note: "the provider answered: retryable", Took: 12 * time.Millisecond}
	d := app.LetterDetail{DeadLetter: sampleLetter, Of: o, About: &o.Items[0], Calls: []app.LogEntry{call}, Last: &call, Allows: []app.Grounds{app.RemovedByHand}}
	d.Left = []fulfil.Part{{Part: "server", Generation: 1, Phase: fulfil.Deleting, Refs: []string{"srv-1"}}}
	d.Refund = &order.Refund{State: order.RefundAccepted, Item: theItem, Cents: 20_10, Currency: "EUR"}
	return d, f.note("DeadLetter", c, l)
}

func (f *fakeVerbs) RedriveDeadLetters(_ context.Context, c app.Caller, in app.RedriveLetters) (app.RedriveReport, error) {
	report := app.RedriveReport{DryRun: in.DryRun, Letters: []app.Redriven{
		{Letter: sampleLetter.ID, Order: theOrder, Outcome: app.RedriveDone}, {Letter: id.Of[app.DeadLetter]{15: 8}, Outcome: app.RedriveRefused, Code: "not-stuck", Detail: "Nothing is stuck."},
	}}
	return write(f, "RedriveDeadLetters", c, in, report)
}

func (f *fakeVerbs) AbandonDeadLetter(_ context.Context, c app.Caller, in app.AbandonLetter) (app.DeadLetter, error) {
	l, at := sampleLetter, now
	l.Abandonment = app.Abandonment{Grounds: in.Grounds, Text: in.Text, Proof: in.Proof, FirstBy: ana, FirstAt: &at}
	return write(f, "AbandonDeadLetter", c, in, l)
}

func (f *fakeVerbs) AdoptDeadLetter(_ context.Context, c app.Caller, in app.AdoptLetter) (app.DeadLetter, error) {
	return write(f, "AdoptDeadLetter", c, in, sampleLetter)
}

func (f *fakeVerbs) WithdrawAbandonment(_ context.Context, c app.Caller, l id.Of[app.DeadLetter]) (app.DeadLetter, error) {
	return write(f, "WithdrawAbandonment", c, l, sampleLetter)
}

func (f *fakeVerbs) RedriveDeadLetter(_ context.Context, c app.Caller, _ id.Of[app.DeadLetter], reason string) (app.DeadLetter, error) {
	return write(f, "RedriveDeadLetter", c, reason, sampleLetter)
}

func (f *fakeVerbs) WorkItems(_ context.Context, c app.Caller, cursor string, _ int) (app.Page[app.WorkItem], error) {
	return app.Page[app.WorkItem]{Data: []app.WorkItem{{Refund: order.Refund{State: order.RefundAccepted, Cents: 20_10, Currency: "EUR"}, Order: theOrder, Number: "ORD-7K3M9QXZ", Since: now}}}, f.note("WorkItems", c, cursor)
}

func (f *fakeVerbs) FinishWorkItem(_ context.Context, c app.Caller, _ order.RefundID, o order.ID, reason string) (*app.Dossier, error) {
	return write(f, "FinishWorkItem", c, reason, f.dossier)
}

func (f *fakeVerbs) OrderStats(_ context.Context, c app.Caller) (app.OrderStats, error) {
	days := []app.DayStats{{Day: now.Truncate(24 * time.Hour), Orders: 1, Paid: 1, Revenue: 168_20}}
	return app.OrderStats{AsOf: now, TimeZone: "Europe/Ljubljana", Days: days, Today: 1, ByState: map[order.State]int{order.Fulfilled: 2}, Average: 84_10, Revenue: 168_20, Currency: "EUR", Conversion: 0.5}, f.note("OrderStats", c, nil)
}

func (f *fakeVerbs) Routing(_ context.Context, c app.Caller) (app.Routing, error) {
	return app.Routing{Events: []app.RoutedEvent{{Type: order.EvCreated, Consumers: []event.Consumer{event.Audit, event.Portal}}}, Consumers: []app.ConsumerStatus{{Consumer: "audit", Applied: 3, Age: 1500 * time.Millisecond, Behind: 2}}}, f.note("Routing", c, nil)
}

func (f *fakeVerbs) Me(_ context.Context, c app.Caller) (app.Member, error) {
	return app.Member{ID: ana, Role: tenant.Customer, Email: "ana@example.com"}, f.note("Me", c, nil)
}

func (f *fakeVerbs) DeliveryKey(_ context.Context, c app.Caller) (*app.KeyInfo, error) {
	return nil, f.note("DeliveryKey", c, nil)
}

func (f *fakeVerbs) PutDeliveryKey(_ context.Context, c app.Caller, armored []byte) (*app.KeyInfo, error) {
	if len(armored) == 0 {
		return write[*app.KeyInfo](f, "PutDeliveryKey", c, armored, nil)
	}
	return write(f, "PutDeliveryKey", c, armored, &app.KeyInfo{Fingerprint: "0123", UserIDs: []string{"Ana"}})
}

func (f *fakeVerbs) Settings(_ context.Context, c app.Caller) (app.Settings, error) {
	return f.dossier.Settings, f.note("Settings", c, nil)
}

func (f *fakeVerbs) PutSettings(_ context.Context, c app.Caller, s app.Settings, p app.Precondition) (app.Settings, error) {
	s.Version = 5
	return write(f, "PutSettings", c, p, s)
}

// fakeHub hands out one channel to all and counts who listens.
type fakeHub struct {
	mu        sync.Mutex
	woken     chan struct{}
	listening int
	joined    chan struct{}
}

func newFakeHub() *fakeHub {
	return &fakeHub{woken: make(chan struct{}), joined: make(chan struct{}, 8)}
}

func (h *fakeHub) Subscribe(tenant.ID, order.ID) (<-chan struct{}, func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listening++
	h.joined <- struct{}{}
	return h.woken, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.listening--
	}
}

func (h *fakeHub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.listening
}

// kit is an API over fakes.
type kit struct {
	*testing.T
	fake *fakeVerbs
	hub  *fakeHub
	api  *server
	log  *bytes.Buffer
}

func newKit(t *testing.T, change ...func(*Config)) *kit {
	t.Helper()
	k := &kit{T: t, fake: newFake(), hub: newFakeHub(), log: &bytes.Buffer{}}
	cfg := Config{
		Now: func() time.Time { return now }, NewRequestID: func() string { return "01900000-0000-7000-8000-00000000beef" }, Hub: k.hub,
		Log: slog.New(slog.NewTextHandler(&lockedWriter{w: k.log}, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	k.api = newServer(k.fake, cfg)
	return k
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// do sends a request with Ana's key; headers come in pairs and replace those given by default.
func (k *kit) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	k.Helper()
	r := httptest.NewRequest(method, path, bytes.NewBufferString(body))
	r.Header.Set("Authorization", "Bearer "+rightKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	k.api.ServeHTTP(w, r)
	return w
}

// wantProblem checks status, media type, code and that nothing that must be there is missing.
func (k *kit) wantProblem(w *httptest.ResponseRecorder, status int, code string) problemDocument {
	k.Helper()
	var p problemDocument
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		k.Fatalf("answer is no JSON: %v\n%d %s", err, w.Code, w.Body)
	}
	if w.Code != status || p.Code != code || p.Status != status {
		k.Errorf("answered %d %q (status member %d), want %d %q\n%s", w.Code, p.Code, p.Status, status, code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		k.Errorf("Content-Type = %q, want application/problem+json", got)
	}
	if p.Type != "/problems/"+code || p.Title == "" || p.Instance == "" || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		k.Errorf("problem is incomplete: %s", w.Body)
	}
	return p
}

// problemDocument is a problem as a client reads it.
type problemDocument struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Pointer   *string `json:"pointer"`
		Parameter string  `json:"parameter"`
		Code      string  `json:"code"`
		Message   string  `json:"message"`
		Allowed   []any   `json:"allowed"`
	} `json:"errors"`
}

func notReady(context.Context) error { return errors.New("dial 10.0.0.1: refused") }

var sampleWebhook = app.Endpoint{
	ID: app.EndpointID{15: 0xe1}, Version: 3, URL: "https://hooks.example.com/", Types: []event.Type{order.EvFulfilled}, State: app.EndpointFailing, Why: app.EndpointExhausted, Since: now,
	Secrets: []app.SecretInfo{{CreatedAt: now}}, CreatedAt: now, UpdatedAt: now,
}

var samplePosting = app.Posting{
	ID: app.PostingID{15: 0xe2}, Endpoint: sampleWebhook.ID, Order: theOrder, Seq: 1, Event: event.ID{15: 1}, Type: order.EvFulfilled, State: app.PostingFailed, Calls: 10, LastStatus: 500, LastResult: app.PostRefused,
	CreatedAt: now, DoneAt: now.Add(time.Minute),
}

func (f *fakeVerbs) AddEndpoint(_ context.Context, c app.Caller, in app.AddEndpoint) (app.IssuedSecret, error) {
	return issue(f, "AddEndpoint", c, in)
}

func (f *fakeVerbs) RotateSecret(_ context.Context, c app.Caller, in app.RotateSecret) (app.IssuedSecret, error) {
	return issue(f, "RotateSecret", c, in)
}

func issue(f *fakeVerbs, verb string, c app.Caller, in any) (app.IssuedSecret, error) {
	return write(f, verb, c, in, app.IssuedSecret{Endpoint: sampleWebhook, Secret: "whsec_c2VjcmV0"})
}

func (f *fakeVerbs) EditEndpoint(_ context.Context, c app.Caller, in app.EditEndpoint) (app.Endpoint, error) {
	return write(f, "EditEndpoint", c, in, sampleWebhook)
}

func (f *fakeVerbs) DeleteEndpoint(_ context.Context, c app.Caller, e app.EndpointID, _ app.Precondition) (app.Endpoint, error) {
	return write(f, "DeleteEndpoint", c, e, sampleWebhook)
}

func (f *fakeVerbs) Endpoints(_ context.Context, c app.Caller) ([]app.Endpoint, error) {
	return []app.Endpoint{sampleWebhook}, f.note("Endpoints", c, nil)
}

func (f *fakeVerbs) Endpoint(_ context.Context, c app.Caller, e app.EndpointID) (app.Endpoint, error) {
	return sampleWebhook, f.note("Endpoint", c, e)
}

func (f *fakeVerbs) Postings(_ context.Context, c app.Caller, _ app.EndpointID, in app.PostingFilter) (app.Page[app.Posting], error) {
	return app.Page[app.Posting]{Data: []app.Posting{samplePosting}}, f.note("Postings", c, in)
}

func (f *fakeVerbs) Posting(_ context.Context, c app.Caller, _ app.EndpointID, p app.PostingID) (app.Posting, error) {
	found := samplePosting
	found.Log = []app.PostingCall{{N: 1, At: now, Status: 500, Result: app.PostRefused, Took: 12 * time.Millisecond, Excerpt: "Oh no"}}
	return found, f.note("Posting", c, p)
}

func (f *fakeVerbs) ReplayPosting(_ context.Context, c app.Caller, _ app.EndpointID, p app.PostingID) (app.Posting, error) {
	return write(f, "ReplayPosting", c, p, samplePosting)
}
