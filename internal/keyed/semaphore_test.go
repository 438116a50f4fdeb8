package keyed_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/platforma-cloud/orders/internal/keyed"
)

func TestAKeyHasAtMostItsLimitOfHoldersAndAnotherKeyHasItsOwn(t *testing.T) {
	t.Parallel()
	var places keyed.Semaphore[string]
	for n := range 4 {
		if !places.TryAcquire("one", 4) {
			t.Fatalf("TryAcquire with %d of 4 taken = false, want true", n)
		}
	}
	if places.TryAcquire("one", 4) {
		t.Error("TryAcquire with 4 of 4 taken = true, want false")
	}
	if !places.TryAcquire("two", 4) {
		t.Error("TryAcquire of another key = false, want true")
	}
	places.Release("one")
	if !places.TryAcquire("one", 4) {
		t.Error("TryAcquire after a Release = false, want true")
	}
}

func TestManyWhoTryAtOnceGetNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	var places keyed.Semaphore[int]
	var got atomic.Int64
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if places.TryAcquire(7, 3) {
				got.Add(1)
			}
		})
	}
	wg.Wait()
	if got.Load() != 3 {
		t.Errorf("%d of 100 got a place, want 3", got.Load())
	}
}
