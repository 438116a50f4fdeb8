package main_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestFiguresAreCheckedAndRebuiltFromTheCommandLine(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.Drain(d.PaidOrder(harness.VPS()))
	d.runOnDatabase(0, argsOf("analytics check"), "alpha: the figures match the orders", "beta: not counted yet")
	d.exec(`UPDATE revenue_daily SET captured_cents = captured_cents * 2`)
	d.exec(fmt.Sprintf(`UPDATE order_daily SET orders = orders + 1 WHERE state = %d`, order.Fulfilled))
	d.runOnDatabase(1, argsOf("analytics check"), "alpha: the figures are WRONG in 2 places",
		"platforma analytics rebuild --tenant alpha",
		"orders fulfilled: the orders say 1, of which 1 paid", "the roll-up says 2, of which 1 paid",
		"revenue: the orders say captured")
	d.runOnDatabase(0, argsOf("analytics check --tenant beta"), "beta: not counted yet")
	var checked []struct {
		Slug        string
		Holds       bool
		Behind      int
		Differences []struct{ Day, What, Tables, Rollup string }
	}
	d.decodeFromDatabase(1, "analytics check --tenant alpha --json", &checked)
	if len(checked) != 1 || checked[0].Slug != "alpha" || checked[0].Holds || checked[0].Behind != 0 ||
		len(checked[0].Differences) != 2 {
		t.Errorf("in JSON: %+v", checked)
	}
	d.runOnDatabase(0, argsOf("analytics rebuild"), "alpha: the figures match the orders",
		"beta: the figures match the orders")
	d.runOnDatabase(0, argsOf("analytics check"))
	d.CheckInvariants()

	// Events that are not counted yet are not a fault.
	d.PaidOrder(harness.VPS())
	d.runOnDatabase(0, argsOf("analytics check --tenant alpha"), "events of 1 orders are still to be counted")
	d.Publish()
	var correct []map[string]any
	d.decodeFromDatabase(0, "analytics check --tenant alpha --json", &correct)
	if diff := cmp.Diff([]map[string]any{{
		"tenant": d.Tenant.ID.String(), "slug": "alpha", "holds": true, "counted": true, "behind": 0.0,
		"parked": 0.0, "differences": []any{},
	}}, correct); diff != "" {
		t.Errorf("in JSON, when the figures are correct (-want +got):\n%s", diff)
	}
	d.runOnDatabase(1, argsOf("analytics check --tenant nobody"), `no organisation "nobody"`)
}
