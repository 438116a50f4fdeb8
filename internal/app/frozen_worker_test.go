// Tests of workers that freeze or die around a call: nothing is duplicated, and nothing of their successors is
// overwritten.

package app_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// frozenCloud blocks the first create of a step, before or after its effect, until release is closed.
type frozenCloud struct {
	provider.Provider
	step      string
	before    bool
	timeout   time.Duration // replaces the timeout of a call, when set
	entered   chan struct{} // closed when the call blocks
	release   chan struct{}
	firstCall chan struct{} // holds one value, for the one call that blocks
	slow      atomic.Bool   // the resource of the step does not become ready
}

func newFrozenCloud(step string) *frozenCloud {
	f := &frozenCloud{
		step: step, entered: make(chan struct{}), release: make(chan struct{}), firstCall: make(chan struct{}, 1),
	}
	f.firstCall <- struct{}{}
	return f
}

func (f *frozenCloud) Capabilities() provider.Capabilities {
	c := f.Provider.Capabilities()
	if f.timeout > 0 {
		c.CallTimeout = f.timeout
	}
	return c
}

func (f *frozenCloud) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	o, err := f.Provider.Observe(ctx, s, r)
	if s.Name == f.step && f.slow.Load() && o.Phase == provider.Ready {
		o.Phase = provider.Pending
	}
	return o, err
}

func (f *frozenCloud) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Name != f.step {
		return f.Provider.Create(ctx, s, j)
	}
	select {
	case <-f.firstCall:
	default:
		return f.Provider.Create(ctx, s, j)
	}
	if f.before {
		close(f.entered)
		<-f.release
		return f.Provider.Create(ctx, s, j)
	}
	ref, err := f.Provider.Create(ctx, s, j)
	close(f.entered)
	<-f.release
	return ref, err
}

// freezeWorker starts a worker on an item's task and returns when the worker blocks in its create. The channel receives
// the worker's error at its end.
func freezeWorker(t *testing.T, h *harness.Harness, f *frozenCloud) (order.ID, chan error) {
	t.Helper()
	o := h.PaidOrder(harness.VPS())
	h.WorkUntil(o, func(string) bool { return len(liveTasks(h.Order(o), fulfil.Provision)) == 1 })
	task := liveTasks(h.Order(o), fulfil.Provision)[0]
	old := h.UseCases.Worker
	ended := make(chan error, 1)
	go func() {
		for {
			wait, err := old.ProvisionItem(t.Context(), task.Tenant, task.ID)
			if err != nil || wait < 0 {
				ended <- err
				return
			}
			h.Clock.Advance(wait) // the worker is alone until it blocks
		}
	}()
	<-f.entered
	h.Clock.Advance(20 * time.Second) // past the timeout of the call: the queue hands the task to another worker
	h.Restart()
	return o, ended
}

func TestAWorkerFrozenInACallWritesNothingAndDuplicatesNothing(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		for _, before := range []bool{true, false} {
			f := newFrozenCloud("server")
			f.before = before
			h := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }),
				harness.WithProvider(func(p provider.Provider) provider.Provider { f.Provider = p; return f }))
			o, ended := freezeWorker(t, h, f)
			h.Drain(o)
			h.WantSummary(o, "fulfilled full settled; vps delivered")
			version := h.Order(o).Order.Version
			close(f.release)
			if err := <-ended; !errors.Is(err, app.ErrFenced) {
				t.Errorf("%s: the frozen worker ended with %v, want %v", naming, err, app.ErrFenced)
			}
			if after := h.Order(o).Order.Version; after != version {
				t.Errorf("%s: the frozen worker moved the order from version %d to %d", naming, version, after)
			}
			h.WantLiveResources("vps", 2)
			h.CheckInvariants()
		}
	}
}

func TestAWorkerThatWakesAfterTheCallTimeoutSendsNothing(t *testing.T) {
	t.Parallel()
	f := newFrozenCloud("server")
	f.before, f.timeout = true, 300*time.Millisecond
	h := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { f.Provider = p; return f }))
	o, ended := freezeWorker(t, h, f)
	expired, stop := context.WithTimeout(t.Context(), f.timeout) // ends after the timeout of the frozen call
	defer stop()
	mustCancel(t, h, o)
	h.Drain(o)
	h.WantSummary(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
	<-expired.Done()
	close(f.release)
	if err := <-ended; !errors.Is(err, app.ErrFenced) {
		t.Errorf("the frozen worker ended with %v, want %v", err, app.ErrFenced)
	}
	for _, c := range h.Sim.Calls(sim.OpCreate, "") {
		if c.Step == "server" {
			t.Errorf("a create was sent at %s, after the timeout of the call", c.At)
		}
	}
	h.WantLiveResources("", 0)
	h.CheckInvariants()
}

func TestAFrozenWorkerIsRefusedWhileItsSuccessorIsStillAtWork(t *testing.T) {
	t.Parallel()
	f := newFrozenCloud("server")
	f.slow.Store(true)
	h := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { f.Provider = p; return f }))
	o, ended := freezeWorker(t, h, f)
	task := liveTasks(h.Order(o), fulfil.Provision)[0]
	h.WorkUntil(o, func(string) bool { return h.Order(o).Task(task.ID).Epoch > task.Epoch })
	before := *h.Order(o).Task(task.ID)
	if !before.Live() {
		t.Fatalf("the successor has ended already, %+v; the test wants it at work", before)
	}
	close(f.release)
	if err := <-ended; !errors.Is(err, app.ErrFenced) {
		t.Errorf("the frozen worker ended with %v, want %v", err, app.ErrFenced)
	}
	if after := h.Order(o).Task(task.ID); after.Epoch != before.Epoch {
		t.Errorf("the frozen worker moved the task from epoch %d to %d", before.Epoch, after.Epoch)
	}
	f.slow.Store(false)
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.WantLiveResources("", 2)
	h.CheckInvariants()
}

// crashingCloud ends the process after the first create of a step took effect, before the answer is recorded.
type crashingCloud struct {
	provider.Provider
	step    string
	crashed bool
}

func (d *crashingCloud) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	ref, err := d.Provider.Create(ctx, s, j)
	if s.Name == d.step && !d.crashed {
		d.crashed = true
		panic(harness.Crash{})
	}
	return ref, err
}

func TestACancelAfterACrashBetweenEffectAndAnswerLeavesNothing(t *testing.T) {
	t.Parallel()
	d := &crashingCloud{step: "server"}
	h := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { d.Provider = p; return d }))
	o := h.PaidOrder(harness.VPS())
	h.WorkUntil(o, func(string) bool { return d.crashed })
	h.WantLiveResources("", 2)
	mustCancel(t, h, o)
	h.Drain(o)
	h.WantSummary(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
	h.WantLiveResources("", 0)
	h.CheckInvariants()
}

func TestTwoWorkersOnOneTaskMakeOneResource(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	for range 10 {
		o := h.PaidOrder(harness.Storage())
		h.WorkUntil(o, func(string) bool { return len(liveTasks(h.Order(o), fulfil.Provision)) == 1 })
		task := liveTasks(h.Order(o), fulfil.Provision)[0]
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := h.UseCases.Worker.ProvisionItem(t.Context(), task.Tenant, task.ID)
				errs <- err
			}()
		}
		for range 2 {
			if err := <-errs; err != nil && !errors.Is(err, app.ErrFenced) {
				t.Errorf("ProvisionItem: %v", err)
			}
		}
		h.Drain(o)
		h.WantSummary(o, "fulfilled full settled; object_storage delivered")
	}
	h.WantLiveResources("", 10)
	h.CheckInvariants()
}
