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

// stuckOrders are orders whose clean-ups are stuck, and their letters, the oldest first: which clean-up ends
// first hangs on its jitter.
func stuckOrders(t *testing.T, w *harness.Harness, n int) ([]order.ID, []deadLetterID) {
	t.Helper()
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	orders, letters := make([]order.ID, n), make([]deadLetterID, n)
	for i := range orders {
		orders[i] = w.PaidOrder(harness.VPS())
	}
	w.Drain(orders...)
	w.Sim.ClearFaults()
	for i, o := range orders {
		letters[i] = deadLetterOf(t, w, o, "compensation-exhausted")
	}
	slices.SortFunc(letters, func(a, b deadLetterID) int { return strings.Compare(a.String(), b.String()) })
	return orders, letters
}

// redriveMany tries many again and tells what became of each.
func redriveMany(t *testing.T, w *harness.Harness, c app.Caller, in app.RedriveDeadLetters) []string {
	t.Helper()
	report, err := w.UseCases.API.RedriveDeadLetters(t.Context(), c, in)
	if err != nil {
		t.Fatalf("RedriveDeadLetters: %v", err)
	}
	var got []string
	for _, r := range report.DeadLetters {
		got = append(got, strings.TrimSpace(string(r.Outcome)+" "+r.Code))
	}
	return got
}

func wantEach(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestManyAreTriedAgainEachForItselfAndOneRefusalHoldsUpNone(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	orders, letters := stuckOrders(t, w, 3)
	operator := w.As(tenant.Operator)
	ids := app.RedriveDeadLetters{
		IDs: []deadLetterID{letters[0], {15: 1}, letters[1], letters[0]}, Reason: "the cloud is back",
	}
	dry := ids
	dry.DryRun = true
	wantEach(t, "dry run", redriveMany(t, w, operator, dry), "would-redrive", "refused not-found", "would-redrive")
	for _, o := range orders {
		w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	}
	wantEach(t, "by ids", redriveMany(t, w, operator, ids), "redriven", "refused not-found", "redriven")
	wantEach(t, "by ids again", redriveMany(t, w, operator, ids), "refused not-stuck", "refused not-found",
		"refused not-stuck")
	wantEach(t, "the rest, by cause", redriveMany(t, w, operator, app.RedriveDeadLetters{Cause: "compensation-exhausted"}),
		"redriven")
	wantEach(t, "none left", redriveMany(t, w, operator, app.RedriveDeadLetters{Cause: "compensation-exhausted"}))
	w.Drain(orders...)
	for _, o := range orders {
		w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	}
	w.CheckWorld()
}

func TestWhatClosesByItselfIsNotTriedAgainWithItsClass(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	_, letters := stuckOrders(t, w, 2)
	invalid, retryable := fault.Invalid, fault.Retryable
	operator := w.As(tenant.Operator)
	wantEach(t, "class of the steps that failed",
		redriveMany(t, w, operator, app.RedriveDeadLetters{Class: &invalid, DryRun: true}))
	wantEach(t, "class of the clean-ups, one at most",
		redriveMany(t, w, operator, app.RedriveDeadLetters{Class: &retryable, Limit: 1}), "redriven")
	want(t, "the newest was tried again", redriveOf(t, w, letters[1]), "not-stuck")
	want(t, "the other is still stuck", redriveOf(t, w, letters[0]), "redriven")
}

func TestABulkRedriveUnderAKeyAnswersItsRepetitionFromTheKey(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	orders, letters := stuckOrders(t, w, 2)
	c := w.As(tenant.Operator)
	c.Key = &app.IdempotencyKey{
		Key: "bulk-1", Fingerprint: sha256.Sum256([]byte("bulk-1")),
		Encode: func(result any, _ error) (app.Answer, error) {
			return app.Answer{Status: 200, Body: []byte(string(result.(app.RedriveReport).DeadLetters[0].Outcome))}, nil
		},
	}
	wantEach(t, "first", redriveMany(t, w, c, app.RedriveDeadLetters{Cause: "compensation-exhausted", Limit: 1}),
		"redriven")
	_, err := w.UseCases.API.RedriveDeadLetters(t.Context(), c, app.RedriveDeadLetters{
		Cause: "compensation-exhausted", Limit: 1,
	})
	var replay *app.Replayed
	if !errors.As(err, &replay) || string(replay.Answer.Body) != "redriven" {
		t.Errorf("the repetition answered %v, want the kept answer", err)
	}
	want(t, "the one that the repetition would have taken is still stuck", redriveOf(t, w, letters[0]), "redriven")
	w.Drain(orders...)
	w.CheckWorld()
}

func TestABulkRedriveIsForOperatorsOfTheTenantAndSaysWhich(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	for what, c := range map[string]struct {
		caller app.Caller
		in     app.RedriveDeadLetters
		code   string
	}{
		"customer":      {w.As(tenant.Customer), app.RedriveDeadLetters{IDs: []deadLetterID{l}}, "forbidden"},
		"auditor":       {w.As(tenant.Auditor), app.RedriveDeadLetters{IDs: []deadLetterID{l}, DryRun: true}, "forbidden"},
		"nothing named": {w.As(tenant.Operator), app.RedriveDeadLetters{}, "validation-failed"},
		"both named": {w.As(tenant.Operator), app.RedriveDeadLetters{
			IDs:   []deadLetterID{l},
			Cause: "compensation-exhausted",
		}, "validation-failed"},
		"too many": {w.As(tenant.Operator), app.RedriveDeadLetters{IDs: make([]deadLetterID, 101)}, "validation-failed"},
		"limit":    {w.As(tenant.Operator), app.RedriveDeadLetters{Cause: "x", Limit: 101}, "validation-failed"},
	} {
		_, err := w.UseCases.API.RedriveDeadLetters(t.Context(), c.caller, c.in)
		want(t, what, outcome(t, "done", err), c.code)
	}
	foreign := app.Caller{Actor: w.Other.Actor(tenant.Operator)}
	wantEach(t, "another tenant by id", redriveMany(t, w, foreign, app.RedriveDeadLetters{IDs: []deadLetterID{l}}),
		"refused not-found")
	wantEach(t, "another tenant by id, dry", redriveMany(t, w, foreign, app.RedriveDeadLetters{
		IDs: []deadLetterID{l}, DryRun: true,
	}), "refused not-found")
	wantEach(t, "another tenant by cause", redriveMany(t, w, foreign, app.RedriveDeadLetters{
		Cause: "compensation-exhausted",
	}))
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}
