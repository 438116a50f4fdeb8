package app_test

import (
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestAPaidOrderIsBuiltDeliveredAndFulfilled(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS(), harness.Database())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered; database delivered")
	w.WantLive("vps", 2)      // port, server
	w.WantLive("database", 2) // volume, instance
	w.WantLive("", 4)
	if n := len(deliveries(w)); n != 2 {
		t.Errorf("%d deliveries in the inbox, want 2", n)
	}
}

func deliveries(w *harness.Harness) []string {
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
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "refused"})
	o := w.PaidOrder(harness.VPS(), harness.Database())
	w.Drain(o)
	w.WantPicture(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
	w.WantCalls(o, "database", sim.OpCreate, 6)
	w.WantLive("database", 0)
	w.WantLive("", 2)
}

func TestAHardRefusalIsCalledOnceAndRolledBack(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: "invalid"})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
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
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: "lost_reply", Times: 1})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	w.WantLive("vps", 2)
}

func TestACleanUpThatFailsIsStuckAndTheRefundGoesOnAndARedriveEndsIt(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: "invalid"})
	w.Sim.Script(sim.Fault{Label: "vps", Part: "port", Operation: sim.OpDelete, Kind: "refused"})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	w.WantLive("vps", 1)
	w.Sim.ClearFaults()
	letters, err := w.UseCases.API.DeadLetters(t.Context(), w.As(tenant.Operator), openDeadLetters(o))
	if err != nil {
		t.Fatalf("DeadLetters: %v", err)
	}
	redriven := 0
	for _, l := range letters.Data {
		if l.Code != "compensation-exhausted" {
			continue
		}
		if _, err := w.UseCases.API.RedriveDeadLetter(t.Context(), w.As(tenant.Operator), l.ID,
			"the cloud is back"); err != nil {
			t.Fatalf("RedriveDeadLetter: %v", err)
		}
		redriven++
	}
	if redriven != 1 {
		t.Fatalf("%d dead letters of the clean-up, want 1 of %+v", redriven, letters.Data)
	}
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.WantLive("", 0)
	if agg := w.Get(o); len(agg.DeadLetters) != 0 {
		t.Errorf("dead letters still open: %+v", agg.DeadLetters)
	}
}
