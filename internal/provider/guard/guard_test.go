package guard_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/guard"
)

var ljubljana = guard.Account{Provider: "sim", Region: "lj-1"}

// admit returns the class of the refusal, or None, and the wait.
func admit(t *testing.T, g *guard.Guard, r provider.Rate) (fault.Class, time.Duration) {
	t.Helper()
	var e *provider.Error
	err := g.Admit(t.Context(), ljubljana, r)
	if errors.As(err, &e) {
		return e.Class, e.After
	}
	if err != nil {
		t.Fatalf("Admit: %v", err)
	}
	return fault.None, 0
}

func TestFiveFailuresInARowOpenTheBreakerForEveryProcessAndOneProbeClosesIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	first, second := guard.New(worker, db.Clock), guard.New(worker, db.Clock)
	for range 5 {
		if class, _ := admit(t, first, provider.Rate{}); class != fault.None {
			t.Fatalf("Admit before five failures = %s, want admitted", class)
		}
		first.Record(t.Context(), ljubljana, fault.Retryable)
	}
	if class, wait := admit(t, first, provider.Rate{}); class != fault.Suspended || wait != 30*time.Second {
		t.Errorf("Admit after five failures = %s for %s, want suspended for 30 s", class, wait)
	}
	if class, _ := admit(t, second, provider.Rate{}); class != fault.Suspended {
		t.Errorf("Admit in another process = %s, want suspended", class)
	}
	db.Clock.Advance(31 * time.Second)
	if class, _ := admit(t, second, provider.Rate{}); class != fault.None {
		t.Errorf("the probe = %s, want admitted", class)
	}
	if class, _ := admit(t, first, provider.Rate{}); class != fault.Suspended {
		t.Errorf("a second call during the probe = %s, want suspended", class)
	}
	second.Record(t.Context(), ljubljana, fault.Retryable)
	if class, wait := admit(t, second, provider.Rate{}); class != fault.Suspended || wait != 60*time.Second {
		t.Errorf("Admit after a failed probe = %s for %s, want suspended for twice as long", class, wait)
	}
	db.Clock.Advance(61 * time.Second)
	if class, _ := admit(t, first, provider.Rate{}); class != fault.None {
		t.Errorf("the second probe = %s, want admitted", class)
	}
	first.Record(t.Context(), ljubljana, fault.None)
	db.Clock.Advance(2 * time.Second) // the other process reads the state again after a second
	for _, g := range []*guard.Guard{first, second} {
		if class, _ := admit(t, g, provider.Rate{}); class != fault.None {
			t.Errorf("Admit after the probe went through = %s, want admitted", class)
		}
	}
}

func TestARefusedLoginOpensTheBreakerAtOnceAndAnAnswerResetsTheCount(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	g := guard.New(db.Worker(t), db.Clock)
	for range 3 {
		for range 4 {
			g.Record(t.Context(), ljubljana, fault.Ambiguous)
		}
		g.Record(t.Context(), ljubljana, fault.None)
	}
	// 12 of 15 failed, but a failure rate needs at least twenty calls
	if class, _ := admit(t, g, provider.Rate{}); class != fault.None {
		t.Errorf("Admit after failures with answers between = %s, want admitted", class)
	}
	g.Record(t.Context(), ljubljana, fault.Suspended)
	if class, _ := admit(t, g, provider.Rate{}); class != fault.Suspended {
		t.Errorf("Admit after a refused login = %s, want suspended", class)
	}
}

func TestHalfOfTwentyCallsFailingOpensTheBreaker(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	g := guard.New(db.Worker(t), db.Clock)
	for range 10 {
		g.Record(t.Context(), ljubljana, fault.None)
		g.Record(t.Context(), ljubljana, fault.Retryable)
	}
	if class, _ := admit(t, g, provider.Rate{}); class != fault.Suspended {
		t.Errorf("Admit after 10 of 20 failed = %s, want suspended", class)
	}
}

func TestTwoProcessesShareOneBudgetOfCalls(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	rate := provider.Rate{PerSecond: 2, Burst: 30}
	first, second := guard.New(worker, db.Clock), guard.New(worker, db.Clock)
	admitted := 0
	for range 40 {
		for _, g := range []*guard.Guard{first, second} {
			if class, _ := admit(t, g, rate); class == fault.None {
				admitted++
			}
		}
	}
	if admitted != 30 {
		t.Errorf("%d calls were admitted at once, want the burst of 30", admitted)
	}
	class, wait := admit(t, first, rate)
	if class != fault.RateLimited || wait != 500*time.Millisecond {
		t.Errorf("beyond the budget = %s for %s, want rate-limited for 500 ms", class, wait)
	}
	db.Clock.Advance(3 * time.Second)
	for admitted = 0; ; admitted++ {
		if class, _ := admit(t, second, rate); class != fault.None {
			break
		}
	}
	if admitted != 6 {
		t.Errorf("after 3 s %d more calls, want 6", admitted)
	}
}

func TestAGuardThatCannotReadItsStateSendsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	g := guard.New(worker, db.Clock)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var e *provider.Error
	if err := g.Admit(ctx, ljubljana, provider.Rate{}); !errors.As(err, &e) || e.Class != fault.RateLimited {
		t.Errorf("Admit without a database = %v, want rate-limited: a class that says nothing was sent", err)
	}
}
