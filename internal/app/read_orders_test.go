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
	w := harness.New(t)
	today := func(c app.Caller) string {
		t.Helper()
		s, err := w.UseCases.API.OrderStats(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if s.AsOf.After(w.Clock.Now()) || w.Clock.Now().Sub(s.AsOf) > 5*time.Minute {
			t.Errorf("as of %s at %s", s.AsOf, w.Clock.Now())
		}
		return fmt.Sprint(s.Today)
	}
	ours, theirs := w.As(tenant.Operator), app.Caller{Actor: w.Other.Actor(tenant.Operator)}
	w.PaidOrder(harness.VPS())
	w.Publish()
	want(t, "orders", today(ours), "1")
	w.PaidOrder(harness.VPS())
	w.Publish()
	w.Clock.Advance(4 * time.Minute)
	want(t, "orders of four minutes ago", today(ours), "1")
	want(t, "the other tenant's", today(theirs), "0")
	w.Clock.Advance(time.Minute)
	want(t, "orders after five minutes", today(ours), "2")
	_, err := w.UseCases.API.OrderStats(t.Context(), w.As(tenant.Customer))
	if f := fault.Of(err); f == nil || f.Kind != fault.KindForbidden {
		t.Errorf("a customer asks for figures that are kept: %v, want forbidden", err)
	}
}
