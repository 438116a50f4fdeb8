package httpkit

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/fault"
)

func TestEveryKindHasItsStatus(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{
		fault.KindInvalid: 422, fault.KindMalformed: 400, fault.KindUnauthenticated: 401, fault.KindForbidden: 403,
		fault.KindNotFound: 404, fault.KindConflict: 409,
		fault.KindPrecondition: 412, fault.KindPreconditionMissing: 428, fault.KindTooMany: 429, fault.KindUnavailable: 503,
	}
	for k := fault.KindInvalid; k <= fault.KindUnavailable; k++ {
		if got := Status(k); got != want[k] {
			t.Errorf("kind %d becomes %d, want %d", k, got, want[k])
		}
	}
	for _, k := range []fault.Kind{0, fault.KindUnavailable + 1} {
		if got := Status(k); got != 500 {
			t.Errorf("kind %d does not exist and becomes %d, want 500", k, got)
		}
	}
}
