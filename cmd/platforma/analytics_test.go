package main_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestFiguresAreCheckedAndMendedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.Drain(d.PaidOrder(harness.VPS()))
	d.audit(0, words("analytics check"), "alpha: the figures are those of the orders", "beta: not counted yet")
	d.super(`UPDATE revenue_daily SET captured_cents = captured_cents * 2`)
	d.super(fmt.Sprintf(`UPDATE order_daily SET orders = orders + 1 WHERE state = %d`, order.Fulfilled))
	d.audit(1, words("analytics check"), "alpha: the figures are WRONG on 2 counts",
		"platforma analytics rebuild --tenant alpha",
		"orders fulfilled: the orders say 1, of which 1 paid", "the roll-up 2, of which 1 paid",
		"revenue: the orders say captured")
	d.audit(0, words("analytics check --tenant beta"), "beta: not counted yet")
	var told []struct {
		Slug        string
		Holds       bool
		Behind      int
		Differences []struct{ Day, What, Tables, Rollup string }
	}
	if err := json.Unmarshal([]byte(d.audit(1, words("analytics check --tenant alpha --json"))), &told); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Slug != "alpha" || told[0].Holds || told[0].Behind != 0 || len(told[0].Differences) != 2 {
		t.Errorf("in JSON: %+v", told)
	}
	d.audit(0, words("analytics rebuild"), "alpha: the figures are those of the orders",
		"beta: the figures are those of the orders")
	d.audit(0, words("analytics check"))
	d.CheckInvariants()

	// What was made since is on its way, and no fault.
	d.PaidOrder(harness.VPS())
	d.audit(0, words("analytics check --tenant alpha"), "of 1 orders events are still to be taken in")
	d.Publish()
	var whole []map[string]any
	if err := json.Unmarshal([]byte(d.audit(0, words("analytics check --tenant alpha --json"))), &whole); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]any{{
		"tenant": d.Tenant.ID.String(), "slug": "alpha", "holds": true, "counted": true, "behind": 0.0,
		"parked": 0.0, "differences": []any{},
	}}, whole); diff != "" {
		t.Errorf("in JSON, when all is well (-want +got):\n%s", diff)
	}
	d.audit(1, words("analytics check --tenant nobody"), `no organisation "nobody"`)
}
