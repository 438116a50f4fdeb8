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

// deadLetterID is the id of a dead letter.
type deadLetterID = id.Of[app.DeadLetter]

// stuckVPS returns an order whose compensation is stuck. Its server could not be built and its port cannot be removed.
func stuckVPS(t *testing.T, h *harness.Harness) (order.ID, deadLetterID) {
	t.Helper()
	h.Sim.Script(sim.Fault{Label: "vps", Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	h.Sim.Script(sim.Fault{Label: "vps", Step: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.Sim.ClearFaults()
	return o, deadLetterOf(t, h, o, "compensation-exhausted")
}

// deadLetterOf returns the one open dead letter of an order with a cause.
func deadLetterOf(t *testing.T, h *harness.Harness, o order.ID, cause string) deadLetterID {
	t.Helper()
	f := openDeadLetters(o)
	f.Cause = cause
	page, err := h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), f)
	if err != nil || len(page.Data) != 1 {
		t.Fatalf("open dead letters of the cause %s: %+v, %v; want 1", cause, page.Data, err)
	}
	return page.Data[0].ID
}

// removeByHand removes every resource from the cloud, as a person does at its console.
func removeByHand(t *testing.T, h *harness.Harness) {
	t.Helper()
	for _, r := range h.Sim.Live() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, h.Sim.URL+"/v1/resources/"+r.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("remove %s by hand: %v, %v", r.ID, resp, err)
		}
		_ = resp.Body.Close()
	}
	h.Clock.Advance(time.Minute) // until the cloud has removed them
}

func removedByHand(l deadLetterID) app.AbandonDeadLetter {
	return app.AbandonDeadLetter{
		DeadLetter: l, AbandonReason: app.RemovedByHand, Text: "deleted at the console", Proof: "ticket OPS-311",
	}
}

// sign signs an abandonment and returns the state of the dead letter, or the code of the refusal.
func sign(t *testing.T, h *harness.Harness, c app.Caller, in app.AbandonDeadLetter) string {
	t.Helper()
	got, err := h.UseCases.API.AbandonDeadLetter(t.Context(), c, in)
	return outcome(t, got.State.String(), err)
}

// outcome returns the code of a refusal, or done when there is none.
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

// addMember adds a member in a role and returns its caller.
func addMember(t *testing.T, h *harness.Harness, r tenant.Role, subject string) app.Caller {
	t.Helper()
	m := app.Member{
		ID: id.Of[tenant.Member](h.Clock.NewID()), Role: r, Subject: subject, Email: subject + "@alpha.example",
	}
	if err := h.DB.API(t).PutMember(t.Context(), h.Tenant.ID, m); err != nil {
		t.Fatal(err)
	}
	return app.Caller{Actor: tenant.Actor{Tenant: h.Tenant.ID, Kind: tenant.KindMember, Member: m.ID, Role: r}}
}

func wantEqual(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestTwoPeopleAbandonAStuckCompensationAndTheItemIsRolledBack(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	removeByHand(t, h)
	before := h.Order(o).Order
	wantEqual(t, "the first signature", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	if after := h.Order(o).Order; after.Version != before.Version || after.LastSeq != before.LastSeq {
		t.Errorf("the first signature moved the order to version %d, event %d; want %d, %d", after.Version, after.LastSeq,
			before.Version, before.LastSeq)
	}
	second := app.AbandonDeadLetter{DeadLetter: l, AbandonReason: app.RemovedByHand, Text: "seen it gone"}
	wantEqual(t, "the second signature", sign(t, h, h.As(tenant.Admin), second), "abandoned")
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.Drain(o)

	d, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Auditor), l)
	if err != nil {
		t.Fatal(err)
	}
	a, olga, ada := d.Abandonment, h.Tenant.Members[tenant.Operator].ID, h.Tenant.Members[tenant.Admin].ID
	if a.AbandonReason != app.RemovedByHand || a.Text != "deleted at the console" || a.Proof != "ticket OPS-311" ||
		a.FirstBy != olga || a.SecondBy != ada || a.FirstAt == nil || d.ClosedAt == nil {
		t.Errorf("the dead letter has %+v, closed %v", a, d.ClosedAt)
	}
	events, err := h.UseCases.API.OrderEvents(t.Context(), h.As(tenant.Operator), o, before.LastSeq, 100)
	if err != nil {
		t.Fatal(err)
	}
	reason := `"reason":"abandoned (removed_by_hand) by member:` + olga.String() + ` and member:` + ada.String() +
		`: deleted at the console"`
	for i, e := range events {
		if !strings.Contains(string(e.Data), reason) || e.Actor != "member:"+ada.String() {
			t.Errorf("event %s by %s does not mention the abandonment: %s", e.Type, e.Actor, e.Data)
		}
		wantEqual(t, "event", string(e.Type), []string{"order.item-rolled-back", "order.failed"}[i])
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
	if n := len(h.Order(o).DeadLetters); n != 0 {
		t.Errorf("%d dead letters are still open, want 0: that of the failed step closes with the item", n)
	}
	wantEqual(t, "a redrive after it", redrive(t, h, l), "not-stuck")
	wantEqual(t, "a third signature", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "not-stuck")
	h.CheckInvariants()
}

func redrive(t *testing.T, h *harness.Harness, l deadLetterID) string {
	t.Helper()
	got, err := h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Operator), l, "again")
	return outcome(t, got.State.String(), err)
}

