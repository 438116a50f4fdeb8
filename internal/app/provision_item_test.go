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
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS(), harness.Database())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered; database delivered")
	h.WantLiveResources("vps", 2)      // port, server
	h.WantLiveResources("database", 2) // volume, instance
	h.WantLiveResources("", 4)
	if n := len(deliveryMails(h)); n != 2 {
		t.Errorf("%d deliveries in the inbox, want 2", n)
	}
}

func deliveryMails(h *harness.Harness) []string {
	var subjects []string
	for _, m := range h.Inbox.Messages() {
		if strings.HasPrefix(m.Subject, "Your service is ready: ") {
			subjects = append(subjects, m.MessageID)
		}
	}
	return subjects
}

func TestAnItemThatCannotBeBuiltIsRefundedAndTheOthersStay(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: "refused"})
	o := h.PaidOrder(harness.VPS(), harness.Database())
	h.Drain(o)
	h.WantSummary(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
	h.WantCalls(o, "database", sim.OpCreate, 6)
	h.WantLiveResources("database", 0)
	h.WantLiveResources("", 2)
}

func TestAHardRefusalIsCalledOnceAndRolledBack(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "vps", Step: "server", Operation: sim.OpCreate, Kind: "invalid"})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.WantLiveResources("", 0)
	calls := 0
	for _, c := range h.Sim.Calls(sim.OpCreate, "") {
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
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "vps", Step: "server", Operation: sim.OpCreate, Kind: "lost_reply", Times: 1})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	h.WantLiveResources("vps", 2)
}

func TestAFailingCompensationIsStuckTheRefundGoesOnAndARedriveEndsIt(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "vps", Step: "server", Operation: sim.OpCreate, Kind: "invalid"})
	h.Sim.Script(sim.Fault{Label: "vps", Step: "port", Operation: sim.OpDelete, Kind: "refused"})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	h.WantLiveResources("vps", 1)
	h.Sim.ClearFaults()
	deadLetters, err := h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), openDeadLetters(o))
	if err != nil {
		t.Fatalf("DeadLetters: %v", err)
	}
	redriven := 0
	for _, dl := range deadLetters.Data {
		if dl.Code != "compensation-exhausted" {
			continue
		}
		if _, err := h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Operator), dl.ID,
			"the cloud is back"); err != nil {
			t.Fatalf("RedriveDeadLetter: %v", err)
		}
		redriven++
	}
	if redriven != 1 {
		t.Fatalf("%d dead letters of the compensation, want 1 of %+v", redriven, deadLetters.Data)
	}
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.WantLiveResources("", 0)
	if agg := h.Order(o); len(agg.DeadLetters) != 0 {
		t.Errorf("dead letters are still open: %+v", agg.DeadLetters)
	}
}
