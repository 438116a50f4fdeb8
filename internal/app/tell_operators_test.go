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
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// toldTo are the notices that came to an address, in the order of their coming.
func toldTo(w *harness.Harness, address string) []string {
	var subjects []string
	for _, m := range w.Inbox.Messages() {
		if slices.Contains(m.To, address) {
			subjects = append(subjects, m.Subject)
		}
	}
	return subjects
}

// wantTold lets a worker tell operators, and compares what each operator of the tenant has got by then. No
// customer, no auditor and nobody of the other tenant ever gets any of it.
func wantTold(t *testing.T, w *harness.Harness, subjects ...string) {
	t.Helper()
	if _, err := w.UseCases.Worker.TellOperators(t.Context()); err != nil {
		t.Fatalf("TellOperators: %v", err)
	}
	for _, address := range []string{"operator@alpha.example", "admin@alpha.example"} {
		if diff := cmp.Diff(subjects, toldTo(w, address)); diff != "" {
			t.Errorf("%s was told (-want +got):\n%s", address, diff)
		}
	}
	for _, m := range w.Inbox.Messages() {
		if to := m.To[0]; strings.HasPrefix(m.MessageID, "<operators.") && to != "operator@alpha.example" &&
			to != "admin@alpha.example" {
			t.Errorf("%s was told %q", to, m.Subject)
		}
	}
}

// stick puts incidents of a draft's on record, as the consumer or the desk does.
func stick(t *testing.T, w *harness.Harness, o order.ID, cause notice.Cause, n int) {
	t.Helper()
	err := w.DB.Worker(t).InTenant(t.Context(), w.Tenant.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), o, app.Also{})
		if err != nil {
			return err
		}
		for range n {
			agg.Added.Incidents = append(agg.Added.Incidents, app.Incident{Cause: cause, Subject: w.Clock.NewID(), At: tx.Now()})
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
	w := harness.New(t)
	o := w.Draft("per_item", harness.VPS()).Order.ID
	stick(t, w, o, notice.ItemStuck, 1)
	wantTold(t, w, "alpha: 1 item is stuck")
	for range 9 {
		w.Clock.Advance(6 * time.Minute)
		stick(t, w, o, notice.ItemStuck, 11)
		wantTold(t, w, "alpha: 1 item is stuck")
	}
	w.Clock.Advance(6*time.Minute - time.Second)
	wantTold(t, w, "alpha: 1 item is stuck")
	w.Clock.Advance(time.Second)
	wantTold(t, w, "alpha: 1 item is stuck", "alpha: 99 items are stuck")
	w.Clock.Advance(24 * time.Hour) // nothing happened since
	wantTold(t, w, "alpha: 1 item is stuck", "alpha: 99 items are stuck")
	stick(t, w, o, notice.RefundFailed, 2) // a cause of its own
	wantTold(t, w, "alpha: 1 item is stuck", "alpha: 99 items are stuck", "alpha: 2 refunds are stuck")
}

func TestStuckWorkIsToldByWhatAsksForIt(t *testing.T) {
	t.Parallel()
	b := &bank{fail: &payment.Error{Class: fault.Retryable, Code: "maintenance"}, left: -1, back: map[string]int{}}
	w := harness.New(t, harness.WithPayment(b))
	w.SetSettings(func(s *app.Settings) { s.Language = "sl" })
	w.Sim.Script(sim.Fault{Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	w.Sim.Script(sim.Fault{Part: "port", Operation: sim.OpDelete, Kind: sim.Protected})
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	w.WantPicture(o, "provisioning none stuck; vps stuck refund 20.10 stuck")
	// The letter of the step that failed is a third; those of the stuck item and refund are told as such.
	wantTold(t, w, "alpha: 1 nov zastoj", "alpha: 1 postavka se je zataknila", "alpha: 1 vračilo se je zataknilo")
	got := text(t, w, "alpha: 1 postavka")
	if !strings.Contains(got, w.Get(o).Order.Number) ||
		!strings.Contains(got, "https://portal.example/desk/dead-letters") {
		t.Errorf("the notice does not name the order and the desk:\n%s", got)
	}
	w.WantNoCanary()
	w.CheckWorld()
}

func TestTwoWorkersTellOnce(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.Draft("per_item", harness.VPS()).Order.ID
	for range rounds(5, 200) {
		before := len(w.Inbox.Messages())
		stick(t, w, o, notice.NewDeadLetter, 3)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := w.UseCases.Worker.TellOperators(t.Context()); err != nil {
					t.Errorf("TellOperators: %v", err)
				}
			})
		}
		all.Wait()
		if got := len(w.Inbox.Messages()) - before; got != 2 {
			t.Fatalf("%d mails by four workers to two operators, want one each", got)
		}
		w.Clock.Advance(time.Hour)
	}
}

