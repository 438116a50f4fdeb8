package app_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestTheDeskGroupsByCauseAndFilters(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	orders, _ := stuckOrders(t, h, 3)
	operator := h.As(tenant.Operator)
	groups, err := h.UseCases.API.DeadLetterGroups(t.Context(), operator, app.DeadLetterFilter{})
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		Cause, Class, Suggested string
		Count                   int
	}
	var got []line
	for _, g := range groups {
		got = append(got, line{g.Cause, g.Class.String(), string(g.Suggested()), g.Count})
		if g.Oldest.IsZero() || g.Newest.Before(g.Oldest) {
			t.Errorf("group %s has the oldest at %s and the newest at %s", g.Cause, g.Oldest, g.Newest)
		}
	}
	expected := []line{{"compensation-exhausted", "retryable", "redrive", 3}, {"step-failed", "invalid", "wait", 3}}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	filtered, err := h.UseCases.API.DeadLetterGroups(t.Context(), operator, app.DeadLetterFilter{
		Order: orders[0], Cause: "compensation-exhausted",
	})
	if err != nil || len(filtered) != 1 || filtered[0].Count != 1 {
		t.Errorf("filtered by order and cause: %+v, %v", filtered, err)
	}
	foreign, err := h.UseCases.API.DeadLetterGroups(t.Context(), app.Caller{Actor: h.OtherTenant.Actor(tenant.Operator)},
		app.DeadLetterFilter{})
	if err != nil || len(foreign) != 0 {
		t.Errorf("another tenant counts %+v, %v", foreign, err)
	}
	_, err = h.UseCases.API.DeadLetterGroups(t.Context(), h.As(tenant.Customer), app.DeadLetterFilter{})
	wantEqual(t, "a customer", outcome(t, "done", err), "forbidden")
}

func TestADeadLetterShowsAllThatAPersonNeeds(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	d, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Operator), l)
	if err != nil {
		t.Fatal(err)
	}
	if d.Of.ID != o || d.About == nil || d.About.State != order.ItemStuck || d.Refund == nil ||
		d.Refund.State != order.RefundAccepted || d.Work == nil || d.Work.State != fulfil.Stuck {
		t.Errorf("about order %v, item %+v, refund %+v, task %+v", d.Of.ID, d.About, d.Refund, d.Work)
	}
	failures := 0
	for _, e := range d.Calls {
		if e.What == app.LogAnswer && e.Class == fault.Retryable {
			if failures++; failures <= 5 && e.Next.Sub(e.At) < 2*time.Second {
				t.Errorf("failure %d waits %s, want 2 s or more", failures, e.Next.Sub(e.At))
			}
		}
	}
	if failures != 6 || d.Attempts != 6 {
		t.Errorf("%d failed calls and %d attempts, want 6 (D5)", failures, d.Attempts)
	}
	if d.LastAnswer == nil || d.LastAnswer.Note != "the provider answered: retryable (maintenance)" {
		t.Errorf("last answer = %+v", d.LastAnswer)
	}
	live := h.Sim.Live()
	if len(live) != 1 || len(d.Remaining) != 1 || d.Remaining[0].Step != "port" ||
		!cmp.Equal(d.Remaining[0].Refs, []string{live[0].ID}) {
		t.Errorf("resources in the journal: %+v, in the cloud: %+v", d.Remaining, live)
	}
	if diff := cmp.Diff([]app.AbandonReason{app.VerifiedAbsent, app.RemovedByHand, app.AccountClosed, app.OtherReason},
		d.AbandonReasons); diff != "" {
		t.Errorf("reasons to abandon it (-want +got):\n%s", diff)
	}
	wantEqual(t, "suggested", string(d.Suggested()), "redrive")
	wantEqual(t, "signed", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	if d, err = h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Operator), l); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "suggested once signed", string(d.Suggested()), "second-person")
}
