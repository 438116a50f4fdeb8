package process_test

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// webhookEndpoint is a customer's endpoint that accepts a message only if an independent implementation
// verifies its signature.
type webhookEndpoint struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	verify   *standard.Webhook
	received []string // ids of verified messages, in the order of arrival
	refused  int
}

func newWebhookEndpoint(t *testing.T) *webhookEndpoint {
	t.Helper()
	e := &webhookEndpoint{t: t}
	e.Server = httptest.NewTLSServer(http.HandlerFunc(e.receive))
	t.Cleanup(e.Close)
	return e
}

func (e *webhookEndpoint) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil || e.verify == nil || e.verify.Verify(body, r.Header) != nil {
		e.refused++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	e.received = append(e.received, r.Header.Get("Webhook-Id"))
	w.WriteHeader(http.StatusNoContent)
}

// setSecret gives the endpoint its signing secret. Before that it refuses every message.
func (e *webhookEndpoint) setSecret(secret string) {
	e.t.Helper()
	v, err := standard.NewWebhook(secret)
	if err != nil {
		e.t.Fatal(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verify = v
}

// ids returns the ids of the verified messages, sorted and without duplicates.
func (e *webhookEndpoint) ids() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(e.received)))
}

// The test covers everything from the order over topic, consumer, queue and TLS, and compares what arrives
// with what was committed.
func TestEveryEventOfAnOrderReachesItsTenantsWebhookSigned(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	receiver, second := newWebhookEndpoint(t), newWebhookEndpoint(t)
	pool := x509.NewCertPool()
	pool.AddCert(receiver.Certificate())
	pool.AddCert(second.Certificate())
	r.config.Webhook = webhook.Config{Loopback: true, RootCAs: pool}
	base := r.start(process.API)
	r.start(process.Worker, process.Provision, process.Billing, process.Notify)
	r.start(process.Relay, process.Audit, process.Live)
	r.start(process.Live, process.Worker) // two processes of each role share partitions and tasks
	var all, some struct{ ID, Secret string }
	r.api(base, tenant.Admin, http.MethodPost, "/v1/webhooks", map[string]any{"url": receiver.URL + "/all"}, &all)
	r.api(base, tenant.Admin, http.MethodPost, "/v1/webhooks",
		map[string]any{"url": second.URL, "types": []string{"order.fulfilled"}}, &some)
	receiver.setSecret(all.Secret)
	second.setSecret(some.Secret)

	o, _ := r.placePaidOrder(base, vps("one"), vps("two"))
	o = r.waitAtRest(base, o.ID)
	var want, fulfilled []string
	for _, e := range r.apiEvents(base, o.ID) {
		want = append(want, e.ID)
		if e.Type == "order.fulfilled" {
			fulfilled = append(fulfilled, e.ID)
		}
	}
	slices.Sort(want)
	kafkatest.Eventually(t, "every event is posted", func() bool {
		return len(receiver.ids()) >= len(want) && len(second.ids()) > 0
	})
	if diff := cmp.Diff(want, receiver.ids()); diff != "" || len(want) < 10 {
		t.Errorf("events of the order (-committed +posted and verified):\n%s", diff)
	}
	if diff := cmp.Diff(fulfilled, second.ids()); diff != "" {
		t.Errorf("events of an endpoint that subscribes to one type (-committed +posted and verified):\n%s", diff)
	}
	if receiver.refused+second.refused > 0 {
		t.Errorf("%d messages were not verified", receiver.refused+second.refused)
	}
	var deliveries struct {
		Data []struct{ Event, State string }
	}
	kafkatest.Eventually(t, "the list of deliveries shows all of them", func() bool {
		r.api(base, tenant.Admin, http.MethodGet, "/v1/webhooks/"+all.ID+"/deliveries?limit=100&state=delivered", nil,
			&deliveries)
		return len(deliveries.Data) == len(want)
	})
}