func TestANoticeIsNotLostWithItsWorker(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.Draft("per_item", harness.VPS()).Order.ID
	stick(t, w, o, notice.ItemStuck, 1)
	died := false
	w.UseCases.Worker.Mailer = dying{w.UseCases.Worker.Mailer, &died}
	w.Survive(func() { _, _ = w.UseCases.Worker.TellOperators(t.Context()) })
	first := w.Inbox.Messages()
	if !died || len(first) != 1 {
		t.Fatalf("died %t after %d mails, want 1", died, len(first))
	}
	if n, err := w.UseCases.Worker.TellOperators(t.Context()); n != 0 || err != nil {
		t.Fatalf("another worker told %d (%v) while the first may live", n, err)
	}
	stick(t, w, o, notice.ItemStuck, 1) // meanwhile
	w.Clock.Advance(5 * time.Minute)
	if n, err := w.UseCases.Worker.TellOperators(t.Context()); n != 1 || err != nil {
		t.Fatalf("told %d, %v; want the notice told by another worker", n, err)
	}
	all := w.Inbox.Messages()
	if len(all) != 3 || all[1].MessageID != first[0].MessageID || all[2].MessageID == first[0].MessageID {
		t.Errorf("%d mails; want the first again under its name, and the other operator's", len(all))
	}
	if all[2].Subject != "alpha: 2 items are stuck" {
		t.Errorf("it says %q, want what came meanwhile counted", all[2].Subject)
	}
	w.Clock.Advance(time.Hour)
	if n, err := w.UseCases.Worker.TellOperators(t.Context()); n != 0 || err != nil {
		t.Errorf("told %d more, %v", n, err)
	}
}

func TestAMailServerThatIsAwayLosesNoNotice(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.Draft("per_item", harness.VPS()).Order.ID
	stick(t, w, o, notice.ItemStuck, 1)
	w.Inbox.Script(repeat(embedded.MailTryLater, 2)...)
	wantTold(t, w)
	w.Inbox.Script(embedded.MailRejected) // of two operators one is reached, and the other keeps nobody waiting
	w.Clock.Advance(5 * time.Minute)
	if n, err := w.UseCases.Worker.TellOperators(t.Context()); n != 1 || err != nil || len(w.Inbox.Messages()) != 1 {
		t.Errorf("told %d, %v, %d mails; want one", n, err, len(w.Inbox.Messages()))
	}
	w.Clock.Advance(time.Minute)
	if n, err := w.UseCases.Worker.TellOperators(t.Context()); n != 0 || err != nil {
		t.Errorf("told again %d, %v", n, err)
	}
}

