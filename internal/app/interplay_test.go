package app_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

func cancel(t *testing.T, w *world.World, o order.ID) error {
	t.Helper()
	_, err := w.Verbs.API.CancelOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "not needed any more"))
	return err
}

func mustCancel(t *testing.T, w *world.World, o order.ID) {
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
		arrive  func(w *world.World) order.ID
		reached func(string) bool
		want    string
	}{
		"draft":                {arrive: func(w *world.World) order.ID { return w.Draft("per_item", world.VPS()).Order.ID }, want: "cancelled none settled; vps cancelled"},
		"pending_payment":      {arrive: func(w *world.World) order.ID { return w.Submitted("per_item", world.VPS()).Order.ID }, want: "cancelled none settled; vps cancelled"},
		"payment_confirmed":    {want: "cancelled none settled; vps cancelled refund 20.10 accepted"},
		"queued":               {reached: holds("vps queued"), want: "cancelled none settled; vps cancelled refund 20.10 accepted"},
		"provisioning":         {reached: holds("vps provisioning"), script: []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Stuck}}, want: "cancelled none settled; vps rolled_back refund 20.10 accepted"},
		"after a lost answer":  {reached: holds("vps provisioning"), script: []sim.Fault{{Operation: sim.OpCreate, Kind: sim.LostReply}}, want: "cancelled none settled; vps rolled_back refund 20.10 accepted"},
		"retry_wait":           {reached: holds("vps retry_wait"), script: []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Refused}}, want: "cancelled none settled; vps rolled_back refund 20.10 accepted"},
		"waiting_capacity":     {reached: holds("vps waiting_capacity"), script: []sim.Fault{{Operation: sim.OpCreate, Kind: sim.NoCapacity}}, want: "cancelled none settled; vps rolled_back refund 20.10 accepted"},
		"active":               {reached: holds("vps active"), want: "cancelled none settled; vps rolled_back refund 20.10 accepted"},
		"compensating already": {reached: holds("vps compensating"), script: []sim.Fault{{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid}}, want: "cancelled none settled; vps rolled_back refund 20.10 accepted"},
		"validating":           {reached: begins("validating"), script: []sim.Fault{{Operation: sim.OpCreate, Kind: sim.Refused}}, want: "cancelled none settled; vps cancelled refund 20.10 accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t, world.WithProvider(func(p provider.Provider) provider.Provider {
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
				arrive = func(w *world.World) order.ID { return w.PaidOrder(world.VPS()) }
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
			w.Settle(o)
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
	w := world.New(t)
	done := w.PaidOrder(world.Storage())
	w.Sim.Script(sim.Fault{Label: "vps", Operation: sim.OpCreate, Kind: sim.Invalid})
	failed := w.PaidOrder(world.VPS())
	w.Settle(done, failed)
	wantConflict(t, "cancel of a fulfilled order", cancel(t, w, done), "fulfilled")
	wantConflict(t, "cancel of a failed order", cancel(t, w, failed), "failed")
	w.CheckWorld()
}

func TestAllOrNothingTakesNoCancelOnceDeliveryBegan(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.AllOrNothing(world.VPS(), world.Storage())
	w.WorkUntil(o, func(p string) bool {
		return strings.Contains(p, "vps active") && strings.Contains(p, "object_storage active")
	})
	wantConflict(t, "cancel after delivery began", cancel(t, w, o), "partially_fulfilled")
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered; object_storage delivered")
	w.CheckWorld()
}

// creations are the parts in the order in which their creates came to the cloud.
func creations(w *world.World) []string {
	var parts []string
	for _, c := range w.Sim.Calls(sim.OpCreate, "") {
		parts = append(parts, c.Label+" "+c.Part)
	}
	return parts
}

// removals are the parts in the order in which the cloud first took their delete.
func removals(w *world.World) []string {
	var parts []string
	for _, c := range w.Sim.Calls(sim.OpDelete, "") {
		if name := c.Label + " " + c.Part; !slices.Contains(parts, name) {
			parts = append(parts, name)
		}
	}
	return parts
}

