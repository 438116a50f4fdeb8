package webhook_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/webhook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnIndependentVerifierAcceptsEverySecretsSignature(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	m := message(r.URL + "/hook?for=us")
	m.Secrets = []string{secret, olderSecret}
	if got := r.sender(t).Post(t.Context(), m); got.Result != app.CallAccepted || got.Status != 204 {
		t.Fatalf("answer %+v, want it taken", got)
	}
	for _, s := range m.Secrets {
		v, err := standard.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify([]byte(r.bodies[0]), r.requests[0].Header); err != nil {
			t.Errorf("a receiver that knows %s refuses: %v", s, err)
		}
		if err := v.Verify([]byte(r.bodies[0]+" "), r.requests[0].Header); err == nil {
			t.Error("a changed body is verified")
		}
	}
	unknownSecret, err := standard.NewWebhook("whsec_" + strings.Repeat("A", 40))
	if err != nil {
		t.Fatal(err)
	}
	if err := unknownSecret.Verify([]byte(r.bodies[0]), r.requests[0].Header); err == nil {
		t.Error("a secret that did not sign verifies")
	}
	h := r.requests[0].Header
	got := []string{
		h.Get("Webhook-Id"), h.Get("Content-Type"), r.requests[0].Method, r.requests[0].URL.RequestURI(), r.bodies[0],
	}
	if diff := cmp.Diff([]string{m.ID, "application/json", "POST", "/hook?for=us", string(m.Body)}, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestWhatAStatusMeans(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]app.CallResult{
		200: app.CallAccepted, 202: app.CallAccepted, 299: app.CallAccepted,
		410: app.CallGone, 429: app.CallBusy, 503: app.CallBusy,
		301: app.CallRedirected, 302: app.CallRedirected, 304: app.CallRedirected, 307: app.CallRedirected,
		308: app.CallRedirected,
		400: app.CallRefused, 401: app.CallRefused, 404: app.CallRefused, 500: app.CallRefused, 504: app.CallRefused,
	} {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://example.com/")
			w.WriteHeader(status)
		})
		if got := r.sender(t).Post(t.Context(), message(r.URL)); got.Result != want || got.Status != status {
			t.Errorf("%d: %+v, want %s", status, got, want)
		}
		if r.calls() != 1 {
			t.Errorf("%d: the receiver got %d calls, want 1", status, r.calls())
		}
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	target := newReceiver(t, nil)
	r := newReceiver(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, target.URL, http.StatusTemporaryRedirect)
	})
	if got := r.sender(t).Post(t.Context(), message(r.URL)); got.Result != app.CallRedirected {
		t.Errorf("answer %+v", got)
	}
	if target.calls() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestRetryAfterIsReadInBothItsForms(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "Sun, 01 Mar 2026 09:00:00 GMT": time.Hour, "Sun, 01 Mar 2026 07:00:00 GMT": 0, "soon": 0,
		"-5": 0, "": 0, "99999999999999": 0,
	} {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		m := message(r.URL)
		m.At = at
		if got := r.sender(t).Post(t.Context(), m); got.After != want {
			t.Errorf("Retry-After %q is read as %s, want %s", text, got.After, want)
		}
	}
}

func TestAnAnswerIsKeptShortPrintableAndWithoutTheSecret(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("your secret\n\x1b[31m\xff is " + secret + strings.Repeat("é", 100_000)))
	})
	got := r.sender(t).Post(t.Context(), message(r.URL))
	want := "your secret [31m is whsec_[redacted]é"
	if !strings.HasPrefix(got.Excerpt, want) || len(got.Excerpt) > 1024 || len(got.Excerpt) < 1000 {
		t.Errorf("kept %d bytes %.80q, want them to begin with %q", len(got.Excerpt), got.Excerpt, want)
	}
}

func TestEachFailureBeforeAnAnswerHasItsOwnResult(t *testing.T) {
	t.Parallel()
	slow := newReceiver(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	closed := newReceiver(t, nil)
	closed.Close()
	hanging, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hanging.Close() })
	broken := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	noName := func(c *webhook.Config) {
		c.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}}
	}
	plainURL, hangingURL := strings.Replace(plain.URL, "http:", "https:", 1), "https://"+hanging.Addr().String()
	impatient := func(c *webhook.Config) { c.Timeout = 300 * time.Millisecond }
	for name, c := range map[string]struct {
		sender *webhook.Sender
		url    string
		want   app.CallResult
	}{
		"an endpoint that never answers":     {slow.sender(t, impatient), slow.URL, app.CallTimedOut},
		"a port that never shakes hands":     {slow.sender(t, impatient), hangingURL, app.CallTimedOut},
		"a server without TLS":               {slow.sender(t), plainURL, app.CallBadTLS},
		"a certificate that is not trusted":  {systemTrustSender(t), slow.URL, app.CallBadTLS},
		"a closed port":                      {slow.sender(t), closed.URL, app.CallUnreachable},
		"a connection that breaks":           {broken.sender(t), broken.URL, app.CallUnreachable},
		"a name that does not exist":         {slow.sender(t, noName), "https://hooks.example.com/", app.CallNameNotFound},
		"an address that was allowed before": {webhook.New(webhook.Config{}), slow.URL, app.CallForbiddenAddress},
	} {
		if got := c.sender.Post(t.Context(), message(c.url)); got.Result != c.want || got.Status != 0 {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// systemTrustSender returns a sender that may reach this machine and trusts only the system's authorities.
func systemTrustSender(t *testing.T) *webhook.Sender {
	t.Helper()
	s := webhook.New(webhook.Config{Loopback: true})
	t.Cleanup(s.Close)
	return s
}

func TestAProxyFromTheEnvironmentIsNotUsed(t *testing.T) {
	proxy := newReceiver(t, nil)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	r := newReceiver(t, nil)
	if got := r.sender(t).Post(t.Context(), message(r.URL)); got.Result != app.CallAccepted {
		t.Errorf("answer %+v", got)
	}
	if proxy.calls() != 0 || r.calls() != 1 {
		t.Errorf("the proxy got %d calls, the receiver %d; want 0 and 1", proxy.calls(), r.calls())
	}
}

func TestAMessageWithoutAValidSecretIsNotSent(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	for _, s := range [][]string{nil, {"whsec_!"}, {"c2VjcmV0"}} {
		m := message(r.URL)
		m.Secrets = s
		if got := r.sender(t).Post(t.Context(), m); got.Result != app.CallUnreachable {
			t.Errorf("with secrets %q: %+v", s, got)
		}
	}
	if r.calls() != 0 {
		t.Error("a message was sent unsigned")
	}
}
