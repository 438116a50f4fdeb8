// Workers that freeze or die around a call, and their successors: nothing is doubled and nothing is written over.

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

// frozen holds the first create of a part, before or after its effect, until it is let go.
type frozen struct {
	provider.Provider
	part    string
	before  bool
	timeout time.Duration // of a call, when set
	entered chan struct{} // closed when the call is held
	let     chan struct{}
	held    chan struct{} // takes the one call that is held
	lasting atomic.Bool   // the part takes longer than the test cares to wait
}

func freeze(part string) *frozen {
	f := &frozen{part: part, entered: make(chan struct{}), let: make(chan struct{}), held: make(chan struct{}, 1)}
	f.held <- struct{}{}
	return f
}

func (f *frozen) Capabilities() provider.Capabilities {
	c := f.Provider.Capabilities()
	if f.timeout > 0 {
		c.CallTimeout = f.timeout
	}
	return c
}

func (f *frozen) Observe(ctx context.Context, s provider.Step, r provider.Ref) (provider.Observation, error) {
	o, err := f.Provider.Observe(ctx, s, r)
	if s.Name == f.part && f.lasting.Load() && o.Phase == provider.Ready {
		o.Phase = provider.Pending
	}
	return o, err
}

func (f *frozen) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Name != f.part {
		return f.Provider.Create(ctx, s, j)
	}
	select {
	case <-f.held:
	default:
		return f.Provider.Create(ctx, s, j)
	}
	if f.before {
		close(f.entered)
		<-f.let
		return f.Provider.Create(ctx, s, j)
	}
	ref, err := f.Provider.Create(ctx, s, j)
	close(f.entered)
	<-f.let
	return ref, err
}

// zombie starts a worker on an item's task and returns when it hangs inside its create; the channel
// tells what became of it.
func zombie(t *testing.T, w *harness.Harness, f *frozen) (order.ID, chan error) {
	t.Helper()
	o := w.PaidOrder(harness.VPS())
	w.WorkUntil(o, func(string) bool { return len(open(w.Get(o), fulfil.Provision)) == 1 })
	task := open(w.Get(o), fulfil.Provision)[0]
	old := w.UseCases.Worker
	ended := make(chan error, 1)
	go func() {
		for {
			wait, err := old.ProvisionItem(t.Context(), task.Tenant, task.ID)
			if err != nil || wait < 0 {
				ended <- err
				return
			}
			w.Clock.Advance(wait) // only while it is alone
		}
	}()
	<-f.entered
	w.Clock.Advance(20 * time.Second) // past the call's time: the queue hands the task to somebody else
	w.Restart()
	return o, ended
}

func TestAWorkerThatWasFrozenInACallWritesNothingAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		for _, before := range []bool{true, false} {
			f := freeze("server")
			f.before = before
			w := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }),
				harness.WithProvider(func(p provider.Provider) provider.Provider { f.Provider = p; return f }))
			o, ended := zombie(t, w, f)
			w.Drain(o)
			w.WantPicture(o, "fulfilled full settled; vps delivered")
			version := w.Get(o).Order.Version
			close(f.let)
			if err := <-ended; !errors.Is(err, app.ErrFenced) {
				t.Errorf("%s: the frozen worker ended with %v, want %v", naming, err, app.ErrFenced)
			}
			if after := w.Get(o).Order.Version; after != version {
				t.Errorf("%s: the frozen worker moved the order from version %d to %d", naming, version, after)
			}
			w.WantLive("vps", 2)
			w.CheckWorld()
		}
	}
}

func TestAWorkerThatWakesAfterItsCallsTimeSendsNothing(t *testing.T) {
	t.Parallel()
	f := freeze("server")
	f.before, f.timeout = true, 300*time.Millisecond
	w := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { f.Provider = p; return f }))
	o, ended := zombie(t, w, f)
	dead, cancelled := context.WithTimeout(t.Context(), f.timeout) // begun after the frozen call's own time
	defer cancelled()
	mustCancel(t, w, o)
	w.Drain(o)
	w.WantPicture(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
	<-dead.Done()
	close(f.let)
	if err := <-ended; !errors.Is(err, app.ErrFenced) {
		t.Errorf("the frozen worker ended with %v, want %v", err, app.ErrFenced)
	}
	for _, c := range w.Sim.Calls(sim.OpCreate, "") {
		if c.Part == "server" {
			t.Errorf("a create was sent at %s, after the call's time", c.At)
		}
	}
	w.WantLive("", 0)
	w.CheckWorld()
}

func TestAFrozenWorkerIsRefusedWhileItsSuccessorIsStillAtWork(t *testing.T) {
	t.Parallel()
	f := freeze("server")
	f.lasting.Store(true)
	w := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { f.Provider = p; return f }))
	o, ended := zombie(t, w, f)
	task := open(w.Get(o), fulfil.Provision)[0]
	w.WorkUntil(o, func(string) bool { return w.Get(o).Task(task.ID).Epoch > task.Epoch })
	before := *w.Get(o).Task(task.ID)
	if !before.Live() {
		t.Fatalf("the successor is through already, %+v; the test wants it at work", before)
	}
	close(f.let)
	if err := <-ended; !errors.Is(err, app.ErrFenced) {
		t.Errorf("the frozen worker ended with %v, want %v", err, app.ErrFenced)
	}
	if after := w.Get(o).Task(task.ID); after.Epoch != before.Epoch {
		t.Errorf("the frozen worker moved the task from epoch %d to %d", before.Epoch, after.Epoch)
	}
	f.lasting.Store(false)
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.WantLive("", 2)
	w.CheckWorld()
}

// deadly ends the process after the first create of a part took effect, before its answer is written.
type deadly struct {
	provider.Provider
	part string
	died bool
}

func (d *deadly) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	ref, err := d.Provider.Create(ctx, s, j)
	if s.Name == d.part && !d.died {
		d.died = true
		panic(harness.Crash{})
	}
	return ref, err
}

func TestACancelAfterADeathBetweenEffectAndAnswerLeavesNothing(t *testing.T) {
	t.Parallel()
	d := &deadly{part: "server"}
	w := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider { d.Provider = p; return d }))
	o := w.PaidOrder(harness.VPS())
	w.WorkUntil(o, func(string) bool { return d.died })
	w.WantLive("", 2)
	mustCancel(t, w, o)
	w.Drain(o)
	w.WantPicture(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
	w.WantLive("", 0)
	w.CheckWorld()
}

func TestTwoWorkersOnOneTaskMakeOneResource(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	for range 10 {
		o := w.PaidOrder(harness.Storage())
		w.WorkUntil(o, func(string) bool { return len(open(w.Get(o), fulfil.Provision)) == 1 })
		task := open(w.Get(o), fulfil.Provision)[0]
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := w.UseCases.Worker.ProvisionItem(t.Context(), task.Tenant, task.ID)
				errs <- err
			}()
		}
		for range 2 {
			if err := <-errs; err != nil && !errors.Is(err, app.ErrFenced) {
				t.Errorf("ProvisionItem: %v", err)
			}
		}
		w.Drain(o)
		w.WantPicture(o, "fulfilled full settled; object_storage delivered")
	}
	w.WantLive("", 10)
	w.CheckWorld()
}
