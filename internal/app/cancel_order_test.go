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

func cancel(t *testing.T, h *harness.Harness, o order.ID) error {
	t.Helper()
	_, err := h.UseCases.API.CancelOrder(t.Context(), h.As(tenant.Customer), reasoned(o, "not needed any more"))
	return err
}

func mustCancel(t *testing.T, h *harness.Harness, o order.ID) {
	t.Helper()
	if err := cancel(t, h, o); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
}

// wantConflict checks that an error is a conflict that names the order's state.
func wantConflict(t *testing.T, what string, err error, state string) {
	t.Helper()
	f := fault.Of(err)
	if f == nil || f.Kind != fault.KindConflict || f.Code != fault.CodeIllegalTransition || f.Members["state"] != state {
		t.Errorf("%s = %v, want a conflict that names the state %s", what, err, state)
	}
}

func TestCancelEndsAnOrderFromEveryStateThatAllowsIt(t *testing.T) {
	t.Parallel()
	begins := func(with string) func(string) bool {
		return func(summary string) bool { return strings.HasPrefix(summary, with) }
	}
	contains := func(text string) func(string) bool {
		return func(summary string) bool { return strings.Contains(summary, text) }
	}
	for name, c := range map[string]struct {
		script  []sim.Fault
		arrive  func(h *harness.Harness) order.ID
		reached func(string) bool
		want    string
	}{
		"draft": {
			arrive: func(h *harness.Harness) order.ID { return h.DraftOrder("per_item", harness.VPS()).Order.ID },
			want:   "cancelled none settled; vps cancelled",
		},
		"pending_payment": {
			arrive: func(h *harness.Harness) order.ID { return h.SubmittedOrder("per_item", harness.VPS()).Order.ID },
			want:   "cancelled none settled; vps cancelled",
		},
		"payment_confirmed": {want: "cancelled none settled; vps cancelled refund 20.10 accepted"},
		"queued": {
			reached: contains("vps queued"),
			want:    "cancelled none settled; vps cancelled refund 20.10 accepted",
		},
		"provisioning": {
			reached: contains("vps provisioning"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Stuck}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"after a lost answer": {
			reached: contains("vps provisioning"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.LostReply}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"retry_wait": {
			reached: contains("vps retry_wait"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Refused}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"waiting_capacity": {
			reached: contains("vps waiting_capacity"),
			script:  []sim.Fault{{Operation: sim.OpCreate, Kind: sim.NoCapacity}},
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"active": {
			reached: contains("vps active"),
			want:    "cancelled none settled; vps rolled_back refund 20.10 accepted",
		},
		"compensating already": {
			reached: contains("vps compensating"),
			script:  []sim.Fault{{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid}},
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
			h := harness.New(t, harness.WithProvider(func(p provider.Provider) provider.Provider {
				if name == "validating" {
					return failingValidation{p}
				}
				return p
			}))
			for _, f := range c.script {
				h.Sim.Script(f)
			}
			arrive := c.arrive
			if arrive == nil {
				arrive = func(h *harness.Harness) order.ID { return h.PaidOrder(harness.VPS()) }
			}
			o := arrive(h)
			if c.reached != nil {
				h.WorkUntil(o, c.reached)
			}
			mustCancel(t, h, o)
			version := h.Order(o).Order.Version
			mustCancel(t, h, o)
			if again := h.Order(o).Order.Version; again != version {
				t.Errorf("a second cancel moved version %d to %d, want no change", version, again)
			}
			h.Drain(o)
			h.WantSummary(o, c.want)
			h.WantLiveResources("", 0)
			mustCancel(t, h, o)
			h.CheckInvariants()
		})
	}
}

// failingValidation fails every validation, so that an order stays in validation.
type failingValidation struct{ provider.Provider }

func (failingValidation) Validate(context.Context, provider.Spec) ([]provider.Violation, error) {
	return nil, provider.NewError(fault.Retryable, "maintenance", "come back later")
}

func TestCancelIsRefusedOnceAnOrderHasEnded(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	done := h.PaidOrder(harness.Storage())
	h.Sim.Script(sim.Fault{Label: "vps", Operation: sim.OpCreate, Kind: sim.Invalid})
	failed := h.PaidOrder(harness.VPS())
	h.Drain(done, failed)
	wantConflict(t, "cancel of a fulfilled order", cancel(t, h, done), "fulfilled")
	wantConflict(t, "cancel of a failed order", cancel(t, h, failed), "failed")
	h.CheckInvariants()
}

func TestAllOrNothingRefusesCancelOnceDeliveryBegan(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidAllOrNothing(harness.VPS(), harness.Storage())
	h.WorkUntil(o, func(summary string) bool {
		return strings.Contains(summary, "vps active") && strings.Contains(summary, "object_storage active")
	})
	wantConflict(t, "cancel after delivery began", cancel(t, h, o), "partially_fulfilled")
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered; object_storage delivered")
	h.CheckInvariants()
}

func TestALateSuccessOfACancelledItemIsRemoved(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		h := harness.New(t, harness.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }))
		h.Sim.Script(sim.Fault{Label: "vps", Step: "server", Operation: sim.OpCreate, Kind: sim.Late, AfterS: 12, Times: 1})
		o := h.PaidOrder(harness.VPS())
		h.WorkUntil(o, func(string) bool { return len(h.Sim.Calls(sim.OpCreate, "")) == 2 })
		mustCancel(t, h, o)
		h.Drain(o)
		h.WantSummary(o, "cancelled none settled; vps rolled_back refund 20.10 accepted")
		h.Clock.Advance(time.Hour)
		h.WantLiveResources("", 0)
		created := false
		for _, c := range h.Sim.Calls(sim.OpCreate, "") {
			created = created || c.Step == "server" && c.Effect
		}
		if !created {
			t.Errorf("%s: the late server was never created, so the test proves nothing", naming)
		}
		h.CheckInvariants()
	}
}

func TestCancellingLateKeepsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "stuck"})
	o := h.PaidOrder(harness.VPS(), harness.Database())
	h.DrainUntil(o, func(summary string) bool { return strings.Contains(summary, "vps delivered") })
	mustCancel(t, h, o)
	h.Drain(o)
	h.WantSummary(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
	h.WantLiveResources("vps", 2)
	h.WantLiveResources("", 2)
}
