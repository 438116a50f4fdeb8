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
	r := receive(t, nil)
	m := message(r.URL + "/hook?for=us")
	m.Secrets = []string{secret, olderSecret}
	if got := r.webhookSender(t).Post(t.Context(), m); got.Result != app.PostTaken || got.Status != 204 {
		t.Fatalf("answer %+v, want it taken", got)
	}
	for _, s := range m.Secrets {
		v, err := standard.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify([]byte(r.body[0]), r.got[0].Header); err != nil {
			t.Errorf("a receiver that knows %s refuses: %v", s, err)
		}
		if err := v.Verify([]byte(r.body[0]+" "), r.got[0].Header); err == nil {
			t.Error("a changed body is verified")
		}
	}
	stranger, err := standard.NewWebhook("whsec_" + strings.Repeat("A", 40))
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Verify([]byte(r.body[0]), r.got[0].Header); err == nil {
		t.Error("a secret that did not sign verifies")
	}
	h := r.got[0].Header
	got := []string{h.Get("Webhook-Id"), h.Get("Content-Type"), r.got[0].Method, r.got[0].URL.RequestURI(), r.body[0]}
	if diff := cmp.Diff([]string{m.ID, "application/json", "POST", "/hook?for=us", string(m.Body)}, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestWhatAStatusMeans(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]app.PostResult{
		200: app.PostTaken, 202: app.PostTaken, 299: app.PostTaken, 410: app.PostGone, 429: app.PostBusy, 503: app.PostBusy,
		301: app.PostRedirect, 302: app.PostRedirect, 304: app.PostRedirect, 307: app.PostRedirect, 308: app.PostRedirect,
		400: app.PostRefused, 401: app.PostRefused, 404: app.PostRefused, 500: app.PostRefused, 504: app.PostRefused,
	} {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://example.com/")
			w.WriteHeader(status)
		})
		if got := r.webhookSender(t).Post(t.Context(), message(r.URL)); got.Result != want || got.Status != status {
			t.Errorf("%d: %+v, want %s", status, got, want)
		}
		if r.heard() != 1 {
			t.Errorf("%d was heard %d times", status, r.heard())
		}
	}
}

func TestARedirectLeadsNowhere(t *testing.T) {
	t.Parallel()
	inside := receive(t, nil)
	r := receive(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, inside.URL, http.StatusTemporaryRedirect)
	})
	if got := r.webhookSender(t).Post(t.Context(), message(r.URL)); got.Result != app.PostRedirect {
		t.Errorf("answer %+v", got)
	}
	if inside.heard() != 0 {
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
		r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", text)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		m := message(r.URL)
		m.At = at
		if got := r.webhookSender(t).Post(t.Context(), m); got.After != want {
			t.Errorf("Retry-After %q is read as %s, want %s", text, got.After, want)
		}
	}
}

func TestAnAnswerIsKeptShortPrintableAndWithoutTheSecret(t *testing.T) {
	t.Parallel()
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("your secret\n\x1b[31m\xff is " + secret + strings.Repeat("é", 100_000)))
	})
	got := r.webhookSender(t).Post(t.Context(), message(r.URL))
	if want := "your secret [31m is whsec_[redacted]é"; !strings.HasPrefix(got.Excerpt, want) || len(got.Excerpt) > 1024 ||
		len(got.Excerpt) < 1000 {
		t.Errorf("kept %d bytes %.80q, want them to begin with %q", len(got.Excerpt), got.Excerpt, want)
	}
}

func TestWhatGoesWrongBeforeAnAnswerHasAName(t *testing.T) {
	t.Parallel()
	slow := receive(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	plain := httptest.NewServer(nil)
	t.Cleanup(plain.Close)
	closed := receive(t, nil)
	closed.Close()
	hanging, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hanging.Close() })
	broken := receive(t, func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	nowhere := func(c *webhook.Config) {
		c.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}}
	}
	soon := func(c *webhook.Config) { c.Within = 300 * time.Millisecond }
	for name, c := range map[string]struct {
		webhookSender *webhook.WebhookSender
		url           string
		want          app.PostResult
	}{
		"an endpoint that never answers": {slow.webhookSender(t, soon), slow.URL, app.PostTimeout},
		"a port that never shakes hands": {
			slow.webhookSender(t, soon), "https://" + hanging.Addr().String(),
			app.PostTimeout,
		},
		"a server without TLS": {
			slow.webhookSender(t), strings.Replace(plain.URL, "http:", "https:", 1),
			app.PostBadTLS,
		},
		"a certificate nobody trusts":        {plainWebhookSender(t), slow.URL, app.PostBadTLS},
		"a closed port":                      {slow.webhookSender(t), closed.URL, app.PostNoRoute},
		"a connection that breaks":           {broken.webhookSender(t), broken.URL, app.PostNoRoute},
		"a name that is none":                {slow.webhookSender(t, nowhere), "https://hooks.example.com/", app.PostNoName},
		"an address that was allowed before": {webhook.New(webhook.Config{}), slow.URL, app.PostNotOpen},
	} {
		if got := c.webhookSender.Post(t.Context(), message(c.url)); got.Result != c.want || got.Status != 0 {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// plainWebhookSender may reach this machine and trusts nobody but the system.
func plainWebhookSender(t *testing.T) *webhook.WebhookSender {
	t.Helper()
	p := webhook.New(webhook.Config{Loopback: true})
	t.Cleanup(p.Close)
	return p
}

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	proxy := receive(t, nil)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	r := receive(t, nil)
	if got := r.webhookSender(t).Post(t.Context(), message(r.URL)); got.Result != app.PostTaken {
		t.Errorf("answer %+v", got)
	}
	if proxy.heard() != 0 || r.heard() != 1 {
		t.Errorf("the proxy heard %d calls, the receiver %d", proxy.heard(), r.heard())
	}
}

func TestATextThatIsNoSecretIsNeverSent(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	for _, s := range [][]string{nil, {"whsec_!"}, {"c2VjcmV0"}} {
		m := message(r.URL)
		m.Secrets = s
		if got := r.webhookSender(t).Post(t.Context(), m); got.Result != app.PostNoRoute {
			t.Errorf("with secrets %q: %+v", s, got)
		}
	}
	if r.heard() != 0 {
		t.Error("a message went out unsigned")
	}
}
