package httpkit

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestAddressWaitsUntilItsOldestFailureIsAMinuteOld(t *testing.T) {
	t.Parallel()
	th := NewThrottle(3)
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	for _, s := range []int{0, 20, 40} {
		if wait := th.Wait("a", at(s)); wait != 0 {
			t.Fatalf("after %d s it waits %s", s, wait)
		}
		th.Fail("a", at(s))
	}
	for s, want := range map[int]time.Duration{40: 20 * time.Second, 59: time.Second, 60: 0} {
		if wait := th.Wait("a", at(s)); wait != want {
			t.Errorf("after %d s it waits %s, want %s", s, wait, want)
		}
	}
	if wait := th.Wait("b", at(40)); wait != 0 {
		t.Errorf("another address waits %s", wait)
	}
	// Two of the three failures still count. With one more, the address waits for the older of the two to expire.
	th.Fail("a", at(61))
	if wait := th.Wait("a", at(62)); wait != 18*time.Second {
		t.Errorf("after the fourth it waits %s, want 18 s", wait)
	}
}

func TestThrottleWithALimitOfZeroRefusesNobody(t *testing.T) {
	t.Parallel()
	th := NewThrottle(0)
	for range 100 {
		th.Fail("a", now)
	}
	if wait := th.Wait("a", now); wait != 0 || len(th.failed) != 0 {
		t.Errorf("waits %s, remembers %d", wait, len(th.failed))
	}
}

func TestThrottleForgetsAddressesWhoseFailuresAreOld(t *testing.T) {
	t.Parallel()
	th := NewThrottle(10)
	for i := range maxTracked {
		th.Fail(strconv.Itoa(i), now)
	}
	th.Fail("late", now.Add(time.Minute))
	if len(th.failed) != 1 {
		t.Errorf("%d addresses are left, want 1", len(th.failed))
	}
}

func TestThrottleKeepsNoMoreFailuresOfAnAddressThanItsLimit(t *testing.T) {
	t.Parallel()
	th := NewThrottle(2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				th.Fail("a", now)
			}
		})
	}
	wg.Wait()
	if n := len(th.failed["a"]); n != 2 {
		t.Errorf("%d failures are remembered, want 2", n)
	}
}