func TestAllOrNothingGoesBackLastProvisionedFirst(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "last", Part: "instance", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := w.AllOrNothing(world.Labelled(world.VPS(), "first"), world.Labelled(world.Storage(), "second"), world.Labelled(world.Database(), "last"))
	w.Settle(o)
	w.WantPicture(o, "failed none settled; first rolled_back refund 20.10 accepted; second rolled_back refund 20.00 accepted; last rolled_back refund 65.00 accepted")
	made := creations(w)
	slices.Reverse(made)
	if diff := cmp.Diff(made, removals(w)); diff != "" {
		t.Errorf("removed, against the reverse of creation (-want +got):\n%s", diff)
	}
	w.CheckWorld()
}

// overtaken has something happen between the decision to create a part and the call's coming to the
// provider, once.
type overtaken struct {
	provider.Provider
	part      string
	meanwhile func()
}

func (p *overtaken) Create(ctx context.Context, s provider.Step, j provider.Journal) (provider.Ref, error) {
	if s.Part == p.part && p.meanwhile != nil {
		do := p.meanwhile
		p.meanwhile = nil
		do()
	}
	return p.Provider.Create(ctx, s, j)
}

// Two workers have creates of one order on their way at once, and the one that was decided later comes
// to the provider first: the items go back in the reverse of what was decided, and the outside checker
// knows that the provider's log could not tell.
func TestACreateThatIsOvertakenOnItsWayKeepsItsPlaceOnTheWayBack(t *testing.T) {
	t.Parallel()
	slow := &overtaken{part: "port"}
	w := world.New(t, world.WithProvider(func(p provider.Provider) provider.Provider { slow.Provider = p; return slow }))
	w.Sim.Script(sim.Fault{Label: "last", Part: "instance", Operation: sim.OpCreate, Kind: sim.Invalid})
	var o order.ID
	slow.meanwhile = func() {
		w.Clock.Advance(time.Millisecond)
		d := w.Get(o)
		for _, u := range open(d, fulfil.Provision) {
			if d.Order.Find(u.Item).Label == "second" {
				if _, err := w.Verbs.Worker.ProvisionItem(t.Context(), u.Tenant, u.ID); err != nil {
					t.Errorf("ProvisionItem: %v", err)
				}
			}
		}
		w.Clock.Advance(time.Millisecond)
	}
	o = w.AllOrNothing(world.Labelled(world.VPS(), "first"), world.Labelled(world.Storage(), "second"), world.Labelled(world.Database(), "last"))
	w.Settle(o)
	if diff := cmp.Diff([]string{"second bucket", "first port"}, creations(w)[:2]); diff != "" {
		t.Fatalf("the first creates that came to the cloud (-want +got):\n%s", diff)
	}
	gone := removals(w)
	if diff := cmp.Diff([]string{"second bucket", "first port"}, gone[len(gone)-2:]); diff != "" {
		t.Errorf("the last to go, against the reverse of what was decided (-want +got):\n%s", diff)
	}
	w.CheckWorld()
}

func TestALateSuccessOfACancelledItemIsRemoved(t *testing.T) {
	t.Parallel()
	for _, naming := range []provider.Naming{provider.NamingUnique409, provider.NamingNone} {
		w := world.New(t, world.WithSim(func(c *sim.ServerConfig) { c.Naming = naming }))
		w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: sim.Late, AfterS: 12, Times: 1})
		o := w.PaidOrder(world.VPS())
		w.WorkUntil(o, func(string) bool { return len(w.Sim.Calls(sim.OpCreate, "")) == 2 })
		mustCancel(t, w, o)
		w.Settle(o)
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

func TestAHeldOrderWaitsUntilItIsReleased(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.PaidOrder(world.VPS())
	if _, err := w.Verbs.API.HoldOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "x")); fault.Of(err) == nil || fault.Of(err).Kind != fault.KindForbidden {
		t.Errorf("HoldOrder by a customer = %v, want forbidden", err)
	}
	if _, err := w.Verbs.API.HoldOrder(t.Context(), w.As(tenant.Operator), reasoned(o, "checking the payer")); err != nil {
		t.Fatalf("HoldOrder: %v", err)
	}
	w.Settle(o)
	w.Clock.Advance(48 * time.Hour)
	w.Settle(o)
	w.WantPicture(o, "payment_confirmed none open; vps pending")
	_, err := w.Verbs.API.HoldOrder(t.Context(), w.As(tenant.Operator), reasoned(o, "again"))
	wantConflict(t, "a second hold", err, "payment_confirmed")
	if _, err := w.Verbs.API.ReleaseOrder(t.Context(), w.As(tenant.Operator), reasoned(o, "")); err != nil {
		t.Fatalf("ReleaseOrder: %v", err)
	}
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}

