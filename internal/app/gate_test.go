package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/provider"
)

var ljubljana = app.CloudAccount{Provider: "sim", Region: "lj-1"}

// enter is the class a call is let in or refused with, and the wait.
func enter(t *testing.T, g *app.Gate, r provider.Rate) (fault.Class, time.Duration) {
	t.Helper()
	var e *provider.Error
	err := g.Enter(t.Context(), ljubljana, r)
	if errors.As(err, &e) {
		return e.Class, e.After
	}
	if err != nil {
		t.Fatalf("Enter: %v", err)
	}
	return fault.None, 0
}

func TestFiveFailuresInARowOpenTheBreakerForEveryProcessAndOneProbeClosesIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	one, two := app.NewGate(worker, db.Clock), app.NewGate(worker, db.Clock)
	for range 5 {
		if class, _ := enter(t, one, provider.Rate{}); class != fault.None {
			t.Fatalf("Enter before five failures = %s, want let in", class)
		}
		one.Leave(t.Context(), ljubljana, fault.Retryable)
	}
	if class, wait := enter(t, one, provider.Rate{}); class != fault.Parked || wait != 30*time.Second {
		t.Errorf("Enter after five failures = %s for %s, want parked for 30 s", class, wait)
	}
	if class, _ := enter(t, two, provider.Rate{}); class != fault.Parked {
		t.Errorf("Enter in another process = %s, want parked", class)
	}
	db.Clock.Advance(31 * time.Second)
	if class, _ := enter(t, two, provider.Rate{}); class != fault.None {
		t.Errorf("the probe = %s, want let in", class)
	}
	if class, _ := enter(t, one, provider.Rate{}); class != fault.Parked {
		t.Errorf("a second call while one probes = %s, want parked", class)
	}
	two.Leave(t.Context(), ljubljana, fault.Retryable)
	if class, wait := enter(t, two, provider.Rate{}); class != fault.Parked || wait != 60*time.Second {
		t.Errorf("Enter after a failed probe = %s for %s, want parked for twice as long", class, wait)
	}
	db.Clock.Advance(61 * time.Second)
	if class, _ := enter(t, one, provider.Rate{}); class != fault.None {
		t.Errorf("the second probe = %s, want let in", class)
	}
	one.Leave(t.Context(), ljubljana, fault.None)
	db.Clock.Advance(2 * time.Second) // the other process looks again after a second
	for _, g := range []*app.Gate{one, two} {
		if class, _ := enter(t, g, provider.Rate{}); class != fault.None {
			t.Errorf("Enter after the probe went through = %s, want let in", class)
		}
	}
}

func TestARefusedLoginOpensTheBreakerAtOnceAndAnAnswerResetsTheCount(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	g := app.NewGate(db.Worker(t), db.Clock)
	for range 3 {
		for range 4 {
			g.Leave(t.Context(), ljubljana, fault.Ambiguous)
		}
		g.Leave(t.Context(), ljubljana, fault.None)
	}
	// 12 of 15 failed, fewer than the twenty calls that a rate is judged by
	if class, _ := enter(t, g, provider.Rate{}); class != fault.None {
		t.Errorf("Enter after failures with answers between = %s, want let in", class)
	}
	g.Leave(t.Context(), ljubljana, fault.Parked)
	if class, _ := enter(t, g, provider.Rate{}); class != fault.Parked {
		t.Errorf("Enter after a refused login = %s, want parked", class)
	}
}

func TestHalfOfTwentyCallsFailingOpensTheBreaker(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	g := app.NewGate(db.Worker(t), db.Clock)
	for range 10 {
		g.Leave(t.Context(), ljubljana, fault.None)
		g.Leave(t.Context(), ljubljana, fault.Retryable)
	}
	if class, _ := enter(t, g, provider.Rate{}); class != fault.Parked {
		t.Errorf("Enter after 10 of 20 failed = %s, want parked", class)
	}
}

func TestTwoProcessesShareOneBudgetOfCalls(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	rate := provider.Rate{PerSecond: 2, Burst: 30}
	one, two := app.NewGate(worker, db.Clock), app.NewGate(worker, db.Clock)
	let := 0
	for range 40 {
		for _, g := range []*app.Gate{one, two} {
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

func TestAGateThatCannotReadItsStateSendsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	g := app.NewGate(worker, db.Clock)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var e *provider.Error
	if err := g.Enter(ctx, ljubljana, provider.Rate{}); !errors.As(err, &e) || e.Class != fault.RateLimited {
		t.Errorf("Enter without a database = %v, want rate-limited: a class that says nothing was sent", err)
	}
}
