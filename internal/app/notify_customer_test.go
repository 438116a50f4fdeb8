package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// mailSubjects returns the subjects of the mails to an address in the order of arrival, with N for the order's number.
func mailSubjects(h *harness.Harness, address string, o order.ID) []string {
	number := h.Order(o).Order.Number
	var subjects []string
	for _, m := range h.Inbox.Messages() {
		if slices.Contains(m.To, address) {
			subjects = append(subjects, strings.ReplaceAll(strings.ReplaceAll(m.Subject, "\u00a0", " "), number, "N"))
		}
	}
	return subjects
}

// wantMails compares the subjects of the mails to the customer of an order, and checks that each mail came once.
func wantMails(t *testing.T, h *harness.Harness, o order.ID, subjects ...string) {
	t.Helper()
	if diff := cmp.Diff(subjects, mailSubjects(h, "customer@alpha.example", o)); diff != "" {
		t.Errorf("the customer's mails (-want +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for _, m := range h.Inbox.Messages() {
		if seen[m.MessageID] {
			t.Errorf("the mail %q came twice: %s", m.Subject, m.MessageID)
		}
		seen[m.MessageID] = true
	}
}

// mailText returns the plain text of the last mail whose subject begins with a text.
func mailText(t *testing.T, h *harness.Harness, subject string) string {
	t.Helper()
	for _, m := range slices.Backward(h.Inbox.Messages()) {
		if strings.HasPrefix(m.Subject, subject) {
			raw, err := h.Inbox.Raw(m.ID)
			if err != nil {
				t.Fatal(err)
			}
			return plainText(t, raw)
		}
	}
	t.Fatalf("no mail %q", subject)
	return ""
}

func TestAWholeOrderIsMailedInEachLanguage(t *testing.T) {
	t.Parallel()
	for language, want := range map[string][]string{
		"en": {
			"Payment received for N", "Order N is being built", "Refund of €65.00 for N",
			"Your service is ready: Virtual server (N, item 1)", "Order N is fulfilled in part",
		},
		"de": {
			"Zahlung für N eingegangen", "Bestellung N wird bereitgestellt", "Erstattung von 65,00 € für N",
			"Ihr Dienst ist bereit: Virtual server (N, Posten 1)", "Bestellung N ist teilweise ausgeführt",
		},
		"sl": {
			"Prejeli smo plačilo za N", "Naročilo N vzpostavljamo", "Vračilo 65,00 € za N",
			"Vaša storitev je pripravljena: Virtual server (N, postavka 1)", "Naročilo N je delno izpolnjeno",
		},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			h := harness.New(t)
			h.SetSettings(func(s *app.Settings) {
				s.Language, s.TimeZone, s.BrandColor = language, "Europe/Ljubljana", "#ffd400"
			})
			h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
			o := h.PaidOrder(harness.VPS(), harness.Database())
			h.Drain(o)
			h.WantSummary(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
			got := mailSubjects(h, "customer@alpha.example", o)
			slices.Sort(got) // the refund and the delivery come in any order
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("mails (-want +got):\n%s", diff)
			}
			h.WantNoCanary()
			h.CheckInvariants()
		})
	}
}

func TestACancelMailsOneRefundNoticeForAllItemsAndOneAtTheEnd(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.SetSettings(func(s *app.Settings) { s.SafetyWindow = 3600 })
	o := h.PaidOrder(harness.VPS(), harness.Database(), harness.Storage())
	mustCancel(t, h, o)
	h.Drain(o)
	h.WantSummary(o,
		"cancelled none settled; vps cancelled refund 20.10 accepted; database cancelled refund 65.00 accepted; "+
			"object_storage cancelled refund 20.00 accepted")
	wantMails(t, h, o, "Payment received for N", "Refund of €105.10 for N", "Order N is cancelled")
	content := mailText(t, h, "Order ")
	for _, line := range []string{
		"Refund of €65.00 on its way", "Refunds in all: €105.10", "to the account that your payment came",
		"Nothing of it is left running.",
	} {
		if !strings.Contains(content, line) {
			t.Errorf("the mail of the cancel does not say %q:\n%s", line, content)
		}
	}
	h.CheckInvariants()
}

func TestTheMailOfACancelledUnpaidOrderSaysThatNothingWasPaid(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	draft := h.DraftOrder("per_item", harness.VPS()).Order.ID
	mustCancel(t, h, draft)
	h.Drain()
	if got := mailText(t, h, "Order "); !strings.Contains(got, "Nothing was paid, and nothing was built.") {
		t.Errorf("the mail of a cancelled draft reads:\n%s", got)
	}
	unpaid := h.SubmittedOrder("per_item", harness.VPS()).Order.ID
	h.Clock.Advance(15 * 24 * time.Hour)
	if n, err := h.UseCases.Worker.ExpireOrders(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d orders expired, %v", n, err)
	}
	h.Drain()
	if got := mailText(t, h, "Order "+h.Order(unpaid).Order.Number); !strings.Contains(got, "was not paid in time") ||
		strings.Contains(got, "Refund") {
		t.Errorf("the mail of an expired order reads:\n%s", got)
	}
	h.CheckInvariants()
}

