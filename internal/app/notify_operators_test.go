package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// noticesTo returns the subjects of the mails to an address, in the order of arrival.
func noticesTo(h *harness.Harness, address string) []string {
	var subjects []string
	for _, m := range h.Inbox.Messages() {
		if slices.Contains(m.To, address) {
			subjects = append(subjects, m.Subject)
		}
	}
	return subjects
}

// wantNotices runs the worker's notices and compares all that each operator of the tenant has got so far. No customer,
// no auditor and nobody of the other tenant may get one.
func wantNotices(t *testing.T, h *harness.Harness, subjects ...string) {
	t.Helper()
	if _, err := h.UseCases.Worker.NotifyOperators(t.Context()); err != nil {
		t.Fatalf("NotifyOperators: %v", err)
	}
	for _, address := range []string{"operator@alpha.example", "admin@alpha.example"} {
		if diff := cmp.Diff(subjects, noticesTo(h, address)); diff != "" {
			t.Errorf("notices to %s (-want +got):\n%s", address, diff)
		}
	}
	for _, m := range h.Inbox.Messages() {
		if to := m.To[0]; strings.HasPrefix(m.MessageID, "<operators.") && to != "operator@alpha.example" &&
			to != "admin@alpha.example" {
			t.Errorf("%s got the notice %q", to, m.Subject)
		}
	}
}

// recordIncidents records incidents of an order, as the use cases do.
func recordIncidents(t *testing.T, h *harness.Harness, o order.ID, cause notice.Cause, n int) {
	t.Helper()
	err := h.DB.Worker(t).InTenant(t.Context(), h.Tenant.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), o, app.Also{})
		if err != nil {
			return err
		}
		for range n {
			agg.Added.Incidents = append(agg.Added.Incidents, app.Incident{Cause: cause, Subject: h.Clock.NewID(), At: tx.Now()})
		}
		tx.Save(agg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAHundredStuckItemsInAnHourAreOneMailAndThenOneWithTheirCount(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.DraftOrder("per_item", harness.VPS()).Order.ID
	recordIncidents(t, h, o, notice.ItemStuck, 1)
	wantNotices(t, h, "alpha: 1 item is stuck")
	for range 9 {
		h.Clock.Advance(6 * time.Minute)
		recordIncidents(t, h, o, notice.ItemStuck, 11)
		wantNotices(t, h, "alpha: 1 item is stuck")
	}
	h.Clock.Advance(6*time.Minute - time.Second)
	wantNotices(t, h, "alpha: 1 item is stuck")
	h.Clock.Advance(time.Second)
	wantNotices(t, h, "alpha: 1 item is stuck", "alpha: 99 items are stuck")
	h.Clock.Advance(24 * time.Hour) // no new incident
	wantNotices(t, h, "alpha: 1 item is stuck", "alpha: 99 items are stuck")
	recordIncidents(t, h, o, notice.RefundFailed, 2) // another cause
	wantNotices(t, h, "alpha: 1 item is stuck", "alpha: 99 items are stuck", "alpha: 2 refunds are stuck")
}

func TestEachStuckTaskIsReportedUnderItsOwnCause(t *testing.T) {
	t.Parallel()
	b := failingBank()
	h := harness.New(t, harness.WithPayment(b))
	h.SetSettings(func(s *app.Settings) { s.Language = "sl" })
	h.Sim.Script(sim.Fault{Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	h.Sim.Script(sim.Fault{Step: "port", Operation: sim.OpDelete, Kind: sim.Protected})
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	h.WantSummary(o, "provisioning none stuck; vps stuck refund 20.10 stuck")
	// The failed step is a new dead letter. Those of the stuck item and the stuck refund are reported as such.
	wantNotices(t, h, "alpha: 1 nov zastoj", "alpha: 1 postavka se je zataknila", "alpha: 1 vračilo se je zataknilo")
	got := mailText(t, h, "alpha: 1 postavka")
	if !strings.Contains(got, h.Order(o).Order.Number) ||
		!strings.Contains(got, "https://portal.example/desk/dead-letters") {
		t.Errorf("the notice does not name the order and the desk:\n%s", got)
	}
	h.WantNoCanary()
	h.CheckInvariants()
}

func TestConcurrentWorkersSendEachNoticeOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.DraftOrder("per_item", harness.VPS()).Order.ID
	for range rounds(5, 200) {
		before := len(h.Inbox.Messages())
		recordIncidents(t, h, o, notice.NewDeadLetter, 3)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := h.UseCases.Worker.NotifyOperators(t.Context()); err != nil {
					t.Errorf("NotifyOperators: %v", err)
				}
			})
		}
		all.Wait()
		if got := len(h.Inbox.Messages()) - before; got != 2 {
			t.Fatalf("%d mails by four workers to two operators, want one each", got)
		}
		h.Clock.Advance(time.Hour)
	}
}