func TestARevokedOperatorIsNotTold(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.Draft("per_item", harness.VPS()).Order.ID
	if err := w.DB.API(t).RevokeMember(t.Context(), w.Tenant.ID, w.Tenant.Members[tenant.Operator].ID); err != nil {
		t.Fatal(err)
	}
	stick(t, w, o, notice.ItemStuck, 1)
	if _, err := w.UseCases.Worker.TellOperators(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.Inbox.Messages(); len(got) != 1 || got[0].To[0] != "admin@alpha.example" {
		t.Errorf("mails %+v, want the admin's alone", got)
	}
}

func TestAPaymentIsOverdueOnceWhenHalfOfItsTimeIsOver(t *testing.T) {
	t.Parallel()
	w := harness.New(t) // 14 days to pay
	note := func(want int) {
		t.Helper()
		if n, err := w.UseCases.Worker.NoteOverdue(t.Context()); n != want || err != nil {
			t.Errorf("%d orders noted, %v; want %d", n, err, want)
		}
	}
	o := w.Submitted("per_item", harness.VPS()).Order.ID
	w.Draft("per_item", harness.VPS())
	w.Clock.Advance(7*24*time.Hour - time.Second)
	note(0)
	w.Clock.Advance(time.Second)
	note(1)
	note(0)
	wantTold(t, w, "alpha: 1 order waits long for its payment")
	w.Clock.Advance(24 * time.Hour)
	note(0)
	wantTold(t, w, "alpha: 1 order waits long for its payment")
	w.Pay(w.Get(o))
	if _, err := w.UseCases.API.RevertPayment(t.Context(), w.As(tenant.Operator), reasoned(o, "it bounced")); err != nil {
		t.Fatal(err)
	}
	note(0) // a new time to pay began
	w.Clock.Advance(8 * 24 * time.Hour)
	note(1)
	wantTold(t, w, "alpha: 1 order waits long for its payment", "alpha: 1 order waits long for its payment")
}

func TestAnotherTenantsOperatorsHearNothingWhateverHappensAtOnce(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	others := app.Caller{Actor: w.Other.Actor(tenant.Customer)}
	foreign, err := w.UseCases.API.CreateOrder(t.Context(), others, app.CreateOrder{
		Policy: "per_item", Items: []app.ItemInput{harness.VPS()},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := w.Draft("per_item", harness.VPS()).Order.ID
	stick(t, w, o, notice.ItemStuck, 4)
	err = w.DB.Worker(t).InTenant(t.Context(), w.Other.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), foreign.Order.ID, app.Also{})
		if err == nil {
			agg.Added.Incidents = []app.Incident{{Cause: notice.ItemStuck, Subject: w.Clock.NewID(), At: tx.Now()}}
			tx.Save(agg)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.UseCases.Worker.TellOperators(t.Context()); n != 2 || err != nil {
		t.Fatalf("told %d, %v; want one notice for each tenant", n, err)
	}
	for address, want := range map[string]string{
		"operator@alpha.example": "alpha: 4 items are stuck", "operator@beta.example": "beta: 1 item is stuck",
	} {
		if diff := cmp.Diff([]string{want}, toldTo(w, address)); diff != "" {
			t.Errorf("%s was told (-want +got):\n%s", address, diff)
		}
	}
	for _, m := range w.Inbox.Messages() {
		raw, err := w.Inbox.Raw(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if m.To[0] == "operator@beta.example" && strings.Contains(string(raw), w.Get(o).Order.Number) {
			t.Error("another tenant's operator is told of an order that is not his")
		}
	}
}

func TestManyOperatorsWithOneAddressAreToldOnce(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	for i := range 3 {
		m := app.Member{
			ID: id.Of[tenant.Member](w.Clock.NewID()), Role: tenant.Operator, Subject: fmt.Sprintf("shift-%d", i),
			Email: "Admin@alpha.example",
		}
		if err := w.DB.API(t).PutMember(context.WithoutCancel(t.Context()), w.Tenant.ID, m); err != nil {
			t.Fatal(err)
		}
	}
	stick(t, w, w.Draft("per_item", harness.VPS()).Order.ID, notice.ItemStuck, 1)
	wantTold(t, w, "alpha: 1 item is stuck")
	if n := len(w.Inbox.Messages()); n != 2 {
		t.Errorf("%d mails, want 2", n)
	}
}
