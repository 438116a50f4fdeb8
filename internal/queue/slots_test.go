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
	takeAll := func(who tenant.ID) int {
		n := 0
		for s.tryAcquire("sim", who, 16) {
			n++
		}
		return n
	}
	if n := takeAll(loud); n != 14 {
		t.Errorf("a lone tenant got %d of 16 workers, want 14", n)
	}
	if !s.tryAcquire("refund", loud, 4) {
		t.Error("another queue's workers were refused")
	}
	if n := takeAll(quiet); n != 8 {
		t.Errorf("the second tenant got %d workers, want half of 16", n)
	}
	for range 14 {
		s.release("sim", loud)
	}
	if n := takeAll(loud); n != 8 {
		t.Errorf("the first tenant got %d workers beside the second, want half of 16", n)
	}
	var single slots
	if !single.tryAcquire("x", loud, 1) {
		t.Error("the only worker of a queue was refused")
	}
}
