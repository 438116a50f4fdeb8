// Package demo is a payment provider for development (D28): asked for a payment it confirms it at
// once, through the same signed webhook a gateway would use, so that the happy path needs no hand. It
// moves no money and is wired by `platforma dev` alone.
package demo

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/payment"
)

// Name of the provider, as it is stored with each payment.
const Name = "demo"

// Tolerance is how far the time of a signed webhook may be off: an older one is a replay.
const Tolerance = 5 * time.Minute

// Provider posts its confirmations to Webhook, signed with Secret as Standard Webhooks has it.
type Provider struct {
	Webhook string // URL of POST /v1/payments/webhook/demo
	Secret  []byte // 32 bytes, the installation's own
	Now     func() time.Time
	Client  *http.Client
}

// Name is "demo".
func (p *Provider) Name() string { return Name }

// Properties leave nothing to an operator.
func (p *Provider) Properties() payment.Properties {
	return payment.Properties{
		ConfirmedBy: payment.Gateway, RefundedBy: payment.Gateway, Label: "Demo payment, confirms automatically",
	}
}

type body struct {
	Type      string    `json:"type"` // payment.succeeded
	Reference string    `json:"reference"`
	Payment   string    `json:"payment"`
	Amount    string    `json:"amount"`
	Currency  string    `json:"currency"`
	PaidAt    time.Time `json:"paid_at"`
}

// Checkout pays: it posts the signed confirmation and returns when it was stored. The payment's
// reference and the event's id follow from the key, so a repetition is the same event again.
func (p *Provider) Checkout(ctx context.Context, c payment.Checkout) error {
	sum := sha256.Sum256([]byte("demo payment " + c.Key))
	pay := "demo_" + hex.EncodeToString(sum[:8])
	now := p.Now()
	raw, err := json.Marshal(body{
		Type: "payment.succeeded", Reference: c.Reference, Payment: pay, Amount: money.Format(c.Amount, c.Currency),
		Currency: string(c.Currency), PaidAt: now.UTC(),
	})
	if err != nil {
		return fmt.Errorf("encode confirmation: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Webhook, bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("confirm payment: %w", err)
	}
	event, at := "evt_"+pay, strconv.FormatInt(now.Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", event)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+p.sign(event, at, raw))
	resp, err := p.Client.Do(req)
	if err != nil {
		return &payment.Error{Class: fault.Ambiguous, Code: "no-answer"}
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 500:
		return &payment.Error{Class: fault.Retryable, Code: "webhook-" + strconv.Itoa(resp.StatusCode)}
	default:
		return &payment.Error{Class: fault.Invalid, Code: "webhook-" + strconv.Itoa(resp.StatusCode)}
	}
}

// Refund gives back what was never taken: done at once, under a reference that follows from the key.
func (p *Provider) Refund(_ context.Context, r payment.Refund) (payment.Receipt, error) {
	sum := sha256.Sum256([]byte("demo refund " + r.Key))
	return payment.Receipt{Reference: "demo_re_" + hex.EncodeToString(sum[:8]), Completed: true}, nil
}

// Verify checks id, time and signature over the raw bytes before reading them.
func (p *Provider) Verify(h http.Header, raw []byte, now time.Time) (payment.Confirmation, error) {
	event, at := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil || event == "" || now.Sub(time.Unix(sec, 0)).Abs() > Tolerance {
		return payment.Confirmation{}, payment.ErrForged
	}
	want, good := p.sign(event, at, raw), false
	for _, s := range strings.Fields(h.Get("Webhook-Signature")) {
		version, sig, _ := strings.Cut(s, ",")
		good = good || version == "v1" && hmac.Equal([]byte(sig), []byte(want))
	}
	if !good {
		return payment.Confirmation{}, payment.ErrForged
	}
	var b body
	if err := json.Unmarshal(raw, &b); err != nil || b.Type != "payment.succeeded" {
		return payment.Confirmation{}, fault.New(fault.KindMalformed, "webhook-body", "The webhook cannot be read.")
	}
	cur, err := money.ParseCurrency(b.Currency)
	if err != nil {
		return payment.Confirmation{}, fault.New(fault.KindMalformed, "webhook-body",
			"The webhook's currency cannot be read.")
	}
	cents, err := money.ParseDecimal(b.Amount, cur)
	if err != nil {
		return payment.Confirmation{}, fault.New(fault.KindMalformed, "webhook-body", "The webhook's amount cannot be read.")
	}
	return payment.Confirmation{
		EventID: event, Reference: b.Reference, Payment: b.Payment, Amount: cents, Currency: cur,
		Method: "demo", PaidAt: b.PaidAt,
	}, nil
}

func (p *Provider) sign(event, at string, raw []byte) string {
	mac := hmac.New(sha256.New, p.Secret)
	mac.Write([]byte(event + "." + at + "."))
	mac.Write(raw)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
