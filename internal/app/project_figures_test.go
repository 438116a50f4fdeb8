package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func TestAnotherTimeZoneRecountsTheTenantsFigures(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Clock.Set(time.Date(2026, 3, 31, 11, 30, 0, 0, time.UTC)) // 1 April, 00:30 in Auckland
	h.PaidOrder(harness.VPS())
	h.Publish()
	stats := func() app.OrderStats {
		t.Helper()
		s, err := h.UseCases.API.OrderStats(t.Context(), h.As(tenant.Operator))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	recounted := func() string {
		t.Helper()
		n, err := h.UseCases.Worker.RecountStale(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(n)
	}
	wantEqual(t, "recounted: the other tenant, which had no events", recounted(), "1")
	days := func(s app.OrderStats) []string {
		var all []string
		for _, d := range s.Days {
			all = append(all, d.Day.Format(time.DateOnly))
		}
		return all
	}
	if diff := cmp.Diff([]string{"2026-03-31"}, days(stats())); diff != "" {
		t.Errorf("days in UTC (-want +got):\n%s", diff)
	}
	h.SetSettings(func(s *app.Settings) { s.TimeZone = "Pacific/Auckland" })
	wantEqual(t, "recounted", recounted(), "1")
	wantEqual(t, "recounted a second time", recounted(), "0")
	h.Clock.Advance(5 * time.Minute)
	s := stats()
	if diff := cmp.Diff([]string{"2026-04-01"}, days(s)); diff != "" {
		t.Errorf("days in Auckland (-want +got):\n%s", diff)
	}
	wantEqual(t, "zone", s.TimeZone, "Pacific/Auckland")
	h.CheckInvariants()
}

func TestACheckpointDecidesWhetherAnEventIsAdmitted(t *testing.T) {
	t.Parallel()
	plain, parked := app.Checkpoint{Seq: 4}, app.Checkpoint{Seq: 4, Parked: 5, BlockedTo: 7, Blocked: 2}
	with := func(cp app.Checkpoint, change func(cp *app.Checkpoint)) app.Checkpoint {
		change(&cp)
		return cp
	}
	for _, tc := range []struct {
		name   string
		before app.Checkpoint
		seq    int
		want   app.Admission
		after  app.Checkpoint
	}{
		{"the next one", plain, 5, app.Fresh, with(plain, func(cp *app.Checkpoint) { cp.Seq = 5 })},
		{"the same again", plain, 4, app.Repeated, plain},
		{"an old one", plain, 1, app.Repeated, plain},
		{"one that skips another", plain, 6, app.Missed, plain},
		{"behind a parked one, blocked before", parked, 7, app.Waiting, parked},
		{"behind a parked one, new", parked, 8, app.Waiting, with(parked, func(cp *app.Checkpoint) {
			cp.BlockedTo, cp.Blocked = 8, 3
		})},
		{"the parked one itself", parked, 5, app.Waiting, parked},
		{
			"the parked one, redriven", with(parked, func(cp *app.Checkpoint) { cp.Redrive = 5 }), 5, app.Fresh,
			with(parked, func(cp *app.Checkpoint) { cp.Redrive, cp.Seq = 5, 5 }),
		},
		{
			"the one behind it, redriven", with(parked, func(cp *app.Checkpoint) { cp.Seq, cp.Redrive = 5, 6 }), 6, app.Fresh,
			with(parked, func(cp *app.Checkpoint) { cp.Redrive, cp.Seq, cp.Blocked = 6, 6, 1 }),
		},
		{
			"redriven before its turn", with(parked, func(cp *app.Checkpoint) { cp.Redrive = 7 }), 7, app.Missed,
			with(parked, func(cp *app.Checkpoint) { cp.Redrive = 7 }),
		},
	} {
		got := tc.before
		if is := got.Admit(tc.seq); is != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, is, tc.want)
		}
		if diff := cmp.Diff(tc.after, got); diff != "" {
			t.Errorf("%s: checkpoint (-want +got):\n%s", tc.name, diff)
		}
	}
}