// A hundred messages for an endpoint that answers nothing for five seconds would occupy the workers for more
// than half a minute. The tenant's other endpoint must not wait for that.
func TestADeadEndpointDoesNotDelayAnother(t *testing.T) {
	t.Parallel()
	const orders = 100
	r := newRig(t, 1)
	healthy := newWebhookEndpoint(t)
	var calls atomic.Int64
	dead := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, q.Body) // the server notices a closed connection only after the body is read
		<-q.Context().Done()
	}))
	t.Cleanup(dead.Close)
	pool := x509.NewCertPool()
	pool.AddCert(healthy.Certificate())
	pool.AddCert(dead.Certificate())
	r.config.Webhook = webhook.Config{Loopback: true, RootCAs: pool}
	base := r.start()
	var made struct{ Secret string }
	types := []string{"order.created"}
	r.api(base, tenant.Admin, http.MethodPost, "/v1/webhooks", map[string]any{"url": dead.URL, "types": types}, nil)
	r.api(base, tenant.Admin, http.MethodPost, "/v1/webhooks", map[string]any{"url": healthy.URL, "types": types}, &made)
	healthy.setSecret(made.Secret)
	begin := time.Now()
	for range orders {
		r.api(base, tenant.Customer, http.MethodPost, "/v1/orders", map[string]any{"items": []any{}}, nil)
	}
	kafkatest.Eventually(t, "the other endpoint has all", func() bool { return len(healthy.ids()) == orders })
	called := calls.Load()
	t.Logf("%d messages beside a dead endpoint, which was called %d times meanwhile: %s",
		orders, called, time.Since(begin))
	const most = 12 // four at a time until three have failed, then a pause of at least 30 s; the pool has 16 workers
	if called > most {
		t.Errorf("the dead endpoint was called %d times before the other had its messages, want at most %d", called, most)
	}
}

// Besides delivering webhooks, a worker destroys secrets that have expired and notifies the admins of an
// endpoint that refused the last call of a delivery too.
func TestAWorkerReportsAFailingWebhookAndDestroysExpiredSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	broken := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(broken.Close)
	pool := x509.NewCertPool()
	pool.AddCert(broken.Certificate())
	r.config.Webhook = webhook.Config{Loopback: true, RootCAs: pool}
	base := r.start(process.API)
	var made struct{ ID string }
	r.api(base, tenant.Admin, http.MethodPost, "/v1/webhooks",
		map[string]any{"url": broken.URL, "types": []string{"order.created"}}, &made)
	r.api(base, tenant.Admin, http.MethodPost, "/v1/webhooks/"+made.ID+"/rotate", map[string]any{"version": 1}, nil)
	super := r.db.Super(t)
	if _, err := super.Exec(t.Context(), `
		UPDATE webhook_secret
		SET expires_at = now() - interval '1 second'
		WHERE expires_at IS NOT NULL`); err != nil {
		t.Fatal(err)
	}
	r.start(process.Relay, process.Live)
	r.api(base, tenant.Customer, http.MethodPost, "/v1/orders", map[string]any{"items": []any{}}, nil)
	kafkatest.Eventually(t, "the delivery waits for its last call", func() bool {
		tag, err := super.Exec(t.Context(), `
			WITH d AS (UPDATE webhook_delivery SET calls = 9 RETURNING id)
			UPDATE saga_tasks t
			SET try = 9
			FROM d
			WHERE t.id = d.id`)
		return err == nil && tag.RowsAffected() == 1
	})
	r.start(process.Worker)
	kafkatest.Eventually(t, "the expired secret is destroyed", func() bool {
		var present, all int
		err := super.QueryRow(t.Context(), `SELECT count(sealed), count(*) FROM webhook_secret`).Scan(&present, &all)
		return err == nil && present == 1 && all == 2
	})
	kafkatest.Eventually(t, "the admin is notified", func() bool { return len(r.inbox.Messages()) > 0 })
	if m := r.inbox.Messages()[0]; m.Subject != "alpha: 1 webhook is failing" ||
		!slices.Equal(m.To, []string{"admin@alpha.example"}) {
		t.Errorf("mail to %v with the subject %q", m.To, m.Subject)
	}
}
