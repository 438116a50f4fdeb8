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

// enter is the class a call is let in or refused with, and the wait.
func enter(t *testing.T, g *guard.Guard, r provider.Rate) (fault.Class, time.Duration) {
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
	one, two := guard.New(worker, db.Clock), guard.New(worker, db.Clock)
	for range 5 {
		if class, _ := enter(t, one, provider.Rate{}); class != fault.None {
			t.Fatalf("Admit before five failures = %s, want let in", class)
		}
		one.Record(t.Context(), ljubljana, fault.Retryable)
	}
	if class, wait := enter(t, one, provider.Rate{}); class != fault.Suspended || wait != 30*time.Second {
		t.Errorf("Admit after five failures = %s for %s, want suspended for 30 s", class, wait)
	}
	if class, _ := enter(t, two, provider.Rate{}); class != fault.Suspended {
		t.Errorf("Admit in another process = %s, want suspended", class)
	}
	db.Clock.Advance(31 * time.Second)
	if class, _ := enter(t, two, provider.Rate{}); class != fault.None {
		t.Errorf("the probe = %s, want let in", class)
	}
	if class, _ := enter(t, one, provider.Rate{}); class != fault.Suspended {
		t.Errorf("a second call while one probes = %s, want suspended", class)
	}
	two.Record(t.Context(), ljubljana, fault.Retryable)
	if class, wait := enter(t, two, provider.Rate{}); class != fault.Suspended || wait != 60*time.Second {
		t.Errorf("Admit after a failed probe = %s for %s, want suspended for twice as long", class, wait)
	}
	db.Clock.Advance(61 * time.Second)
	if class, _ := enter(t, one, provider.Rate{}); class != fault.None {
		t.Errorf("the second probe = %s, want let in", class)
	}
	one.Record(t.Context(), ljubljana, fault.None)
	db.Clock.Advance(2 * time.Second) // the other process looks again after a second
	for _, g := range []*guard.Guard{one, two} {
		if class, _ := enter(t, g, provider.Rate{}); class != fault.None {
			t.Errorf("Admit after the probe went through = %s, want let in", class)
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
	// 12 of 15 failed, fewer than the twenty calls that a rate is judged by
	if class, _ := enter(t, g, provider.Rate{}); class != fault.None {
		t.Errorf("Admit after failures with answers between = %s, want let in", class)
	}
	g.Record(t.Context(), ljubljana, fault.Suspended)
	if class, _ := enter(t, g, provider.Rate{}); class != fault.Suspended {
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
	if class, _ := enter(t, g, provider.Rate{}); class != fault.Suspended {
		t.Errorf("Admit after 10 of 20 failed = %s, want suspended", class)
	}
}

func TestTwoProcessesShareOneBudgetOfCalls(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	rate := provider.Rate{PerSecond: 2, Burst: 30}
	one, two := guard.New(worker, db.Clock), guard.New(worker, db.Clock)
	let := 0
	for range 40 {
		for _, g := range []*guard.Guard{one, two} {
			if class, _ := enter(t, g, rate); class == fault.None {
				let++
			}
		}
	}
	if let != 30 {
		t.Errorf("%d calls were let through at once, want the burst of 30", let)
	}
	class, wait := enter(t, one, rate)
	if class != fault.RateLimited || wait != 500*time.Millisecond {
		t.Errorf("beyond the budget = %s for %s, want rate-limited for 500 ms", class, wait)
	}
	db.Clock.Advance(3 * time.Second)
	for let = 0; ; let++ {
		if class, _ := enter(t, two, rate); class != fault.None {
			break
		}
	}
	if let != 6 {
		t.Errorf("after 3 s %d more calls, want 6", let)
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
