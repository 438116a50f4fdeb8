package app_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestWorkersOfOneOrderTakeTurnsAndThoseOfAnotherDoNotWait(t *testing.T) {
	t.Parallel()
	var turns app.Turnstile
	one, two := id.MustParse[order.Order]("01890000-0000-7000-8000-000000000001"), id.MustParse[order.Order]("01890000-0000-7000-8000-000000000002")
	var inside, most, done atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			leave, err := turns.Enter(t.Context(), one)
			if err != nil {
				t.Errorf("Enter: %v", err)
				return
			}
			defer leave()
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
	leave, err := turns.Enter(t.Context(), one)
	if err != nil {
		t.Fatalf("Enter: %v", err)
	}
	other, err := turns.Enter(t.Context(), two)
	if err != nil {
		t.Fatalf("Enter of another order while one is busy: %v", err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.Enter(ctx, one); !errors.Is(err, context.Canceled) {
		t.Errorf("Enter with an ended context = %v, want its cause", err)
	}
	leave()
	again, err := turns.Enter(t.Context(), one)
	if err != nil {
		t.Fatalf("Enter after all have left: %v", err)
	}
	again()
}
