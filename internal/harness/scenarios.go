package harness

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/failpoint"
	"github.com/platforma-cloud/orders/internal/payment/demo"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// Scenario is one of the five orders of the crash matrix, in which every crash point of an order is met.
type Scenario struct {
	Name   string
	Policy string
	Items  []app.ItemInput
	// Faults are the faults of the simulated cloud.
	Faults []sim.Fault
	// Cancel reports from the order's summary whether its customer cancels it now; nil means never.
	Cancel func(summary string) bool
	// WantSummary is the order's summary at rest, written by hand, with the amounts of the shipped catalogue.
	WantSummary string
}

func scenarios() []Scenario {
	never := []sim.Fault{{Label: "database", Step: "instance", Operation: sim.OpCreate, Kind: sim.Refused}}
	three := []app.ItemInput{VPS(), Database(), Storage()}
	return []Scenario{
		{
			Name: "one item", Policy: "per_item", Items: []app.ItemInput{VPS()},
			WantSummary: "fulfilled full settled; vps delivered",
		},
		{
			Name: "three items", Policy: "per_item", Items: three,
			WantSummary: "fulfilled full settled; vps delivered; database delivered; object_storage delivered",
		},
		{
			Name: "three items, one fails, per item", Policy: "per_item", Items: three, Faults: never,
			WantSummary: "fulfilled partial settled; vps delivered; " +
				"database rolled_back refund 65.00 completed; object_storage delivered",
		},
		{
			Name: "three items, one fails, all or nothing", Policy: "all_or_nothing", Items: three, Faults: never,
			WantSummary: "failed none settled; vps rolled_back refund 20.10 completed; " +
				"database rolled_back refund 65.00 completed; object_storage rolled_back refund 20.00 completed",
		},
		{
			Name: "cancelled midway", Policy: "per_item", Items: []app.ItemInput{Storage(), Database(), Kubernetes()},
			Faults: []sim.Fault{
				{Label: "database", Step: "instance", Operation: sim.OpCreate, Kind: sim.Stuck},
				{Label: "kubernetes", Step: "workers", Operation: sim.OpCreate, Kind: sim.Stuck},
			},
			// Midway means that one item is delivered and the others have begun.
			Cancel: func(summary string) bool {
				return strings.Contains(summary, "object_storage delivered") && !strings.Contains(summary, " queued")
			},
			WantSummary: "fulfilled partial settled; object_storage delivered; database rolled_back refund 65.00 completed; " +
				"kubernetes rolled_back refund 500.00 completed",
		},
	}
}

// Scenarios returns the five orders of the crash matrix.
func Scenarios() []Scenario { return scenarios() }

// UnreachableReason returns why an order of the scenario never meets a point, or "" when it does.
func (s Scenario) UnreachableReason(p failpoint.Point) string {
	compensates := len(s.Faults) > 0 || s.Cancel != nil
	switch {
	case strings.HasPrefix(string(p), "CP-C") && !compensates:
		return "nothing of this order is compensated"
	case (p == failpoint.MailAccepted || p == failpoint.Delivered) && s.Policy == "all_or_nothing" && compensates:
		return "nothing is delivered before all items are active, and one never is"
	}
	return ""
}

// ShortScenario returns the name of the one scenario that meets a moment when there is time for one only. The moments
// go to the scenarios in turn, and all 48 are met.
func ShortScenario(m failpoint.Moment) string {
	var able []string
	for _, s := range scenarios() {
		if s.UnreachableReason(m.Point) == "" {
			able = append(able, s.Name)
		}
	}
	turn := slices.Index(failpoint.Points(), m.Point)*2 + slices.Index(failpoint.Sides(), m.Side)
	return able[turn%len(able)]
}

// gateway returns a payment provider that confirms payments by itself. Its signed webhook goes to the use case that
// receives payment webhooks, without a network.
func (h *Harness) gateway() *demo.Provider {
	return &demo.Provider{
		Webhook: "http://platforma.example/v1/payments/webhook/demo", Secret: []byte("0123456789abcdef0123456789abcdef"),
		Now: h.Clock.Now,
		Client: &http.Client{Transport: useCaseTransport(func(ctx context.Context, head http.Header, raw []byte) error {
			return h.UseCases.API.ReceivePaymentWebhook(ctx, demo.Name, head, raw)
		})},
	}
}

// useCaseTransport passes the headers and the body of a request to a use case instead of sending it.
type useCaseTransport func(ctx context.Context, h http.Header, raw []byte) error

// RoundTrip answers as the route of the API would.
func (f useCaseTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status := http.StatusNoContent
	if err := f(r.Context(), r.Header, raw); err != nil {
		status = http.StatusServiceUnavailable
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r, Header: http.Header{},
	}, nil
}

// WithSlowPolling polls pending resources every 10 s instead of every 2 s.
func WithSlowPolling() Option {
	return WithProvider(func(p provider.Provider) provider.Provider { return slowPolling{p} })
}

// slowPolling is an adapter that asks for fewer polls. The polls see the same, and the test takes less time.
type slowPolling struct{ provider.Provider }

// Capabilities returns those of the adapter, with a longer interval of polls.
func (c slowPolling) Capabilities() provider.Capabilities {
	all := c.Provider.Capabilities()
	all.PollEvery = 10 * time.Second
	return all
}
