package app_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/payment/manual"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// deadLetterID names a dead letter.
type deadLetterID = id.Of[app.DeadLetter]

// stuckVPS is an order whose clean-up is stuck: the server cannot be built, its port not be removed.
func stuckVPS(t *testing.T, w *harness.Harness) (order.ID, deadLetterID) {
	t.Helper()
	w.Sim.Script(sim.Fault{Label: "vps", Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	w.Sim.Script(sim.Fault{Label: "vps", Part: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.Sim.ClearFaults()
	return o, deadLetterOf(t, w, o, "compensation-exhausted")
}

// deadLetterOf is the open dead letter of an order with a cause.
func deadLetterOf(t *testing.T, w *harness.Harness, o order.ID, cause string) deadLetterID {
	t.Helper()
	f := openDeadLetters(o)
	f.Cause = cause
	page, err := w.UseCases.API.DeadLetters(t.Context(), w.As(tenant.Operator), f)
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("open dead letters of the cause %s: %+v, %v; want 1", cause, page.Data, err)
	}
	return page.Data[0].ID
}

// removeByHand takes everything out of the cloud, as somebody does at its console.
func removeByHand(t *testing.T, w *harness.Harness) {
	t.Helper()
	for _, r := range w.Sim.Live() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.Sim.URL+"/v1/resources/"+r.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("remove %s by hand: %v, %v", r.ID, resp, err)
		}
		_ = resp.Body.Close()
	}
	w.Clock.Advance(time.Minute) // for the cloud to be done
}

func removed(l deadLetterID) app.AbandonDeadLetter {
	return app.AbandonDeadLetter{
		DeadLetter: l, AbandonReason: app.RemovedByHand, Text: "deleted at the console", Proof: "ticket OPS-311",
	}
}

// sign gives a signature and tells how it was taken: the letter's state, or the code of the refusal.
func sign(t *testing.T, w *harness.Harness, c app.Caller, in app.AbandonDeadLetter) string {
	t.Helper()
	got, err := w.UseCases.API.AbandonDeadLetter(t.Context(), c, in)
	return outcome(t, got.State.String(), err)
}

// outcome is the code of a refusal, or what came of it.
func outcome(t *testing.T, done string, err error) string {
	t.Helper()
	if err == nil {
		return done
	}
	f := fault.Of(err)
	if f == nil {
		t.Fatalf("an internal error: %v", err)
	}
	return f.Code
}

// member adds a person in a role.
func member(t *testing.T, w *harness.Harness, r tenant.Role, subject string) app.Caller {
	t.Helper()
	m := app.Member{
		ID: id.Of[tenant.Member](w.Clock.NewID()), Role: r, Subject: subject, Email: subject + "@alpha.example",
	}
	if err := w.DB.API(t).PutMember(t.Context(), w.Tenant.ID, m); err != nil {
		t.Fatal(err)
	}
	return app.Caller{Actor: tenant.Actor{Tenant: w.Tenant.ID, Kind: tenant.KindMember, Member: m.ID, Role: r}}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestTwoPeopleAbandonAStuckCleanUpAndTheItemIsRolledBack(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	removeByHand(t, w)
	before := w.Get(o).Order
	want(t, "the first signature", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	if after := w.Get(o).Order; after.Version != before.Version || after.LastSeq != before.LastSeq {
		t.Errorf("the first signature moved the order to version %d, event %d; want %d, %d", after.Version, after.LastSeq,
			before.Version, before.LastSeq)
	}
	second := app.AbandonDeadLetter{DeadLetter: l, AbandonReason: app.RemovedByHand, Text: "seen it gone"}
	want(t, "the second signature", sign(t, w, w.As(tenant.Admin), second), "abandoned")
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.Drain(o)

	d, err := w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Auditor), l)
	if err != nil {
		t.Fatal(err)
	}
	a, olga, ada := d.Abandonment, w.Tenant.Members[tenant.Operator].ID, w.Tenant.Members[tenant.Admin].ID
	if a.AbandonReason != app.RemovedByHand || a.Text != "deleted at the console" || a.Proof != "ticket OPS-311" ||
		a.FirstBy != olga || a.SecondBy != ada || a.FirstAt == nil || d.ClosedAt == nil {
		t.Errorf("the letter says %+v, closed %v", a, d.ClosedAt)
	}
	events, err := w.UseCases.API.OrderEvents(t.Context(), w.As(tenant.Operator), o, before.LastSeq, 100)
	if err != nil {
		t.Fatal(err)
	}
	reason := `"reason":"abandoned (removed_by_hand) by member:` + olga.String() + ` and member:` + ada.String() +
		`: deleted at the console"`
	for i, e := range events {
		if !strings.Contains(string(e.Data), reason) || e.Actor != "member:"+ada.String() {
			t.Errorf("event %s by %s does not tell of the abandonment: %s", e.Type, e.Actor, e.Data)
		}
		want(t, "event", string(e.Type), []string{"order.item-rolled-back", "order.failed"}[i])
	}
	var decisions []string
	for _, e := range d.Calls {
		if e.What == app.LogDecision {
			decisions = append(decisions, e.Note)
		}
	}
	if diff := cmp.Diff([]string{
		"to be abandoned (removed_by_hand), signed first by member:" + olga.String() +
			": deleted at the console; proof: ticket OPS-311; awaits a second person",
		"abandoned (removed_by_hand), signed by member:" + olga.String() + ": deleted at the console; proof: ticket " +
			"OPS-311; and by member:" + ada.String() + ": seen it gone",
	}, decisions); diff != "" {
		t.Errorf("the saga record (-want +got):\n%s", diff)
	}
	if n := len(w.Get(o).DeadLetters); n != 0 {
		t.Errorf("%d dead letters still open, want 0: that of the failed step closes with the item", n)
	}
	want(t, "a redrive after it", redriveOf(t, w, l), "not-stuck")
	want(t, "a third signature", sign(t, w, w.As(tenant.Operator), removed(l)), "not-stuck")
	w.CheckWorld()
}

func redriveOf(t *testing.T, w *harness.Harness, l deadLetterID) string {
	t.Helper()
	got, err := w.UseCases.API.RedriveDeadLetter(t.Context(), w.As(tenant.Operator), l, "again")
	return outcome(t, got.State.String(), err)
}

// refusing takes payments as manual does and refuses every refund.
type refusing struct{ manual.Provider }

func (refusing) Refund(context.Context, payment.Refund) (payment.Receipt, error) {
	return payment.Receipt{}, &payment.Error{Class: fault.Forbidden, Code: "account-closed"}
}

func TestAnAbandonedCleanUpWaitsForItsRefundAndAStuckRefundIsPaidByHand(t *testing.T) {
	t.Parallel()
	w := harness.New(t, harness.WithPayment(refusing{}))
	o, l := stuckVPS(t, w)
	removeByHand(t, w)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 stuck")
	want(t, "first", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	want(t, "second", sign(t, w, w.As(tenant.Admin), removed(l)), "abandoned")
	w.WantPicture(o, "provisioning none stuck; vps compensating refund 20.10 stuck")

	refund := deadLetterOf(t, w, o, "refund-failed")
	want(t, "a refund given up into thin air", sign(t, w, w.As(tenant.Operator), removed(refund)), "validation-failed")
	_, err := w.UseCases.API.AbandonDeadLetter(t.Context(), w.As(tenant.Operator), removed(refund))
	if f := fault.Of(err); f == nil || len(f.Violations) != 1 || f.Violations[0].Pointer != "/reason" ||
		!slices.Equal(f.Violations[0].Allowed, []any{"refunded_by_hand"}) {
		t.Errorf("its refusal names %+v, want refunded_by_hand as the one possible reason (D4)", f)
	}
	byHand := app.AbandonDeadLetter{DeadLetter: refund, AbandonReason: app.RefundedByHand, Proof: "SI56-2026-0042"}
	want(t, "first", sign(t, w, w.As(tenant.Admin), byHand), "open")
	w.WantPicture(o, "provisioning none stuck; vps compensating refund 20.10 stuck")
	want(t, "second", sign(t, w, w.As(tenant.Operator), byHand), "abandoned")
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 completed")
	if r := w.Get(o).Order.Refunds[0]; r.Reference != "SI56-2026-0042" || r.AcceptedAt == nil {
		t.Errorf("refund is %+v, want the transfer's reference and when", r)
	}
	w.Drain(o)
	w.CheckWorld()
}

func TestOnePersonIsNotTwoWhateverKeysOrMembersTheyHave(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	olga := w.As(tenant.Operator)
	want(t, "first", sign(t, w, olga, removed(l)), "open")
	another := olga // a second key of the same member is the same actor under other scopes
	another.Scopes = []string{string(app.WorkDesk)}
	want(t, "with a second key", sign(t, w, another, removed(l)), "second-person-required")

	if _, err := w.DB.Super(t).Exec(t.Context(),
		`ALTER TABLE platforma.members DROP CONSTRAINT members_subject`); err != nil {
		t.Fatal(err)
	}
	duplicate := member(t, w, tenant.Admin, w.Tenant.Members[tenant.Operator].Subject)
	want(t, "as another member with the same login", sign(t, w, duplicate, removed(l)), "second-person-required")
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	differs := removed(l)
	differs.AbandonReason = app.VerifiedAbsent
	want(t, "on other grounds", sign(t, w, w.As(tenant.Admin), differs), "grounds-differ")
	want(t, "by another person", sign(t, w, w.As(tenant.Admin), removed(l)), "abandoned")
}

func TestTheDatabaseItselfRefusesOnePersonTwice(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	_, l := stuckVPS(t, w)
	want(t, "first", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	for what, signed := range map[string]string{
		"the same person":  `second_by = first_by`,
		"no second person": `second_by = NULL`,
		"no proof": fmt.Sprintf(`proof = '', second_by = (
			SELECT id FROM platforma.members m WHERE m.tenant_id = dead_letters.tenant_id AND role = %d)`, tenant.Admin),
	} {
		sql := `UPDATE platforma.dead_letters SET state = $2, closed_at = now(), ` + signed + ` WHERE id = $1::uuid`
		_, err := w.DB.Super(t).Exec(t.Context(), sql, l.String(), int16(app.DeadLetterAbandoned))
		if err == nil || !strings.Contains(err.Error(), "23514") {
			t.Errorf("%s: %v, want a violated check", what, err)
		}
	}
}

func TestWhoMayNotWorkTheDeskSignsNothing(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	foreign := app.Caller{Actor: w.Other.Actor(tenant.Admin)}
	for what, c := range map[string]struct {
		caller app.Caller
		code   string
	}{
		"customer":       {w.As(tenant.Customer), "forbidden"},
		"auditor":        {w.As(tenant.Auditor), "forbidden"},
		"module":         {app.Caller{Actor: tenant.System(w.Tenant.ID, "worker")}, "forbidden"},
		"another tenant": {foreign, "not-found"},
	} {
		want(t, what+" abandons", sign(t, w, c.caller, removed(l)), c.code)
		_, err := w.UseCases.API.WithdrawAbandonment(t.Context(), c.caller, l)
		want(t, what+" withdraws", outcome(t, "done", err), c.code)
	}
	_, err := w.UseCases.API.DeadLetter(t.Context(), foreign, l)
	want(t, "another tenant reads", outcome(t, "done", err), "not-found")
	_, err = w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Customer), l)
	want(t, "a customer reads", outcome(t, "done", err), "forbidden")
	if d, err := w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Auditor), l); err != nil ||
		d.Abandonment != (app.Abandonment{}) {
		t.Errorf("after the refusals the letter says %+v, %v", d.Abandonment, err)
	}
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}

