package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

func TestAPaidOrderIsBuiltDeliveredAndFulfilled(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.PaidOrder(world.VPS(), world.Database())
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered; database delivered")
	w.WantLive("vps", 2)      // port, server
	w.WantLive("database", 2) // volume, instance
	w.WantLive("", 4)
	if n := len(deliveries(w)); n != 2 {
		t.Errorf("%d deliveries in the inbox, want 2", n)
	}
}

func deliveries(w *world.World) []string {
	var subjects []string
	for _, m := range w.Inbox.Messages() {
		if strings.HasPrefix(m.Subject, "Your service is ready: ") {
			subjects = append(subjects, m.MessageID)
		}
	}
	return subjects
}

func TestAnItemThatCannotBeBuiltIsRefundedAndTheOthersStay(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "refused"})
	o := w.PaidOrder(world.VPS(), world.Database())
	w.Settle(o)
	w.WantPicture(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
	w.WantCalls(o, "database", sim.OpCreate, 6)
	w.WantLive("database", 0)
	w.WantLive("", 2)
}

func TestAllOrNothingRollsTheWholeOrderBackAndKeepsItsSecrets(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "refused"})
	o := w.AllOrNothing(world.VPS(), world.Database())
	w.Settle(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 accepted")
	w.WantLive("", 0)
	if n := len(deliveries(w)); n != 0 {
		t.Errorf("%d deliveries of an order that rolled back, want none (D1)", n)
	}
}

func TestAHardRefusalIsCalledOnceAndRolledBack(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: "invalid"})
	o := w.PaidOrder(world.VPS())
	w.Settle(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.WantLive("", 0)
	calls := 0
	for _, c := range w.Sim.Calls(sim.OpCreate, "") {
		if strings.Contains(c.Result, "invalid") {
			calls++
		}
	}
	if calls != 1 {
		t.Errorf("%d refused creates, want 1: hard refusals are not retried (D5)", calls)
	}
}

func TestALostAnswerLeavesOneResource(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: "lost_reply", Times: 1})
	o := w.PaidOrder(world.VPS())
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.WantLive("vps", 2)
}

func TestAFaultFoundWhileValidatingFailsTheOrderBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	windows := world.VPS() // hetzner-fsn1 of the simulated cloud has no Windows image: only asking tells
	windows.Region, windows.Configuration = "hetzner-fsn1", json.RawMessage(`{"os_image":"windows-2022"}`)
	o := w.PaidOrder(windows)
	w.Settle(o)
	w.WantPicture(o, "failed none settled; vps cancelled refund 20.10 accepted")
	w.WantLive("", 0)
	d := w.Get(o)
	if len(d.Order.Faults) != 1 || !strings.HasPrefix(d.Order.Faults[0].Pointer, "/items/0/") {
		t.Errorf("faults on the order = %+v, want one that points into item 0 (D13)", d.Order.Faults)
	}
}

func TestCancellingLateKeepsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "stuck"})
	o := w.PaidOrder(world.VPS(), world.Database())
	w.SettleUntil(o, func(p string) bool { return strings.Contains(p, "vps delivered") })
	if _, err := w.Verbs.API.CancelOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "not needed any more")); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	w.Settle(o)
	w.WantPicture(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
	w.WantLive("vps", 2)
	w.WantLive("", 2)
}

func TestACleanUpThatFailsIsStuckAndTheRefundGoesOnAndARedriveEndsIt(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: "invalid"})
	w.Sim.Script(sim.Fault{Label: "vps", Part: "port", Operation: sim.OpDelete, Kind: "refused"})
	o := w.PaidOrder(world.VPS())
	w.Settle(o)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	w.WantLive("vps", 1)
	w.Sim.ClearFaults()
	letters, err := w.Verbs.API.DeadLetters(t.Context(), w.As(tenant.Operator), openLetters(o))
	if err != nil {
		t.Fatalf("DeadLetters: %v", err)
	}
	redriven := 0
	for _, l := range letters.Data {
		if l.Code != "undo-exhausted" {
			continue
		}
		if _, err := w.Verbs.API.RedriveDeadLetter(t.Context(), w.As(tenant.Operator), l.ID, "the cloud is back"); err != nil {
			t.Fatalf("RedriveDeadLetter: %v", err)
		}
		redriven++
	}
	if redriven != 1 {
		t.Fatalf("%d dead letters of the clean-up, want 1 of %+v", redriven, letters.Data)
	}
	w.Settle(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.WantLive("", 0)
	if d := w.Get(o); len(d.Letters) != 0 {
		t.Errorf("dead letters still open: %+v", d.Letters)
	}
}

func TestRestoredOrdersStartUnderANewGenerationAndANewPayment(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	d := w.Pay(w.Submitted("per_item", world.VPS()))
	o := d.Order.ID
	if _, err := w.Verbs.API.CancelOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "")); err != nil {
		t.Fatalf("CancelOrder: %v", err)
	}
	w.WantPicture(o, "payment_confirmed none compensating; vps cancelled refund 20.10 requested")
	w.Settle(o)
	w.WantPicture(o, "cancelled none settled; vps cancelled refund 20.10 accepted")
	if _, err := w.Verbs.API.RestoreOrder(t.Context(), w.As(tenant.Customer), reasoned(o, "yes please")); err != nil {
		t.Fatalf("RestoreOrder: %v", err)
	}
	w.WantPicture(o, "draft none open; vps pending")
	if g := w.Item(o, "vps").Generation; g != 2 {
		t.Errorf("generation after a restore = %d, want 2 (D8)", g)
	}
	if got := w.Get(o).Order; got.Number != d.Order.Number || got.DeletedAt != nil {
		t.Errorf("restored order is %s deleted at %v, want %s, nil", got.Number, got.DeletedAt, d.Order.Number)
	}
	again, err := w.Verbs.API.SubmitOrder(t.Context(), w.As(tenant.Customer), submit(o))
	if err != nil {
		t.Fatalf("SubmitOrder: %v", err)
	}
	w.Pay(again)
	w.Settle(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
}

func TestTheDeliveredMailCarriesTheSecretAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.PaidOrder(world.VPS())
	w.Settle(o)
	issued := w.Sim.Secrets(w.Item(o, "vps").ID.String())
	if len(issued) == 0 {
		t.Fatal("the cloud issued no secret")
	}
	if at := strings.Index(string(issued[len(issued)-1]), sim.Canary); at < 0 {
		t.Fatalf("the issued secret has no canary to look for")
	}
	w.WantNoCanary()
	if w.Get(o).Order.State != order.Fulfilled {
		t.Errorf("order is %s, want fulfilled", w.Get(o).Order.State)
	}
}