func TestANoticeIsNotLostWithItsWorker(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.DraftOrder("per_item", harness.VPS()).Order.ID
	recordIncidents(t, h, o, notice.ItemStuck, 1)
	died := false
	h.UseCases.Worker.Mailer = crashingMailer{h.UseCases.Worker.Mailer, &died}
	h.RestartOnCrash(func() { _, _ = h.UseCases.Worker.NotifyOperators(t.Context()) })
	first := h.Inbox.Messages()
	if !died || len(first) != 1 {
		t.Fatalf("died %t after %d mails, want 1", died, len(first))
	}
	if n, err := h.UseCases.Worker.NotifyOperators(t.Context()); n != 0 || err != nil {
		t.Fatalf("another worker sent %d (%v) while the first may be alive", n, err)
	}
	recordIncidents(t, h, o, notice.ItemStuck, 1) // meanwhile
	h.Clock.Advance(5 * time.Minute)
	if n, err := h.UseCases.Worker.NotifyOperators(t.Context()); n != 1 || err != nil {
		t.Fatalf("sent %d, %v; want the notice sent by another worker", n, err)
	}
	all := h.Inbox.Messages()
	if len(all) != 3 || all[1].MessageID != first[0].MessageID || all[2].MessageID == first[0].MessageID {
		t.Errorf("%d mails; want the first again under its message id, and the other operator's", len(all))
	}
	if all[2].Subject != "alpha: 2 items are stuck" {
		t.Errorf("the subject is %q, want the later incident counted", all[2].Subject)
	}
	h.Clock.Advance(time.Hour)
	if n, err := h.UseCases.Worker.NotifyOperators(t.Context()); n != 0 || err != nil {
		t.Errorf("sent %d more, %v", n, err)
	}
}

func TestAMailServerThatIsAwayLosesNoNotice(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.DraftOrder("per_item", harness.VPS()).Order.ID
	recordIncidents(t, h, o, notice.ItemStuck, 1)
	h.Inbox.Script(repeat(embedded.MailTryLater, 2)...)
	wantNotices(t, h)
	h.Inbox.Script(embedded.MailRejected) // one of two operators cannot be reached, which does not delay the other
	h.Clock.Advance(5 * time.Minute)
	if n, err := h.UseCases.Worker.NotifyOperators(t.Context()); n != 1 || err != nil || len(h.Inbox.Messages()) != 1 {
		t.Errorf("sent %d, %v, %d mails; want one", n, err, len(h.Inbox.Messages()))
	}
	h.Clock.Advance(time.Minute)
	if n, err := h.UseCases.Worker.NotifyOperators(t.Context()); n != 0 || err != nil {
		t.Errorf("sent again %d, %v", n, err)
	}
}

