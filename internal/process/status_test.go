package process_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/process"
)

// What counts is added, the older age is the lag, and who runs elsewhere alone is there too.
func TestAConsumerOfTwoProcessesIsAddedUp(t *testing.T) {
	t.Parallel()
	here := []app.ConsumerStatus{
		{
			Consumer: "billing", Age: 3 * time.Second, Behind: 1, Applied: 10, Duplicates: 20, Retried: 30, Parked: 40,
			Blocked: 50, Refused: 60, Stopped: 7,
		},
	}
	others := []app.ConsumerStatus{
		{Consumer: "audit", Age: time.Second, Behind: 5},
		{
			Consumer: "billing", Age: 2 * time.Second, Behind: 100, Applied: 200, Duplicates: 300, Retried: 400, Parked: 500,
			Blocked: 600, Refused: 700, Stopped: 80,
		},
	}
	want := []app.ConsumerStatus{
		{
			Consumer: "billing", Age: 3 * time.Second, Behind: 101, Applied: 210, Duplicates: 320, Retried: 430, Parked: 540,
			Blocked: 650, Refused: 760, Stopped: 87,
		},
		{Consumer: "audit", Age: time.Second, Behind: 5},
	}
	if diff := cmp.Diff(want, process.AddUp(here, others)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
