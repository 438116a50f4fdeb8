package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestFiguresAreAtMostFiveMinutesOldAndEachTenantsOwn(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	today := func(c app.Caller) string {
		t.Helper()
		s, err := h.UseCases.API.OrderStats(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if s.AsOf.After(h.Clock.Now()) || h.Clock.Now().Sub(s.AsOf) > 5*time.Minute {
			t.Errorf("as of %s at %s", s.AsOf, h.Clock.Now())
		}
		return fmt.Sprint(s.Today)
	}
	ours, theirs := h.As(tenant.Operator), app.Caller{Actor: h.OtherTenant.Actor(tenant.Operator)}
	h.PaidOrder(harness.VPS())
	h.Publish()
	wantEqual(t, "orders", today(ours), "1")
	h.PaidOrder(harness.VPS())
	h.Publish()
	h.Clock.Advance(4 * time.Minute)
	wantEqual(t, "orders of four minutes ago", today(ours), "1")
	wantEqual(t, "the other tenant's", today(theirs), "0")
	h.Clock.Advance(time.Minute)
	wantEqual(t, "orders after five minutes", today(ours), "2")
	_, err := h.UseCases.API.OrderStats(t.Context(), h.As(tenant.Customer))
	if f := fault.Of(err); f == nil || f.Kind != fault.KindForbidden {
		t.Errorf("a customer reads the cached figures: %v, want forbidden", err)
	}
}
