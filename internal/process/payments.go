package process

import (
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/payment/demo"
	"github.com/platforma-cloud/orders/internal/payment/manual"
)

// PaymentSettings are the settings of the payment providers. A provider whose settings are zero is not offered,
// except bank transfers, which need none.
type PaymentSettings struct {
	// Demo adds payments that confirm themselves. Only a development installation may have them (D28).
	Demo *DemoPayments
}

// DemoPayments are the settings of package demo.
type DemoPayments struct {
	BaseURL string // where the API takes webhooks
	Secret  []byte // 32 bytes, which sign the webhooks
	Now     func() time.Time
}

// Payments returns the payment providers of a process by name. It is the one place that lists them.
func Payments(s PaymentSettings) map[string]payment.Provider {
	all := []payment.Provider{manual.Provider{}}
	if d := s.Demo; d != nil {
		all = append(all, &demo.Provider{
			Webhook: paymentWebhook(d.BaseURL, demo.Name), Secret: d.Secret, Now: d.Now,
			Client: &http.Client{Timeout: 5 * time.Second},
		})
	}
	byName := make(map[string]payment.Provider, len(all))
	for _, p := range all {
		byName[p.Name()] = p
	}
	return byName
}

// paymentWebhook returns the URL that a payment provider sends its webhooks to.
func paymentWebhook(base, provider string) string { return base + "/v1/payments/webhook/" + provider }
