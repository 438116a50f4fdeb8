package app_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/world"
)

// stuckOrders are orders whose clean-ups are stuck, and their letters, the oldest first: which clean-up ends
// first hangs on its jitter.
func stuckOrders(t *testing.T, w *world.World, n int) ([]order.ID, []letterID) {
	t.Helper()
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	orders, letters := make([]order.ID, n), make([]letterID, n)
	for i := range orders {
		orders[i] = w.PaidOrder(world.VPS())
	}
	w.Settle(orders...)
	w.Sim.ClearFaults()
	for i, o := range orders {
		letters[i] = letterOf(t, w, o, "undo-exhausted")
	}
	slices.SortFunc(letters, func(a, b letterID) int { return strings.Compare(a.String(), b.String()) })
	return orders, letters
}

// redriveMany tries many again and tells what became of each.
func redriveMany(t *testing.T, w *world.World, c app.Caller, in app.RedriveLetters) []string {
	t.Helper()
	report, err := w.Verbs.API.RedriveDeadLetters(t.Context(), c, in)
	if err != nil {
		t.Fatalf("RedriveDeadLetters: %v", err)
	}
	var got []string
	for _, r := range report.Letters {
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
	w := world.New(t)
	orders, letters := stuckOrders(t, w, 3)
	operator := w.As(tenant.Operator)
	ids := app.RedriveLetters{IDs: []letterID{letters[0], {15: 1}, letters[1], letters[0]}, Reason: "the cloud is back"}
	dry := ids
	dry.DryRun = true
	wantEach(t, "dry run", redriveMany(t, w, operator, dry), "would-redrive", "refused not-found", "would-redrive")
	for _, o := range orders {
		w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	}
	wantEach(t, "by ids", redriveMany(t, w, operator, ids), "redriven", "refused not-found", "redriven")
	wantEach(t, "by ids again", redriveMany(t, w, operator, ids), "refused not-stuck", "refused not-found", "refused not-stuck")
	wantEach(t, "the rest, by cause", redriveMany(t, w, operator, app.RedriveLetters{Cause: "undo-exhausted"}), "redriven")
	wantEach(t, "none left", redriveMany(t, w, operator, app.RedriveLetters{Cause: "undo-exhausted"}))
	w.Settle(orders...)
	for _, o := range orders {
		w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	}
	w.CheckWorld()
}

func TestWhatClosesByItselfIsNotTriedAgainWithItsClass(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	_, letters := stuckOrders(t, w, 2)
	invalid, retryable := fault.Invalid, fault.Retryable
	operator := w.As(tenant.Operator)
	wantEach(t, "class of the steps that failed", redriveMany(t, w, operator, app.RedriveLetters{Class: &invalid, DryRun: true}))
	wantEach(t, "class of the clean-ups, one at most", redriveMany(t, w, operator, app.RedriveLetters{Class: &retryable, Limit: 1}), "redriven")
	want(t, "the newest was tried again", redriveOf(t, w, letters[1]), "not-stuck")
	want(t, "the other is still stuck", redriveOf(t, w, letters[0]), "redriven")
}

func TestABulkRedriveUnderAKeyAnswersItsRepetitionFromTheKey(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	orders, letters := stuckOrders(t, w, 2)
	c := w.As(tenant.Operator)
	c.Key = &app.IdempotencyKey{Key: "bulk-1", Fingerprint: sha256.Sum256([]byte("bulk-1")), Encode: func(result any, _ error) (app.Answer, error) {
		return app.Answer{Status: 200, Body: []byte(string(result.(app.RedriveReport).Letters[0].Outcome))}, nil
	}}
	wantEach(t, "first", redriveMany(t, w, c, app.RedriveLetters{Cause: "undo-exhausted", Limit: 1}), "redriven")
	_, err := w.Verbs.API.RedriveDeadLetters(t.Context(), c, app.RedriveLetters{Cause: "undo-exhausted", Limit: 1})
	var replay *app.Replayed
	if !errors.As(err, &replay) || string(replay.Answer.Body) != "redriven" {
		t.Errorf("the repetition answered %v, want the kept answer", err)
	}
	want(t, "the one that the repetition would have taken is still stuck", redriveOf(t, w, letters[0]), "redriven")
	w.Settle(orders...)
	w.CheckWorld()
}

func TestABulkRedriveIsForOperatorsOfTheTenantAndSaysWhich(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o, l := stuckVPS(t, w)
	for what, c := range map[string]struct {
		caller app.Caller
		in     app.RedriveLetters
		code   string
	}{
		"customer":      {w.As(tenant.Customer), app.RedriveLetters{IDs: []letterID{l}}, "forbidden"},
		"auditor":       {w.As(tenant.Auditor), app.RedriveLetters{IDs: []letterID{l}, DryRun: true}, "forbidden"},
		"nothing named": {w.As(tenant.Operator), app.RedriveLetters{}, "validation-failed"},
		"both named":    {w.As(tenant.Operator), app.RedriveLetters{IDs: []letterID{l}, Cause: "undo-exhausted"}, "validation-failed"},
		"too many":      {w.As(tenant.Operator), app.RedriveLetters{IDs: make([]letterID, 101)}, "validation-failed"},
		"limit":         {w.As(tenant.Operator), app.RedriveLetters{Cause: "x", Limit: 101}, "validation-failed"},
	} {
		_, err := w.Verbs.API.RedriveDeadLetters(t.Context(), c.caller, c.in)
		want(t, what, outcome(t, "done", err), c.code)
	}
	foreign := app.Caller{Actor: w.Other.Actor(tenant.Operator)}
	wantEach(t, "another tenant by id", redriveMany(t, w, foreign, app.RedriveLetters{IDs: []letterID{l}}), "refused not-found")
	wantEach(t, "another tenant by id, dry", redriveMany(t, w, foreign, app.RedriveLetters{IDs: []letterID{l}, DryRun: true}), "refused not-found")
	wantEach(t, "another tenant by cause", redriveMany(t, w, foreign, app.RedriveLetters{Cause: "undo-exhausted"}))
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}

func TestTheDeskGroupsByCauseAndFilters(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	orders, _ := stuckOrders(t, w, 3)
	operator := w.As(tenant.Operator)
	groups, err := w.Verbs.API.LetterGroups(t.Context(), operator, app.DeadLetterFilter{})
	if err != nil {
		t.Fatal(err)
	}
	type line struct {
		Cause, Class, Suggested string
		Count                   int
	}
	var got []line
	for _, g := range groups {
		got = append(got, line{g.Cause, g.Class.String(), string(g.Suggested()), g.Count})
		if g.Oldest.IsZero() || g.Newest.Before(g.Oldest) {
			t.Errorf("group %s lies between %s and %s", g.Cause, g.Oldest, g.Newest)
		}
	}
	if diff := cmp.Diff([]line{{"step-failed", "invalid", "wait", 3}, {"undo-exhausted", "retryable", "redrive", 3}}, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	one, err := w.Verbs.API.LetterGroups(t.Context(), operator, app.DeadLetterFilter{Order: orders[0], Cause: "undo-exhausted"})
	if err != nil || len(one) != 1 || one[0].Count != 1 {
		t.Errorf("of one order and cause: %+v, %v", one, err)
	}
	none, err := w.Verbs.API.LetterGroups(t.Context(), app.Caller{Actor: w.Other.Actor(tenant.Operator)}, app.DeadLetterFilter{})
	if err != nil || len(none) != 0 {
		t.Errorf("another tenant counts %+v, %v", none, err)
	}
	_, err = w.Verbs.API.LetterGroups(t.Context(), w.As(tenant.Customer), app.DeadLetterFilter{})
	want(t, "a customer", outcome(t, "done", err), "forbidden")
}

func TestADeadLetterTellsAllThatAPersonNeeds(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o, l := stuckVPS(t, w)
	d, err := w.Verbs.API.DeadLetter(t.Context(), w.As(tenant.Operator), l)
	if err != nil {
		t.Fatal(err)
	}
	if d.Of.ID != o || d.About == nil || d.About.State != order.ItemStuck || d.Refund == nil || d.Refund.State != order.RefundAccepted || d.Work == nil || d.Work.State != fulfil.Stuck {
		t.Errorf("about order %v, item %+v, refund %+v, unit %+v", d.Of.ID, d.About, d.Refund, d.Work)
	}
	failures := 0
	for _, e := range d.Calls {
		if e.What == app.LogAnswer && e.Class == fault.Retryable {
			if failures++; failures <= 5 && e.Next.Sub(e.At) < 2*time.Second {
				t.Errorf("failure %d waits %s, want 2 s or more", failures, e.Next.Sub(e.At))
			}
		}
	}
	if failures != 6 || d.Attempts != 6 {
		t.Errorf("%d failed calls and %d attempts, want 6 (D5)", failures, d.Attempts)
	}
	if d.Last == nil || d.Last.Note != "the provider answered: retryable (maintenance)" {
		t.Errorf("last answer = %+v", d.Last)
	}
	live := w.Sim.Live()
	if len(live) != 1 || len(d.Left) != 1 || d.Left[0].Part != "port" || !cmp.Equal(d.Left[0].Refs, []string{live[0].ID}) {
		t.Errorf("left at the provider: %+v, in the cloud: %+v", d.Left, live)
	}
	if diff := cmp.Diff([]app.Grounds{app.VerifiedAbsent, app.RemovedByHand, app.AccountClosed, app.OtherGrounds}, d.Allows); diff != "" {
		t.Errorf("grounds (-want +got):\n%s", diff)
	}
	want(t, "suggested", string(d.Suggested()), "redrive")
	want(t, "signed", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	if d, err = w.Verbs.API.DeadLetter(t.Context(), w.As(tenant.Operator), l); err != nil {
		t.Fatal(err)
	}
	want(t, "suggested once signed", string(d.Suggested()), "second-person")
}