func TestARevokedOperatorGetsNoNotice(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.DraftOrder("per_item", harness.VPS()).Order.ID
	if err := h.DB.API(t).RevokeMember(t.Context(), h.Tenant.ID, h.Tenant.Members[tenant.Operator].ID); err != nil {
		t.Fatal(err)
	}
	recordIncidents(t, h, o, notice.ItemStuck, 1)
	if _, err := h.UseCases.Worker.NotifyOperators(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.Inbox.Messages(); len(got) != 1 || got[0].To[0] != "admin@alpha.example" {
		t.Errorf("mails %+v, want the admin's alone", got)
	}
}

func TestAPaymentIsOverdueOnceWhenHalfOfItsTimeIsOver(t *testing.T) {
	t.Parallel()
	h := harness.New(t) // a payment is due within 14 days
	note := func(want int) {
		t.Helper()
		if n, err := h.UseCases.Worker.NoteOverdue(t.Context()); n != want || err != nil {
			t.Errorf("%d orders noted, %v; want %d", n, err, want)
		}
	}
	o := h.SubmittedOrder("per_item", harness.VPS()).Order.ID
	h.DraftOrder("per_item", harness.VPS())
	h.Clock.Advance(7*24*time.Hour - time.Second)
	note(0)
	h.Clock.Advance(time.Second)
	note(1)
	note(0)
	wantNotices(t, h, "alpha: 1 order waits long for its payment")
	h.Clock.Advance(24 * time.Hour)
	note(0)
	wantNotices(t, h, "alpha: 1 order waits long for its payment")
	h.Pay(h.Order(o))
	if _, err := h.UseCases.API.RevertPayment(t.Context(), h.As(tenant.Operator), reasoned(o, "it bounced")); err != nil {
		t.Fatal(err)
	}
	note(0) // a new term of payment began
	h.Clock.Advance(8 * 24 * time.Hour)
	note(1)
	wantNotices(t, h, "alpha: 1 order waits long for its payment", "alpha: 1 order waits long for its payment")
}

func TestOperatorsGetNoNoticeOfAnotherTenant(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	others := app.Caller{Actor: h.OtherTenant.Actor(tenant.Customer)}
	foreign, err := h.UseCases.API.CreateOrder(t.Context(), others, app.CreateOrder{
		Policy: "per_item", Items: []app.ItemInput{harness.VPS()},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := h.DraftOrder("per_item", harness.VPS()).Order.ID
	recordIncidents(t, h, o, notice.ItemStuck, 4)
	err = h.DB.Worker(t).InTenant(t.Context(), h.OtherTenant.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), foreign.Order.ID, app.Also{})
		if err == nil {
			agg.Added.Incidents = []app.Incident{{Cause: notice.ItemStuck, Subject: h.Clock.NewID(), At: tx.Now()}}
			tx.Save(agg)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := h.UseCases.Worker.NotifyOperators(t.Context()); n != 2 || err != nil {
		t.Fatalf("sent %d, %v; want one notice for each tenant", n, err)
	}
	for address, want := range map[string]string{
		"operator@alpha.example": "alpha: 4 items are stuck", "operator@beta.example": "beta: 1 item is stuck",
	} {
		if diff := cmp.Diff([]string{want}, noticesTo(h, address)); diff != "" {
			t.Errorf("notices to %s (-want +got):\n%s", address, diff)
		}
	}
	for _, m := range h.Inbox.Messages() {
		raw, err := h.Inbox.Raw(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if m.To[0] == "operator@beta.example" && strings.Contains(string(raw), h.Order(o).Order.Number) {
			t.Error("an operator got a notice that names another tenant's order")
		}
	}
}

func TestOperatorsWithOneAddressGetOneNotice(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	for i := range 3 {
		m := app.Member{
			ID: id.Of[tenant.Member](h.Clock.NewID()), Role: tenant.Operator, Subject: fmt.Sprintf("shift-%d", i),
			Email: "Admin@alpha.example",
		}
		if err := h.DB.API(t).PutMember(context.WithoutCancel(t.Context()), h.Tenant.ID, m); err != nil {
			t.Fatal(err)
		}
	}
	recordIncidents(t, h, h.DraftOrder("per_item", harness.VPS()).Order.ID, notice.ItemStuck, 1)
	wantNotices(t, h, "alpha: 1 item is stuck")
	if n := len(h.Inbox.Messages()); n != 2 {
		t.Errorf("%d mails, want 2", n)
	}
}
