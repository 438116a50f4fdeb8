package event_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/event"
)

// The eight rows of D19, copied by hand.
func TestRoutingMatrixIsTheSpecifications(t *testing.T) {
	t.Parallel()
	const n, b, a, p, o = event.Notify, event.Billing, event.Audit, event.Provision, event.Portal
	for typ, want := range map[event.Type][]event.Consumer{
		"order.created":              {a, o},
		"order.payment-confirmed":    {n, b, a, p, o},
		"order.provisioning-started": {n, a, o},
		"order.fulfilled":            {n, b, a, o},
		"order.cancelled":            {n, b, a, p, o},
		"order.failed":               {n, b, a, o},
		"order.service-delivered":    {b, a, o},
		"billing.refund-requested":   {n, b, a, o},
	} {
		var got []event.Consumer
		for _, c := range event.Consumers() {
			if c.Subscribes(typ) {
				got = append(got, c)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("consumers of %s (-specified +routed):\n%s", typ, diff)
		}
	}
}

func TestEveryTypeIsRoutedToAuditAndPortalAtLeast(t *testing.T) {
	t.Parallel()
	for _, typ := range event.Types() {
		if !event.Audit.Subscribes(typ) || !event.Portal.Subscribes(typ) {
			t.Errorf("%s is not routed to both Audit and Portal: use routed in internal/event/types.go", typ)
		}
	}
}
