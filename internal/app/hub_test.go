package app_test

import (
	"sync"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func isWoken(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestHubWakesTheFollowersOfThatOrderOfThatTenantAndNobodyElse(t *testing.T) {
	t.Parallel()
	h := app.NewHub()
	ours, theirs, one, two := tenant.ID{1}, tenant.ID{2}, order.ID{1}, order.ID{2}
	first, _ := h.Subscribe(ours, one)
	second, _ := h.Subscribe(ours, one)
	otherOrder, _ := h.Subscribe(ours, two)
	otherTenant, _ := h.Subscribe(theirs, one)

	h.Wake(ours, one)

	if !isWoken(first) || !isWoken(second) {
		t.Error("a follower of the order was not woken")
	}
	if isWoken(otherOrder) {
		t.Error("the follower of another order was woken")
	}
	if isWoken(otherTenant) {
		t.Error("another tenant's follower of the same order id was woken")
	}
}

func TestHubMergesWakeUpsAndNeverWaitsForASlowFollower(t *testing.T) {
	t.Parallel()
	h := app.NewHub()
	woken, _ := h.Subscribe(tenant.ID{1}, order.ID{1})
	for range 1000 { // nobody receives: this returns only if Wake never waits
		h.Wake(tenant.ID{1}, order.ID{1})
	}
	if !isWoken(woken) {
		t.Fatal("not woken at all")
	}
	if isWoken(woken) {
		t.Error("woken a second time for changes that one read shows")
	}
	h.Wake(tenant.ID{1}, order.ID{1})
	if !isWoken(woken) {
		t.Error("a change after the read did not wake")
	}
}

func TestCancelledSubscriptionIsForgottenAndMayBeCancelledAgain(t *testing.T) {
	t.Parallel()
	h := app.NewHub()
	gone, cancel := h.Subscribe(tenant.ID{1}, order.ID{1})
	stays, _ := h.Subscribe(tenant.ID{1}, order.ID{1})
	cancel()
	cancel()
	h.Wake(tenant.ID{1}, order.ID{1})
	if isWoken(gone) {
		t.Error("woken after it was cancelled")
	}
	if !isWoken(stays) {
		t.Error("the other follower was forgotten too")
	}
	if got := h.Followed(); got != 1 {
		t.Errorf("Followed() = %d, want 1", got)
	}
}

func TestHubLeavesNothingBehindUnderConcurrentUse(t *testing.T) {
	t.Parallel()
	h := app.NewHub()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				woken, cancel := h.Subscribe(tenant.ID{byte(i)}, order.ID{byte(n % 3)})
				h.Wake(tenant.ID{byte(i)}, order.ID{byte(n % 3)})
				if !isWoken(woken) {
					t.Errorf("subscription %d/%d was not woken", i, n)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if got := h.Followed(); got != 0 {
		t.Errorf("Followed() = %d after everyone left, want 0", got)
	}
}