func TestValidationWaitsForTheSafetyWindow(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 600 })
	o := w.PaidOrder(world.VPS())
	paidAt := w.Clock.Now()
	w.WorkUntil(o, func(p string) bool { return !strings.HasPrefix(p, "payment_confirmed") })
	if waited := w.Clock.Now().Sub(paidAt); waited != 10*time.Minute {
		t.Errorf("validation began %s after the payment, want 10 min: the safety window (D12)", waited)
	}
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}

func TestReleasingInsideTheSafetyWindowStartsAtOnceAndRevertingStopsIt(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 600 })
	o := w.PaidOrder(world.VPS())
	w.Publish()
	if _, err := w.Verbs.API.RevertPayment(t.Context(), w.As(tenant.Operator), reasoned(o, "wrong payer")); err != nil {
		t.Fatalf("RevertPayment: %v", err)
	}
	w.Clock.Advance(time.Hour)
	w.Settle(o)
	w.WantPicture(o, "pending_payment none open; vps pending")
	w.Pay(w.Get(o))
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}

func TestAPaymentRevertAndTheStartOfProvisioningNeverBothWin(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	reverted, started := 0, 0
	for range rounds(40, 200) {
		o := w.PaidOrder(world.Storage())
		w.Publish()
		d := w.Get(o)
		u := d.ValidateUnit()
		var wg sync.WaitGroup
		var revert error
		wg.Go(func() {
			_, revert = w.Verbs.API.RevertPayment(t.Context(), w.As(tenant.Operator), reasoned(o, "wrong payer"))
		})
		wg.Go(func() {
			if _, err := w.Verbs.Worker.ValidateOrder(t.Context(), u.Tenant, u.ID); err != nil && !fencedOrRefused(err) {
				t.Errorf("ValidateOrder: %v", err)
			}
		})
		wg.Wait()
		switch got := w.Get(o).Order.State; {
		case revert == nil && got == order.PendingPayment:
			reverted++
		case got == order.Provisioning:
			wantConflict(t, "revert after provisioning started", revert, "provisioning")
			started++
		default:
			t.Errorf("revert = %v, order %s: want exactly one winner", revert, got)
		}
		if t.Failed() {
			return
		}
		mustCancel(t, w, o)
	}
	t.Logf("%d reverted, %d started", reverted, started)
	w.Settle()
	w.WantLive("", 0)
	w.CheckWorld()
}

func fencedOrRefused(err error) bool {
	f := fault.Of(err)
	return errors.Is(err, app.ErrFenced) || f != nil && f.Kind == fault.KindConflict
}

func TestTheLastTwoItemsFinishingTogetherSettleTheOrderOnce(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	for round := range rounds(5, 15) {
		o := w.AllOrNothing(world.VPS(), world.Labelled(world.VPS(), "twin")) // so that both deliveries begin together
		w.WorkUntil(o, func(string) bool { return len(open(w.Get(o), fulfil.Deliver)) == 2 })
		var wg sync.WaitGroup
		for _, u := range open(w.Get(o), fulfil.Deliver) {
			wg.Go(func() {
				if _, err := w.Verbs.Worker.DeliverCredentials(t.Context(), u.Tenant, u.ID); err != nil {
					t.Errorf("DeliverCredentials: %v", err)
				}
			})
		}
		wg.Wait()
		w.WantPicture(o, "fulfilled full settled; vps delivered; twin delivered")
		n := 0
		w.Settle(o)
		for _, e := range w.Events {
			if e.Order == o && e.Type == order.EvFulfilled {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("round %d: %d events order.fulfilled, want 1", round, n)
		}
	}
	w.CheckWorld()
}

func open(d *app.Dossier, k fulfil.Kind) []fulfil.Unit {
	var live []fulfil.Unit
	for _, u := range d.Units {
		if u.Kind == k && u.Live() {
			live = append(live, u)
		}
	}
	return live
}

func TestAnEventOfACancelThatComesLateLeavesTheOrdersNextLifeAlone(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.Submitted("per_item", world.VPS()).Order.ID
	mustCancel(t, w, o) // its event waits: the broker is away
	if _, err := w.Verbs.API.RestoreOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	again, err := w.Verbs.API.SubmitOrder(t.Context(), w.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	w.Pay(again)
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.CheckWorld()
}
