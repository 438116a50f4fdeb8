package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func cancel(t *testing.T, w *harness.Harness, o order.ID) error {
	t.Helper()
	_, err := w.UseCases.API.CancelOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "not needed any more"))
	return err
}

func mustCancel(t *testing.T, w *harness.Harness, o order.ID) {
	t.Helper()
	if err := cancel(t, w, o); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
}

// wantConflict looks for a refusal that names the order's state.
func wantConflict(t *testing.T, what string, err error, state string) {
	t.Helper()
	f := fault.Of(err)
	if f == nil || f.Kind != fault.KindConflict || f.Code != fault.CodeIllegalTransition || f.Members["state"] != state {
		t.Errorf("%s = %v, want a conflict that names the state %s", what, err, state)
	}
}

func TestCancelEndsAnOrderFromEveryStateThatTakesIt(t *testing.T) {
	t.Parallel()
	begins := func(with string) func(string) bool {
		return func(p string) bool { return strings.HasPrefix(p, with) }
	}
	holds := func(part string) func(string) bool {
		return func(p string) bool { return strings.Contains(p, part) }
	}
	for name, c := range map[string]struct {
		script  []sim.Fault
		arrive  func(w *harness.Harness) order.ID
		reached func(string) bool
		want    string
	}{
		"draft": {arrive: func(w *harness.Harness) order.ID {
			return w.Draft("per_item", harness.VPS()).Order.ID
		}, want: "cancelled none settled; vps cancelled"},
		"pending_payment": {arrive: func(w *harness.Harness) order.ID {
			return w.Submitted("per_item", harness.VPS()).Order.ID
		}, want: "cancelled none settled; vps cancelled"},
		"payment_confirmed": {want: "cancelled none settled; vps cancelled refund 20.10 accepted"},
		"queued": {
			reached: holds("vps queued"),
			want:    "cancelled none settled; vps cancelled refund 20.10 accepted",
		},
		"provisioning": {
			reached: holds("vps provisioning"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Stuck}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"after a lost answer": {
			reached: holds("vps provisioning"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.LostReply}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"retry_wait": {
			reached: holds("vps retry_wait"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Refused}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"waiting_capacity": {
			reached: holds("vps waiting_capacity"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.NoCapacity}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"active": {
			reached: holds("vps active"),
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"compensating already": {
			reached: holds("vps compensating"),
			script:  []sim.Fault{{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"validating": {
			reached: begins("validating"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Refused}},
			want:    "cancelled none settled; vps cancelled refund 20.10 accepted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider {
				if name == "validating" {
					return unreachable{p}
				}
				return p
			}))
			for _, f := range c.script {
				w.Sim.Script(f)
			}
			arrive := c.arrive
			if arrive == nil {
				arrive = func(w *harness.Harness) order.ID { return w.PaidOrder(harness.VPS()) }
			}
			o := arrive(w)
			if c.reached != nil {
				w.WorkUntil(o, c.reached)
			}
			mustCancel(t, w, o)
			version := w.Get(o).Order.Version
			mustCancel(t, w, o)
			if again := w.Get(o).Order.Version; again != version {
				t.Errorf("a second cancel moved version %d to %d, want no change", version, again)
			}
			w.Drain(o)
			w.WantPicture(o, c.want)
			w.WantLive("", 0)
			mustCancel(t, w, o)
			w.CheckWorld()
		})
	}
}

// unreachable cannot be asked for its facts, so that an order stays in validation.
type unreachable struct{ provider.Provider }

func (unreachable) Validate(context.Context, provider.Spec) ([]provider.Violation, error) {
	return nil, provider.NewError(fault.Retryable, "maintenance", "come back later")
}

func TestCancelIsRefusedWhereAnOrderIsOver(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	done := w.PaidOrder(harness.Storage())
	w.Sim.Script(sim.Fault{Label: "vps", Operation: sim.OpCreate, Kind: sim.Invalid})
	failed := w.PaidOrder(harness.VPS())
	w.Drain(done, failed)
	wantConflict(t, "cancel of a fulfilled order", cancel(t, w, done), "fulfilled")
	wantConflict(t, "cancel of a failed order", cancel(t, w, failed), "failed")
	w.CheckWorld()
}

func TestAllOrNothingTakesNoCancelOnceDeliveryBegan(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.AllOrNothing(harness.VPS(), harness.Storage())
	w.WorkUntil(o, func(p string) bool {
		return strings.Contains(p, "vps active") && strings.Contains(p, "object_storage active")
	})
	wantConflict(t, "cancel after delivery began", cancel(t, w, o), "partially_fulfilled")
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered; object_storage delivered")
	w.CheckWorld()
}

func TestALateSuccessOfACancelledItemIsRemoved(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		w := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }))
		w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: sim.Late, AfterS: 12, Times: 1})
		o := w.PaidOrder(harness.VPS())
		w.WorkUntil(o, func(string) bool { return len(w.Sim.Calls(sim.OpCreate, "")) == 2 })
		mustCancel(t, w, o)
		w.Drain(o)
		w.WantPicture(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
		w.Clock.Advance(time.Hour)
		w.WantLive("", 0)
		came := false
		for _, c := range w.Sim.Calls(sim.OpCreate, "") {
			came = came || c.Part == "server" && c.Effect
		}
		if !came {
			t.Errorf("%s: the late server never came, so nothing was proven", naming)
		}
		w.CheckWorld()
	}
}

func TestCancellingLateKeepsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "stuck"})
	o := w.PaidOrder(harness.VPS(), harness.Database())
	w.DrainUntil(o, func(p string) bool { return strings.Contains(p, "vps delivered") })
	if _, err := w.UseCases.API.CancelOrder(t.Context(), w.As(tenant.Customer),
		reasoned(o, "not needed any more")); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	w.Drain(o)
	w.WantPicture(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
	w.WantLive("vps", 2)
	w.WantLive("", 2)
}