func TestTheMailOfAFailedOrderSaysWhyInPlainWords(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	h.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := h.PaidAllOrNothing(harness.VPS(), harness.Database())
	h.Drain(o)
	h.WantSummary(o, "failed none settled; vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 "+
		"accepted")
	wantMails(t, h, o, "Payment received for N", "Order N is being built", "Refund of €85.10 for N",
		"Order N could not be fulfilled")
	got := mailText(t, h, "Order ")
	server, database, _ := strings.Cut(got, "2. database")
	if !strings.Contains(server, "You chose all or nothing") || !strings.Contains(database, "could not be set up") ||
		strings.Contains(got, "invalid") {
		t.Errorf("the mail reads:\n%s", got)
	}
	h.CheckInvariants()
}

func TestADelayedRefundIsMailedOnceAndAgainWhenItIsOnItsWay(t *testing.T) {
	t.Parallel()
	b := failingBank()
	h := harness.New(t, harness.WithPayment(b))
	h.SetSettings(func(s *app.Settings) { s.SafetyWindow = 3600 })
	o := h.PaidOrder(harness.VPS(), harness.Database())
	mustCancel(t, h, o)
	h.Drain(o)
	first := []string{"Payment received for N", "Refund of €85.10 for N", "The refund for N is delayed"}
	wantMails(t, h, o, first...)
	if got := mailText(t, h, "The refund"); !strings.Contains(got, "nothing for you to do") {
		t.Errorf("the mail reads:\n%s", got)
	}
	deadLetters, err := h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), openDeadLetters(o))
	if err != nil || len(deadLetters.Data) != 2 {
		t.Fatalf("dead letters %+v, %v; want 2", deadLetters.Data, err)
	}
	redrive := func(dl app.DeadLetter) {
		if _, err := h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Operator), dl.ID, "again"); err != nil {
			t.Fatal(err)
		}
		h.Drain(o)
	}
	redrive(deadLetters.Data[0]) // fails again, without a second mail
	wantMails(t, h, o, first...)
	b.mu.Lock()
	b.failuresLeft = 0
	b.mu.Unlock()
	for {
		deadLetters, err = h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), openDeadLetters(o))
		if err != nil {
			t.Fatal(err)
		}
		if len(deadLetters.Data) == 0 {
			break
		}
		redrive(deadLetters.Data[0])
	}
	h.WantSummary(o,
		"cancelled none settled; vps cancelled refund 20.10 accepted; database cancelled refund 65.00 accepted")
	wantMails(t, h, o, append(first, "The refund for N is on its way", "Order N is cancelled")...)
	h.CheckInvariants()
}

func TestAMailWhoseWorkerDiesBeforeTheCommitComesAtMostTwiceUnderOneMessageID(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	died := false
	h.UseCases.Worker.Mailer = crashingMailer{h.UseCases.Worker.Mailer, &died}
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	ids := map[string]int{}
	for _, m := range h.Inbox.Messages() {
		ids[m.MessageID]++
	}
	twice := 0
	for _, n := range ids {
		if n > 1 {
			twice += n
		}
	}
	if !died || twice != 2 || len(h.Inbox.Messages()) != len(ids)+1 {
		t.Errorf("died %t; mails by message id %v, want one of them twice", died, ids)
	}
	h.CheckInvariants()
}

// crashingMailer ends the process after it sent its first notice.
type crashingMailer struct {
	app.Mailer
	crashed *bool
}

func (m crashingMailer) SendNotice(ctx context.Context, n app.Notice) error {
	err := m.Mailer.SendNotice(ctx, n)
	if !*m.crashed {
		*m.crashed = true
		panic(harness.Crash{})
	}
	return err
}

func TestANoticeThatCannotBeMailedIsDeadLetteredAndBlocksNothing(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	h.Publish()
	h.Inbox.Script(embedded.MailRejected)
	workToEnd(t, h, liveTasks(h.Order(o), fulfil.Notify)[0], h.UseCases.Worker.NotifyCustomer)
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	wantMails(t, h, o, "Order N is being built", "Your service is ready: Virtual server (N, item 1)",
		"Order N is fulfilled")
	deadLetterOf(t, h, o, "notice-failed")
	h.CheckInvariants()
}