// refusingRefunds accepts payments as manual does and refuses every refund.
type refusingRefunds struct{ manual.Provider }

func (refusingRefunds) Refund(context.Context, payment.Refund) (payment.Receipt, error) {
	return payment.Receipt{}, &payment.Error{Class: fault.Forbidden, Code: "account-closed"}
}

func TestAnAbandonedCompensationWaitsForItsRefundAndAStuckRefundIsPaidByHand(t *testing.T) {
	t.Parallel()
	h := harness.New(t, harness.WithPayment(refusingRefunds{}))
	o, l := stuckVPS(t, h)
	removeByHand(t, h)
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 stuck")
	wantEqual(t, "first", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	wantEqual(t, "second", sign(t, h, h.As(tenant.Admin), removedByHand(l)), "abandoned")
	h.WantSummary(o, "provisioning none stuck; vps compensating refund 20.10 stuck")

	refund := deadLetterOf(t, h, o, "refund-failed")
	wantEqual(t, "a refund abandoned as removed", sign(t, h, h.As(tenant.Operator), removedByHand(refund)),
		"validation-failed")
	_, err := h.UseCases.API.AbandonDeadLetter(t.Context(), h.As(tenant.Operator), removedByHand(refund))
	if f := fault.Of(err); f == nil || len(f.Violations) != 1 || f.Violations[0].Pointer != "/reason" ||
		!slices.Equal(f.Violations[0].Allowed, []any{"refunded_by_hand"}) {
		t.Errorf("its refusal names %+v, want refunded_by_hand as the one possible reason (D4)", f)
	}
	byHand := app.AbandonDeadLetter{DeadLetter: refund, AbandonReason: app.RefundedByHand, Proof: "SI56-2026-0042"}
	wantEqual(t, "first", sign(t, h, h.As(tenant.Admin), byHand), "open")
	h.WantSummary(o, "provisioning none stuck; vps compensating refund 20.10 stuck")
	wantEqual(t, "second", sign(t, h, h.As(tenant.Operator), byHand), "abandoned")
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 completed")
	if r := h.Order(o).Order.Refunds[0]; r.Reference != "SI56-2026-0042" || r.AcceptedAt == nil {
		t.Errorf("refund is %+v, want the transfer's reference and when", r)
	}
	h.Drain(o)
	h.CheckInvariants()
}

func TestOnePersonCannotSignTwiceByAnotherKeyOrMember(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	olga := h.As(tenant.Operator)
	wantEqual(t, "first", sign(t, h, olga, removedByHand(l)), "open")
	another := olga // a second key of the same member is the same actor with other scopes
	another.Scopes = []string{string(app.WorkDesk)}
	wantEqual(t, "with a second key", sign(t, h, another, removedByHand(l)), "second-person-required")

	if _, err := h.DB.Super(t).Exec(t.Context(),
		`ALTER TABLE platforma.members DROP CONSTRAINT members_subject`); err != nil {
		t.Fatal(err)
	}
	sameLogin := addMember(t, h, tenant.Admin, h.Tenant.Members[tenant.Operator].Subject)
	wantEqual(t, "as another member with the same login", sign(t, h, sameLogin, removedByHand(l)),
		"second-person-required")
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
	differs := removedByHand(l)
	differs.AbandonReason = app.VerifiedAbsent
	wantEqual(t, "for another reason", sign(t, h, h.As(tenant.Admin), differs), "grounds-differ")
	wantEqual(t, "by another person", sign(t, h, h.As(tenant.Admin), removedByHand(l)), "abandoned")
}

func TestTheDatabaseItselfRefusesOnePersonAsBothSigners(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	_, l := stuckVPS(t, h)
	wantEqual(t, "first", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	for what, signed := range map[string]string{
		"the same person":  `second_by = first_by`,
		"no second person": `second_by = NULL`,
		"no proof": fmt.Sprintf(`proof = '', second_by = (
			SELECT id FROM platforma.members m WHERE m.tenant_id = dead_letters.tenant_id AND role = %d)`, tenant.Admin),
	} {
		sql := `UPDATE platforma.dead_letters SET state = $2, closed_at = now(), ` + signed + ` WHERE id = $1::uuid`
		_, err := h.DB.Super(t).Exec(t.Context(), sql, l.String(), int16(app.DeadLetterAbandoned))
		if err == nil || !strings.Contains(err.Error(), "23514") {
			t.Errorf("%s: %v, want a violated check", what, err)
		}
	}
}

func TestOnlyOperatorsAndAdminsSignAnAbandonment(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	foreign := app.Caller{Actor: h.OtherTenant.Actor(tenant.Admin)}
	for what, c := range map[string]struct {
		caller app.Caller
		code   string
	}{
		"customer":       {h.As(tenant.Customer), "forbidden"},
		"auditor":        {h.As(tenant.Auditor), "forbidden"},
		"module":         {app.Caller{Actor: tenant.System(h.Tenant.ID, "worker")}, "forbidden"},
		"another tenant": {foreign, "not-found"},
	} {
		wantEqual(t, what+" abandons", sign(t, h, c.caller, removedByHand(l)), c.code)
		_, err := h.UseCases.API.WithdrawAbandonment(t.Context(), c.caller, l)
		wantEqual(t, what+" withdraws", outcome(t, "done", err), c.code)
	}
	_, err := h.UseCases.API.DeadLetter(t.Context(), foreign, l)
	wantEqual(t, "another tenant reads", outcome(t, "done", err), "not-found")
	_, err = h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Customer), l)
	wantEqual(t, "a customer reads", outcome(t, "done", err), "forbidden")
	if d, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Auditor), l); err != nil ||
		d.Abandonment != (app.Abandonment{}) {
		t.Errorf("after the refusals the dead letter has %+v, %v", d.Abandonment, err)
	}
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}

