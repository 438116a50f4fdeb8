package keyed_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/platforma-cloud/orders/internal/keyed"
)

func TestCallersOfOneKeyExcludeEachOtherAndThoseOfAnotherDoNotWait(t *testing.T) {
	t.Parallel()
	var locks keyed.Mutex[string]
	var inside, most, done atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			unlock, err := locks.Lock(t.Context(), "one")
			if err != nil {
				t.Errorf("Lock: %v", err)
				return
			}
			defer unlock()
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			done.Add(1)
			inside.Add(-1)
		})
	}
	wg.Wait()
	if most.Load() != 1 || done.Load() != 50 {
		t.Errorf("%d at once, %d done; want 1, 50", most.Load(), done.Load())
	}
	unlock, err := locks.Lock(t.Context(), "one")
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	other, err := locks.Lock(t.Context(), "two")
	if err != nil {
		t.Fatalf("Lock of another key while one is held: %v", err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := locks.Lock(ctx, "one"); !errors.Is(err, context.Canceled) {
		t.Errorf("Lock with an ended context = %v, want its cause", err)
	}
	unlock()
	again, err := locks.Lock(t.Context(), "one")
	if err != nil {
		t.Fatalf("Lock after all have unlocked: %v", err)
	}
	again()
}
