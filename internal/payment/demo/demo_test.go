package demo_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/payment/demo"
)

var at = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

var checkout = payment.Checkout{Key: "task-1", Reference: "tenant.order", Amount: 20_10, Currency: "EUR"}

// message is a webhook as it came in.
type message struct {
	header http.Header
	raw    []byte
}

// receiver takes the provider's webhooks and answers as answer says.
func receiver(t *testing.T, answer http.HandlerFunc) (*demo.Provider, <-chan message) {
	t.Helper()
	got := make(chan message, 4)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the webhook: %v", err)
		}
		got <- message{r.Header.Clone(), raw}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return &demo.Provider{
		Webhook: server.URL, Secret: []byte(strings.Repeat("s", 32)), Now: func() time.Time { return at },
		Client: server.Client(),
	}, got
}

func accept(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestACheckoutRepeatedUnderItsKeyIsTheSameWebhookAgain(t *testing.T) {
	t.Parallel()
	p, got := receiver(t, accept)
	want := payment.Confirmation{
		EventID: "evt_demo_c33f7a7d845a2614", Reference: "tenant.order", Payment: "demo_c33f7a7d845a2614", Amount: 20_10,
		Currency: "EUR", Method: "demo", PaidAt: at,
	}
	for range 2 {
		if err := p.Checkout(t.Context(), checkout); err != nil {
			t.Fatalf("Checkout: %v", err)
		}
		m := <-got
		if c, err := p.Verify(m.header, m.raw, at); err != nil || c != want {
			t.Errorf("Verify = %+v, %v; want %+v", c, err, want)
		}
	}
}

func TestACheckoutWhoseAnswerIsLostIsAmbiguous(t *testing.T) {
	t.Parallel()
	p, got := receiver(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	err := p.Checkout(t.Context(), checkout)
	if e := new(payment.Error); !errors.As(err, &e) || e.Class != fault.Ambiguous {
		t.Errorf("Checkout = %v, want the class %s", err, fault.Ambiguous)
	}
	if m := <-got; len(m.raw) == 0 {
		t.Error("the webhook that arrived is empty")
	}
}

func TestACheckoutSaysWhetherARefusalMayPass(t *testing.T) {
	t.Parallel()
	for status, class := range map[int]fault.Class{503: fault.Retryable, 401: fault.Invalid} {
		p, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		err := p.Checkout(t.Context(), checkout)
		if e := new(payment.Error); !errors.As(err, &e) || e.Class != class {
			t.Errorf("Checkout answered %d = %v, want the class %s", status, err, class)
		}
	}
}

func TestARefundRepeatedUnderItsKeyIsTheSameRefund(t *testing.T) {
	t.Parallel()
	p := &demo.Provider{}
	one := payment.Refund{Key: "payment/item", Payment: "demo_1", Amount: 20_10, Currency: "EUR"}
	first, err := p.Refund(t.Context(), one)
	if err != nil || !first.Completed || first.Reference == "" {
		t.Fatalf("Refund = %+v, %v; want it completed under a reference", first, err)
	}
	if again, err := p.Refund(t.Context(), one); err != nil || again != first {
		t.Errorf("the same refund again = %+v, %v; want %+v", again, err, first)
	}
	one.Key = "payment/other-item"
	if other, err := p.Refund(t.Context(), one); err != nil || other.Reference == first.Reference {
		t.Errorf("another key = %+v, %v; want another reference", other, err)
	}
}

func TestAForgedOrOldWebhookIsRefused(t *testing.T) {
	t.Parallel()
	p, got := receiver(t, accept)
	if err := p.Checkout(t.Context(), checkout); err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	m := <-got
	without := func(name string) http.Header {
		h := m.header.Clone()
		h.Del(name)
		return h
	}
	renamed := m.header.Clone()
	renamed.Set("Webhook-Id", "evt_other")
	more := []byte(strings.Replace(string(m.raw), "20.10", "10.10", 1))
	for what, forged := range map[string]struct {
		header http.Header
		raw    []byte
		now    time.Time
	}{
		"another amount": {m.header, more, at},
		"another id":     {renamed, m.raw, at},
		"no signature":   {without("Webhook-Signature"), m.raw, at},
		"no time":        {without("Webhook-Timestamp"), m.raw, at},
		"an old one":     {m.header, m.raw, at.Add(demo.Tolerance + time.Second)},
		"an early one":   {m.header, m.raw, at.Add(-demo.Tolerance - time.Second)},
	} {
		if c, err := p.Verify(forged.header, forged.raw, forged.now); !errors.Is(err, payment.ErrForged) {
			t.Errorf("%s: Verify = %+v, %v; want %v", what, c, err, payment.ErrForged)
		}
	}
	if _, err := p.Verify(m.header, m.raw, at.Add(demo.Tolerance)); err != nil {
		t.Errorf("at the end of the tolerance: %v", err)
	}
}