func TestExactlyOneOfManyConcurrentSecondSignaturesCounts(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	removeByHand(t, h)
	wantEqual(t, "first", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	people := []app.Caller{
		h.As(tenant.Admin), addMember(t, h, tenant.Operator, "alpha|second"), addMember(t, h, tenant.Operator, "alpha|third"),
		addMember(t, h, tenant.Admin, "alpha|fourth"),
	}
	got := make([]string, len(people))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range people {
		wg.Go(func() {
			<-start
			deadLetter, err := h.UseCases.API.AbandonDeadLetter(t.Context(), c, removedByHand(l))
			if f := fault.Of(err); f != nil {
				got[i] = f.Code
			} else if got[i] = deadLetter.State.String(); err != nil {
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
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.Drain(o)
	h.CheckInvariants()
}

func TestTheFirstSignatureNeedsProofAndTheReasonOtherNeedsText(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	_, l := stuckVPS(t, h)
	for what, c := range map[string]struct {
		in       app.AbandonDeadLetter
		pointers []string
	}{
		"no proof":  {app.AbandonDeadLetter{AbandonReason: app.RemovedByHand}, []string{"/proof"}},
		"no text":   {app.AbandonDeadLetter{AbandonReason: app.OtherReason, Proof: "T-1"}, []string{"/text"}},
		"nothing":   {app.AbandonDeadLetter{AbandonReason: app.OtherReason}, []string{"/proof", "/text"}},
		"no reason": {app.AbandonDeadLetter{Proof: "T-1"}, []string{"/reason"}},
		"too long": {
			app.AbandonDeadLetter{AbandonReason: app.RemovedByHand, Proof: strings.Repeat("x", 501), Text: "a\nb"},
			[]string{"/text", "/proof"},
		},
		"a refund's": {app.AbandonDeadLetter{AbandonReason: app.RefundedByHand, Proof: "T-1"}, []string{"/reason"}},
	} {
		c.in.DeadLetter = l
		_, err := h.UseCases.API.AbandonDeadLetter(t.Context(), h.As(tenant.Operator), c.in)
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
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	withdraw := func(r tenant.Role) string {
		t.Helper()
		got, err := h.UseCases.API.WithdrawAbandonment(t.Context(), h.As(r), l)
		return outcome(t, got.State.String(), err)
	}
	wantEqual(t, "withdrawn before it is signed", withdraw(tenant.Operator), "not-signed")
	wantEqual(t, "first", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	wantEqual(t, "withdrawn by another", withdraw(tenant.Admin), "not-your-signature")
	wantEqual(t, "withdrawn", withdraw(tenant.Operator), "open")
	wantEqual(t, "signed by another, who is the first now", sign(t, h, h.As(tenant.Admin), removedByHand(l)), "open")
	wantEqual(t, "the second", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "abandoned")
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
}

func TestASignatureIsVoidOnceItsAuthorLeftOrLostTheRight(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	gone := addMember(t, h, tenant.Operator, "alpha|gone")
	wantEqual(t, "first", sign(t, h, gone, removedByHand(l)), "open")
	if err := h.DB.API(t).RevokeMember(t.Context(), h.Tenant.ID, gone.Member); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after its author left", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	if d, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Operator), l); err != nil ||
		d.Abandonment.FirstBy != h.Tenant.Members[tenant.Operator].ID {
		t.Errorf("signed first by %s, %v; want the operator", d.Abandonment.FirstBy, err)
	}
	demoted := h.Tenant.Members[tenant.Operator]
	demoted.Role = tenant.Auditor
	if err := h.DB.API(t).PutMember(t.Context(), h.Tenant.ID, demoted); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "after its author lost the right", sign(t, h, h.As(tenant.Admin), removedByHand(l)), "open")
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 accepted")
}

func TestARedriveVoidsASignature(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, l := stuckVPS(t, h)
	wantEqual(t, "first", sign(t, h, h.As(tenant.Operator), removedByHand(l)), "open")
	wantEqual(t, "redrive", redrive(t, h, l), "redriven")
	wantEqual(t, "a second signature after it", sign(t, h, h.As(tenant.Admin), removedByHand(l)), "not-stuck")
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted")
	h.CheckInvariants()
}

func TestADeliveryCannotBeAbandoned(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	h.DrainUntil(o, func(summary string) bool { return strings.Contains(summary, "vps active") })
	h.Inbox.Script(embedded.MailNoSuchUser)
	h.Drain(o)
	l := deadLetterOf(t, h, o, "delivery-failed")
	_, err := h.UseCases.API.AbandonDeadLetter(t.Context(), h.As(tenant.Operator), removedByHand(l))
	wantEqual(t, "abandon", outcome(t, "done", err), "not-abandonable")
	if f := fault.Of(err); f != nil && (!strings.Contains(f.Detail, "redrive") ||
		!strings.Contains(f.Detail, "redeliver")) {
		t.Errorf("the refusal does not say what to do: %s", f.Detail)
	}
	d, err := h.UseCases.API.DeadLetter(t.Context(), h.As(tenant.Operator), l)
	if err != nil || len(d.AbandonReasons) != 0 || d.Suggested() != app.SuggestAddress || len(d.Remaining) != 0 {
		t.Errorf("the desk allows the reasons %v, suggests %s, shows resources %v, %v",
			d.AbandonReasons, d.Suggested(), d.Remaining, err)
	}
	wantEqual(t, "redrive", redrive(t, h, l), "redriven")
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
}