func TestOfManySecondSignaturesAtOnceExactlyOneCounts(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	removeByHand(t, w)
	want(t, "first", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	people := []app.Caller{
		w.As(tenant.Admin), member(t, w, tenant.Operator, "alpha|second"), member(t, w, tenant.Operator, "alpha|third"),
		member(t, w, tenant.Admin, "alpha|fourth"),
	}
	got := make([]string, len(people))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range people {
		wg.Go(func() {
			<-start
			letter, err := w.UseCases.API.AbandonDeadLetter(t.Context(), c, removed(l))
			if f := fault.Of(err); f != nil {
				got[i] = f.Code
			} else if got[i] = letter.State.String(); err != nil {
				got[i] = err.Error()
			}
		})
	}
	close(start)
	wg.Wait()
	slices.Sort(got)
	if diff := cmp.Diff([]string{"abandoned", "not-stuck", "not-stuck", "not-stuck"}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.Drain(o)
	w.CheckWorld()
}

func TestTheFirstSignatureNeedsProofAndOtherGroundsNeedWords(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	_, l := stuckVPS(t, w)
	for what, c := range map[string]struct {
		in       app.AbandonDeadLetter
		pointers []string
	}{
		"no proof":   {app.AbandonDeadLetter{AbandonReason: app.RemovedByHand}, []string{"/proof"}},
		"no words":   {app.AbandonDeadLetter{AbandonReason: app.OtherReason, Proof: "T-1"}, []string{"/text"}},
		"nothing":    {app.AbandonDeadLetter{AbandonReason: app.OtherReason}, []string{"/proof", "/text"}},
		"no grounds": {app.AbandonDeadLetter{Proof: "T-1"}, []string{"/reason"}},
		"too long": {
			app.AbandonDeadLetter{AbandonReason: app.RemovedByHand, Proof: strings.Repeat("x", 501), Text: "a\nb"},
			[]string{"/text", "/proof"},
		},
		"a refund's": {app.AbandonDeadLetter{AbandonReason: app.RefundedByHand, Proof: "T-1"}, []string{"/reason"}},
	} {
		c.in.DeadLetter = l
		_, err := w.UseCases.API.AbandonDeadLetter(t.Context(), w.As(tenant.Operator), c.in)
		f := fault.Of(err)
		if f == nil || f.Kind != fault.KindInvalid {
			t.Errorf("%s: %v", what, err)
			continue
		}
		var pointers []string
		for _, v := range f.Violations {
			pointers = append(pointers, v.Pointer)
		}
		if diff := cmp.Diff(c.pointers, pointers); diff != "" {
			t.Errorf("%s points at (-want +got):\n%s", what, diff)
		}
	}
}

func TestASignatureIsWithdrawnByItsAuthorAlone(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	withdraw := func(r tenant.Role) string {
		t.Helper()
		got, err := w.UseCases.API.WithdrawAbandonment(t.Context(), w.As(r), l)
		return outcome(t, got.State.String(), err)
	}
	want(t, "withdrawn before it is signed", withdraw(tenant.Operator), "not-signed")
	want(t, "first", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	want(t, "withdrawn by another", withdraw(tenant.Admin), "not-your-signature")
	want(t, "withdrawn", withdraw(tenant.Operator), "open")
	want(t, "signed by another, who is the first now", sign(t, w, w.As(tenant.Admin), removed(l)), "open")
	want(t, "the second", sign(t, w, w.As(tenant.Operator), removed(l)), "abandoned")
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
}

func TestTheSignatureOfWhoLeftOrLostTheRightCountsForNothing(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	gone := member(t, w, tenant.Operator, "alpha|gone")
	want(t, "first", sign(t, w, gone, removed(l)), "open")
	if err := w.DB.API(t).RevokeMember(t.Context(), w.Tenant.ID, gone.Member); err != nil {
		t.Fatal(err)
	}
	want(t, "after its author left", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	if d, err := w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Operator), l); err != nil ||
		d.Abandonment.FirstBy != w.Tenant.Members[tenant.Operator].ID {
		t.Errorf("signed first by %s, %v; want who is still here", d.Abandonment.FirstBy, err)
	}
	demoted := w.Tenant.Members[tenant.Operator]
	demoted.Role = tenant.Auditor
	if err := w.DB.API(t).PutMember(t.Context(), w.Tenant.ID, demoted); err != nil {
		t.Fatal(err)
	}
	want(t, "after its author lost the right", sign(t, w, w.As(tenant.Admin), removed(l)), "open")
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}

func TestARedriveVoidsASignature(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, l := stuckVPS(t, w)
	want(t, "first", sign(t, w, w.As(tenant.Operator), removed(l)), "open")
	want(t, "redrive", redriveOf(t, w, l), "redriven")
	want(t, "a second signature after it", sign(t, w, w.As(tenant.Admin), removed(l)), "not-stuck")
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	w.CheckWorld()
}

func TestADeliveryIsNotGivenUp(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	w.DrainUntil(o, func(p string) bool { return strings.Contains(p, "vps active") })
	w.Inbox.Script(embedded.MailNoSuchUser)
	w.Drain(o)
	l := deadLetterOf(t, w, o, "delivery-failed")
	_, err := w.UseCases.API.AbandonDeadLetter(t.Context(), w.As(tenant.Operator), removed(l))
	want(t, "abandon", outcome(t, "done", err), "not-abandonable")
	if f := fault.Of(err); f != nil && (!strings.Contains(f.Detail, "redrive") ||
		!strings.Contains(f.Detail, "redeliver")) {
		t.Errorf("the refusal does not say what to do: %s", f.Detail)
	}
	d, err := w.UseCases.API.DeadLetter(t.Context(), w.As(tenant.Operator), l)
	if err != nil || len(d.Allows) != 0 || d.Suggested() != app.SuggestAddress || len(d.Left) != 0 {
		t.Errorf("the desk says abandon on %v, suggested %s, left %v, %v", d.Allows, d.Suggested(), d.Left, err)
	}
	want(t, "redrive", redriveOf(t, w, l), "redriven")
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
}
