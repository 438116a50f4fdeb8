package queue

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestALoneTenantLeavesWorkersFreeAndTwoShareThem(t *testing.T) {
	t.Parallel()
	loud, quiet := id.MustParse[tenant.Tenant]("01890000-0000-7000-8000-000000000001"),
		id.MustParse[tenant.Tenant]("01890000-0000-7000-8000-000000000002")
	var s slots
	taken := func(who tenant.ID) int {
		n := 0
		for s.take("sim", who, 16) {
			n++
		}
		return n
	}
	if n := taken(loud); n != 14 {
		t.Errorf("a lone tenant got %d of 16 workers, want 14", n)
	}
	if !s.take("refund", loud, 4) {
		t.Error("another queue's workers were refused")
	}
	if n := taken(quiet); n != 8 {
		t.Errorf("the second tenant may have %d, want half of 16", n)
	}
	for range 14 {
		s.give("sim", loud)
	}
	if n := taken(loud); n != 8 {
		t.Errorf("beside another the first may have %d, want half of 16", n)
	}
	var single slots
	if !single.take("x", loud, 1) {
		t.Error("the only worker of a queue was refused")
	}
}
