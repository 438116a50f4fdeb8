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
	// Faults are the cloud's, for this scenario alone.
	Faults []sim.Fault
	// Cancel tells from the order's picture when its customer cancels it; nil is never.
	Cancel func(picture string) bool
	// Want is the order's picture at rest, written by hand; amounts are those of the shipped catalogue.
	Want string
}

// The scenarios.
func scenarios() []Scenario {
	never := []sim.Fault{{Label: "database", Part: "instance", Operation: sim.OpCreate, Kind: sim.Refused}}
	three := []app.ItemInput{VPS(), Database(), Storage()}
	return []Scenario{
		{Name: "one item", Policy: "per_item", Items: []app.ItemInput{VPS()}, Want: "fulfilled full settled; vps delivered"},
		{
			Name: "three items", Policy: "per_item", Items: three,
			Want: "fulfilled full settled; vps delivered; database delivered; object_storage delivered",
		},
		{
			Name: "three items, one fails, per item", Policy: "per_item", Items: three, Faults: never,
			Want: "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 completed; object_storage " +
				"delivered",
		},
		{
			Name: "three items, one fails, all or nothing", Policy: "all_or_nothing", Items: three, Faults: never,
			Want: "failed none settled; vps rolled_back refund 20.10 completed; database rolled_back refund 65.00 completed; " +
				"object_storage rolled_back refund 20.00 completed",
		},
		{
			Name: "cancelled midway", Policy: "per_item", Items: []app.ItemInput{Storage(), Database(), Kubernetes()},
			Faults: []sim.Fault{
				{Label: "database", Part: "instance", Operation: sim.OpCreate, Kind: sim.Stuck},
				{Label: "kubernetes", Part: "workers", Operation: sim.OpCreate, Kind: sim.Stuck},
			},
			// Midway: one is delivered, and the others have begun.
			Cancel: func(picture string) bool {
				return strings.Contains(picture, "object_storage delivered") && !strings.Contains(picture, " queued")
			},
			Want: "fulfilled partial settled; object_storage delivered; database rolled_back refund 65.00 completed; " +
				"kubernetes rolled_back refund 500.00 completed",
		},
	}
}

// Scenarios are the five orders of the crash matrix.
func Scenarios() []Scenario { return scenarios() }

// CannotMeet says why an order of a scenario never comes to a point, or "" when it does.
func (s Scenario) CannotMeet(p failpoint.Point) string {
	goesBack := len(s.Faults) > 0 || s.Cancel != nil
	switch {
	case strings.HasPrefix(string(p), "CP-C") && !goesBack:
		return "nothing of this order goes back"
	case (p == failpoint.MailAccepted || p == failpoint.Delivered) && s.Policy == "all_or_nothing" && goesBack:
		return "nothing is delivered before all items are up, and one never is"
	}
	return ""
}

// TurnOf is the scenario that meets a moment where there is time for one alone: its name. Every scenario
// has its turn, and all 48 moments are met.
func TurnOf(m failpoint.Moment) string {
	var able []string
	for _, s := range scenarios() {
		if s.CannotMeet(m.Point) == "" {
			able = append(able, s.Name)
		}
	}
	turn := slices.Index(failpoint.Points(), m.Point)*2 + slices.Index(failpoint.Sides(), m.Side)
	return able[turn%len(able)]
}

// Gateway is a payment provider that confirms by itself: its signed webhook comes back to the use case
// that receives webhooks, over no network.
func (w *Harness) gateway() *demo.Provider {
	return &demo.Provider{
		Webhook: "http://platforma.example/v1/payments/webhook/demo", Secret: []byte("0123456789abcdef0123456789abcdef"),
		Now: w.Clock.Now,
		Client: &http.Client{Transport: toVerb(func(ctx context.Context, h http.Header, raw []byte) error {
			return w.UseCases.API.ReceivePaymentWebhook(ctx, demo.Name, h, raw)
		})},
	}
}

// toVerb hands a request's headers and body to a use case instead of sending it.
type toVerb func(ctx context.Context, h http.Header, raw []byte) error

// RoundTrip answers as the route would.
func (f toVerb) RoundTrip(r *http.Request) (*http.Response, error) {
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

// Coarse has pending resources looked at every 10 s instead of every 2.
func Coarse() Option {
	return WithProvider(func(p provider.Provider) provider.Provider { return coarse{p} })
}

// coarse asks for looks that are further apart: what is seen is the same, sooner.
type coarse struct{ provider.Provider }

// Capabilities are the adapter's, but for the polls.
func (c coarse) Capabilities() provider.Capabilities {
	all := c.Provider.Capabilities()
	all.PollEvery = 10 * time.Second
	return all
}
