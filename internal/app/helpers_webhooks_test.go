// Helpers of the tests of webhooks.

package app_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// call is one message as the receiver got it, with the time of the harness's clock.
type call struct {
	at   time.Time
	id   string
	path string
	head http.Header
	body []byte
}

// webhookHarness is a harness with a customer's server, which answers as scripted and records every call.
type webhookHarness struct {
	*harness.Harness
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex
	answer http.HandlerFunc // nil answers 204
	calls  []call
}

func newWebhookHarness(t *testing.T, opts ...harness.Option) *webhookHarness {
	t.Helper()
	h := &webhookHarness{t: t}
	h.server = httptest.NewTLSServer(http.HandlerFunc(h.receive))
	t.Cleanup(h.server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(h.server.Certificate())
	h.Harness = harness.New(t, append(opts, harness.WithWebhooks(webhook.Config{Loopback: true, RootCAs: pool}))...)
	return h
}

func (h *webhookHarness) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.calls = append(h.calls, call{h.Clock.Now(), r.Header.Get("Webhook-Id"), r.URL.Path, r.Header, body})
	answer := h.answer
	h.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, r)
}

// answerWith makes the server answer with a status and headers from now on.
func (h *webhookHarness) answerWith(status int, headers ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
	}
}

// callsTo returns the calls to a path so far.
func (h *webhookHarness) callsTo(path string) []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []call
	for _, c := range h.calls {
		if c.path == path {
			all = append(all, c)
		}
	}
	return all
}

func messageIDs(calls []call) []string {
	ids := make([]string, len(calls))
	for i, c := range calls {
		ids[i] = c.id
	}
	return ids
}

func (h *webhookHarness) admin() app.Caller { return h.As(tenant.Admin) }

// addEndpoint adds an endpoint at a path of the server.
func (h *webhookHarness) addEndpoint(path string, types ...event.Type) app.IssuedSecret {
	h.t.Helper()
	issued, err := h.UseCases.API.AddWebhookEndpoint(h.t.Context(), h.admin(), app.AddWebhookEndpoint{
		URL: h.server.URL + path, Types: types,
	})
	if err != nil {
		h.t.Fatalf("add an endpoint: %v", err)
	}
	return issued
}

// webhookEndpoint reads an endpoint.
func (h *webhookHarness) webhookEndpoint(e app.WebhookEndpointID) app.WebhookEndpoint {
	h.t.Helper()
	got, err := h.UseCases.API.WebhookEndpoint(h.t.Context(), h.admin(), e)
	if err != nil {
		h.t.Fatalf("read endpoint %s: %v", e, err)
	}
	return got
}

// deliveries returns all deliveries of an endpoint, the oldest first.
func (h *webhookHarness) deliveries(e app.WebhookEndpointID) []app.WebhookDelivery {
	h.t.Helper()
	page, err := h.UseCases.API.WebhookDeliveries(h.t.Context(), h.admin(), e, app.WebhookDeliveryFilter{Limit: 100})
	if err != nil {
		h.t.Fatalf("read the deliveries of %s: %v", e, err)
	}
	slices.Reverse(page.Data)
	return page.Data
}

// onlyDelivery returns the one delivery of an endpoint, with its log.
func (h *webhookHarness) onlyDelivery(e app.WebhookEndpointID) app.WebhookDelivery {
	h.t.Helper()
	all := h.deliveries(e)
	if len(all) != 1 {
		h.t.Fatalf("%d deliveries, want one: %+v", len(all), all)
	}
	got, err := h.UseCases.API.WebhookDelivery(h.t.Context(), h.admin(), e, all[0].ID)
	if err != nil {
		h.t.Fatalf("read delivery %s: %v", all[0].ID, err)
	}
	return got
}

// setEnabled enables or disables an endpoint.
func (h *webhookHarness) setEnabled(e app.WebhookEndpointID, on bool) {
	h.t.Helper()
	version := h.webhookEndpoint(e).Version
	if _, err := h.UseCases.API.EditWebhookEndpoint(h.t.Context(), h.admin(), app.EditWebhookEndpoint{
		WebhookEndpoint: e, Enabled: &on, Precondition: app.Precondition{Version: &version},
	}); err != nil {
		h.t.Fatalf("enable %s %t: %v", e, on, err)
	}
}

func (h *webhookHarness) replay(e app.WebhookEndpointID, delivery app.WebhookDeliveryID) {
	h.t.Helper()
	if _, err := h.UseCases.API.ReplayWebhookDelivery(h.t.Context(), h.admin(), e, delivery); err != nil {
		h.t.Fatalf("replay %s: %v", delivery, err)
	}
}

// verifies reports whether an independent verifier accepts a message under a secret. The verifier uses the real clock,
// so it does not check the age of the message.
func verifies(t *testing.T, secret string, c call) bool {
	t.Helper()
	v, err := standard.NewWebhook(secret)
	if err != nil {
		t.Fatalf("secret %q: %v", secret, err)
	}
	return v.VerifyIgnoringTimestamp(c.body, c.head) == nil
}

// hookedSender wraps the worker's sender with a function around each call.
type hookedSender struct {
	app.WebhookSender
	around func(ctx context.Context, post func() app.PostAnswer) app.PostAnswer
}

func (p hookedSender) Post(ctx context.Context, m app.Post) app.PostAnswer {
	return p.around(ctx, func() app.PostAnswer { return p.WebhookSender.Post(ctx, m) })
}
