package process_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/process"
)

// Counts are added, the greater age is the lag, and a consumer that only runs elsewhere is listed too.
func TestTheStatusOfAConsumerIsSummedOverTwoProcesses(t *testing.T) {
	t.Parallel()
	local := []app.ConsumerStatus{
		{
			Group: "billing", Lag: 3 * time.Second, LagEvents: 1, Applied: 10, Duplicates: 20, Retried: 30, Parked: 40,
			Blocked: 50, Refused: 60, Stopped: 7,
		},
	}
	others := []app.ConsumerStatus{
		{Group: "audit", Lag: time.Second, LagEvents: 5},
		{
			Group: "billing", Lag: 2 * time.Second, LagEvents: 100, Applied: 200, Duplicates: 300, Retried: 400, Parked: 500,
			Blocked: 600, Refused: 700, Stopped: 80,
		},
	}
	want := []app.ConsumerStatus{
		{
			Group: "billing", Lag: 3 * time.Second, LagEvents: 101, Applied: 210, Duplicates: 320, Retried: 430, Parked: 540,
			Blocked: 650, Refused: 760, Stopped: 87,
		},
		{Group: "audit", Lag: time.Second, LagEvents: 5},
	}
	if diff := cmp.Diff(want, process.SumStatus(local, others)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
