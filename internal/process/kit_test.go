package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/vault"
)

func TestMain(m *testing.M) { pgtest.M{M: m}.Run() }

// rig holds the real servers that a process needs, on the real clock, and what the process logs.
type rig struct {
	t      *testing.T
	db     *pgtest.DB
	broker *kafkatest.Broker
	sim    *simtest.Sim
	inbox  *embedded.Inbox
	tenant pgtest.Org
	config process.Config
	logs   *logBuffer
}

// newRig prepares everything for a process whose policy waits are divided by speed. The cloud runs at 200
// times real time.
func newRig(t *testing.T, speed int) *rig {
	t.Helper()
	r := &rig{t: t, db: pgtest.New(t), logs: &logBuffer{}}
	r.db.Clock.Set(time.Now().UTC())
	r.tenant, _ = r.db.Two(t)
	if err := process.Prepare(t.Context(), r.db.OwnerURL()); err != nil {
		t.Fatalf("prepare the database: %v", err)
	}
	r.broker = kafkatest.New(t)
	r.sim = simtest.Start(t, simtest.Options{Modify: func(c *sim.ServerConfig) { c.Now, c.Speed = nil, 200 }})
	inbox, err := embedded.StartInbox(embedded.InboxConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("start the inbox: %v", err)
	}
	t.Cleanup(func() { _ = inbox.Close() })
	r.inbox = inbox
	r.config = process.Config{
		DatabaseURL: r.db.OwnerURL(), Kafka: r.broker.Cluster, Installation: "test", Clock: process.WallClock(speed),
		Log:           slog.New(slog.NewTextHandler(r.logs, nil)),
		Placement:     func(string, string) (string, bool) { return "sim", true },
		Providers:     map[string]provider.Provider{"sim": r.sim.Provider()},
		Payments:      process.Payments(process.PaymentSettings{}),
		Mail:          mail.Config{Addr: inbox.SMTPAddr(), From: "delivery@platforma.example", RootCAs: inbox.CertPool()},
		CredentialKEK: kek(t, 1), PassphraseKEK: kek(t, 2), WebhookKEK: kek(t, 3), PublicURL: "http://portal.example",
		Limits: httpkit.Limits{
			Requests:   httpkit.Rate{PerSecond: 1000, Burst: 2000},
			Writes:     httpkit.Rate{PerSecond: 500, Burst: 1000},
			FailedKeys: 10,
		},
		Conns: 4,
	}
	return r
}

func kek(t *testing.T, n byte) vault.KEK {
	t.Helper()
	k, err := vault.NewKEK(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// start starts a process with these roles (none: all) and returns the address of its API. The process is
// stopped when the test ends.
func (r *rig) start(roles ...process.Role) (base string) {
	r.t.Helper()
	base, _ = r.run(roles...)
	return base
}

// run is start for a test that stops the process itself, to start another in its place.
func (r *rig) run(roles ...process.Role) (base string, stop func()) {
	r.t.Helper()
	cfg := r.config
	cfg.Roles = roles
	p, err := process.Start(r.t.Context(), cfg)
	if err != nil {
		r.t.Fatalf("start a process of %v: %v", roles, err)
	}
	srv := httptest.NewServer(p.Handler)
	stop = sync.OnceFunc(func() {
		srv.CloseClientConnections()
		srv.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			r.t.Errorf("stop: %v", err)
		}
		if r.t.Failed() {
			r.t.Logf("the process logged:\n%s", r.logs)
		}
	})
	r.t.Cleanup(stop)
	return srv.URL, stop
}

// api sends a request with the API key of a role and decodes the answer. Any status above 299 fails the test.
func (r *rig) api(base string, as tenant.Role, method, path string, body, into any) {
	r.t.Helper()
	var raw io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		raw = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, base+path, raw)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tenant.Keys[as])
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode > 299 {
		r.t.Fatalf("%s %s: %d, %v: %s", method, path, resp.StatusCode, err, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		r.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
}

type orderView struct {
	ID, State, Outcome, Settlement string
	Totals                         struct {
		DueNow json.RawMessage `json:"due_now"`
	}
	Items []struct{ ID, Label, State string }
}

func vps(label string) map[string]any {
	return map[string]any{
		"product": "vps", "plan": "core", "region": "lj-1", "billing_cycle": "monthly", "label": label,
		"configuration": map[string]any{"os_image": "debian-12"},
	}
}

// placePaidOrder places an order, submits it and has its payment confirmed. It returns the order and the
// time at which the confirmation was answered.
func (r *rig) placePaidOrder(base string, items ...map[string]any) (orderView, time.Time) {
	r.t.Helper()
	var o orderView
	r.api(base, tenant.Customer, http.MethodPost, "/v1/orders", map[string]any{"items": items}, &o)
	r.api(base, tenant.Customer, http.MethodPost, "/v1/orders/"+o.ID+"/submit",
		map[string]any{"expected_total": o.Totals.DueNow}, &o)
	r.api(base, tenant.Operator, http.MethodPost, "/v1/orders/"+o.ID+"/payment/confirm",
		map[string]any{"reference": "bank-" + o.ID, "amount": o.Totals.DueNow, "method": "bank_transfer"}, &o)
	return o, time.Now()
}

// waitAtRest waits until an order is settled or stuck and returns it.
func (r *rig) waitAtRest(base, id string) orderView {
	r.t.Helper()
	var o orderView
	kafkatest.Eventually(r.t, "order "+id+" is at rest", func() bool {
		r.api(base, tenant.Customer, http.MethodGet, "/v1/orders/"+id, nil, &o)
		return o.Settlement == "settled" || o.Settlement == "stuck"
	})
	return o
}

// apiEvent is an event as the API shows it.
type apiEvent struct {
	ID, Type string
	Seq      int
	At       time.Time
}

func (r *rig) apiEvents(base, order string) []apiEvent {
	r.t.Helper()
	var page struct{ Data []apiEvent }
	r.api(base, tenant.Customer, http.MethodGet, "/v1/orders/"+order+"/events?limit=100", nil, &page)
	return page.Data
}

// topicEvents reads the topic from its start in a consumer group of its own, until it has seen n events of
// the order, and returns those.
func (r *rig) topicEvents(order string, n int) []event.Event {
	r.t.Helper()
	var mu sync.Mutex
	var seen []event.Event
	c := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: r.broker.Cluster, Refusals: r.db.Worker(r.t), Clock: process.WallClock(1), Pause: kafka.Wait,
		Random: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler),
	}, kafka.Subscription{
		Consumer: event.Audit, Group: "outside." + order,
		Apply: func(_ context.Context, ev event.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if ev.Order.String() == order {
				seen = append(seen, ev)
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	kafkatest.Eventually(r.t, "the order's events on the topic", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) >= n
	})
	cancel()
	<-done
	return seen
}

// logBuffer collects what a process logs. It may be used by several goroutines at once.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to the buffer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns everything logged so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
