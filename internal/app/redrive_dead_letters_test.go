package app_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// stuckOrders returns orders whose compensation is stuck, and their dead letters, the oldest first. Which compensation
// gets stuck first depends on its jitter.
func stuckOrders(t *testing.T, h *harness.Harness, n int) ([]order.ID, []deadLetterID) {
	t.Helper()
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	h.Sim.Script(sim.Fault{Step: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	orders, deadLetters := make([]order.ID, n), make([]deadLetterID, n)
	for i := range orders {
		orders[i] = h.PaidOrder(harness.VPS())
	}
	h.Drain(orders...)
	h.Sim.ClearFaults()
	for i, o := range orders {
		deadLetters[i] = deadLetterOf(t, h, o, "compensation-exhausted")
	}
	slices.SortFunc(deadLetters, func(a, b deadLetterID) int { return strings.Compare(a.String(), b.String()) })
	return orders, deadLetters
}

// redriveMany redrives many dead letters and returns the outcome of each.
func redriveMany(t *testing.T, h *harness.Harness, c app.Caller, in app.RedriveDeadLetters) []string {
	t.Helper()
	report, err := h.UseCases.API.RedriveDeadLetters(t.Context(), c, in)
	if err != nil {
		t.Fatalf("RedriveDeadLetters: %v", err)
	}
	var got []string
	for _, r := range report.DeadLetters {
		got = append(got, strings.TrimSpace(string(r.Outcome)+" "+r.Code))
	}
	return got
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestABulkRedriveTreatsEachDeadLetterByItselfAndOneRefusalStopsNone(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	orders, deadLetters := stuckOrders(t, h, 3)
	operator := h.As(tenant.Operator)
	ids := app.RedriveDeadLetters{
		IDs: []deadLetterID{deadLetters[0], {15: 1}, deadLetters[1], deadLetters[0]}, Reason: "the cloud is back",
	}
	dry := ids
	dry.DryRun = true
	wantList(t, "dry run", redriveMany(t, h, operator, dry), "would-redrive", "refused not-found", "would-redrive")
	for _, o := range orders {
		h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	}
	wantList(t, "by ids", redriveMany(t, h, operator, ids), "redriven", "refused not-found", "redriven")
	wantList(t, "by ids again", redriveMany(t, h, operator, ids), "refused not-stuck", "refused not-found",
		"refused not-stuck")
	wantList(t, "the rest, by cause", redriveMany(t, h, operator, app.RedriveDeadLetters{Cause: "compensation-exhausted"}),
		"redriven")
	wantList(t, "none left", redriveMany(t, h, operator, app.RedriveDeadLetters{Cause: "compensation-exhausted"}))
	h.Drain(orders...)
	for _, o := range orders {
		h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	}
	h.CheckInvariants()
}

func TestABulkRedriveByClassSkipsDeadLettersThatCloseByThemselves(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	_, deadLetters := stuckOrders(t, h, 2)
	invalid, retryable := fault.Invalid, fault.Retryable
	operator := h.As(tenant.Operator)
	wantList(t, "class of the steps that failed",
		redriveMany(t, h, operator, app.RedriveDeadLetters{Class: &invalid, DryRun: true}))
	wantList(t, "class of the compensations, one at most",
		redriveMany(t, h, operator, app.RedriveDeadLetters{Class: &retryable, Limit: 1}), "redriven")
	wantEqual(t, "the newest was redriven", redrive(t, h, deadLetters[1]), "not-stuck")
	wantEqual(t, "the other is still stuck", redrive(t, h, deadLetters[0]), "redriven")
}

func TestARepeatedBulkRedriveAnswersFromItsIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	orders, deadLetters := stuckOrders(t, h, 2)
	c := h.As(tenant.Operator)
	c.Key = &app.IdempotencyKey{
		Key: "bulk-1", Fingerprint: sha256.Sum256([]byte("bulk-1")),
		Encode: func(result any, _ error) (app.Answer, error) {
			return app.Answer{Status: 200, Body: []byte(string(result.(app.RedriveReport).DeadLetters[0].Outcome))}, nil
		},
	}
	wantList(t, "first", redriveMany(t, h, c, app.RedriveDeadLetters{Cause: "compensation-exhausted", Limit: 1}),
		"redriven")
	_, err := h.UseCases.API.RedriveDeadLetters(t.Context(), c, app.RedriveDeadLetters{
		Cause: "compensation-exhausted", Limit: 1,
	})
	var replay *app.Replayed
	if !errors.As(err, &replay) || string(replay.Answer.Body) != "redriven" {
		t.Errorf("the repetition answered %v, want the stored answer", err)
	}
	wantEqual(t, "the other one is still stuck", redrive(t, h, deadLetters[0]), "redriven")
	h.Drain(orders...)
	h.CheckInvariants()
}

func TestABulkRedriveIsForOperatorsOfTheTenantAndNamesItsDeadLetters(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	for what, c := range map[string]struct {
		caller app.Caller
		in     app.RedriveDeadLetters
		code   string
	}{
		"customer":      {h.As(tenant.Customer), app.RedriveDeadLetters{IDs: []deadLetterID{l}}, "forbidden"},
		"auditor":       {h.As(tenant.Auditor), app.RedriveDeadLetters{IDs: []deadLetterID{l}, DryRun: true}, "forbidden"},
		"nothing named": {h.As(tenant.Operator), app.RedriveDeadLetters{}, "validation-failed"},
		"both named": {
			h.As(tenant.Operator),
			app.RedriveDeadLetters{IDs: []deadLetterID{l}, Cause: "compensation-exhausted"},
			"validation-failed",
		},
		"too many": {h.As(tenant.Operator), app.RedriveDeadLetters{IDs: make([]deadLetterID, 101)}, "validation-failed"},
		"limit":    {h.As(tenant.Operator), app.RedriveDeadLetters{Cause: "x", Limit: 101}, "validation-failed"},
	} {
		_, err := h.UseCases.API.RedriveDeadLetters(t.Context(), c.caller, c.in)
		wantEqual(t, what, outcome(t, "done", err), c.code)
	}
	foreign := app.Caller{Actor: h.OtherTenant.Actor(tenant.Operator)}
	wantList(t, "another tenant by id", redriveMany(t, h, foreign, app.RedriveDeadLetters{IDs: []deadLetterID{l}}),
		"refused not-found")
	wantList(t, "another tenant by id, dry", redriveMany(t, h, foreign, app.RedriveDeadLetters{
		IDs: []deadLetterID{l}, DryRun: true,
	}), "refused not-found")
	wantList(t, "another tenant by cause", redriveMany(t, h, foreign, app.RedriveDeadLetters{
		Cause: "compensation-exhausted",
	}))
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}
