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
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// mailed are the subjects that came to an address, in the order of their coming, with the order's number
// written as N.
func mailed(w *harness.Harness, address string, o order.ID) []string {
	number := w.Get(o).Order.Number
	var subjects []string
	for _, m := range w.Inbox.Messages() {
		if slices.Contains(m.To, address) {
			subjects = append(subjects, strings.ReplaceAll(strings.ReplaceAll(m.Subject, "\u00a0", " "), number, "N"))
		}
	}
	return subjects
}

// wantMails compares what the customer of the world got for an order, each mail once.
func wantMails(t *testing.T, w *harness.Harness, o order.ID, subjects ...string) {
	t.Helper()
	if diff := cmp.Diff(subjects, mailed(w, "customer@alpha.example", o)); diff != "" {
		t.Errorf("the customer's mails (-want +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for _, m := range w.Inbox.Messages() {
		if seen[m.MessageID] {
			t.Errorf("the mail %q came twice: %s", m.Subject, m.MessageID)
		}
		seen[m.MessageID] = true
	}
}

// text is the readable part of the last mail with a subject that begins so.
func text(t *testing.T, w *harness.Harness, subject string) string {
	t.Helper()
	for _, m := range slices.Backward(w.Inbox.Messages()) {
		if strings.HasPrefix(m.Subject, subject) {
			raw, err := w.Inbox.Raw(m.ID)
			if err != nil {
				t.Fatal(err)
			}
			return plainText(t, raw)
		}
	}
	t.Fatalf("no mail %q", subject)
	return ""
}

func TestEachLanguageTellsAWholeOrdersLife(t *testing.T) {
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
			w := harness.New(t)
			w.SetSettings(func(s *app.Settings) {
				s.Language, s.TimeZone, s.BrandColor = language, "Europe/Ljubljana", "#ffd400"
			})
			w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
			o := w.PaidOrder(harness.VPS(), harness.Database())
			w.Drain(o)
			w.WantPicture(o, "fulfilled partial settled; vps delivered; database rolled_back refund 65.00 accepted")
			got := mailed(w, "customer@alpha.example", o)
			slices.Sort(got) // refund and delivery race
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("mails (-want +got):\n%s", diff)
			}
			w.WantNoCanary()
			w.CheckWorld()
		})
	}
}

func TestWhatACancelGivesBackIsToldOnceForAllItemsAndAtTheEnd(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 3600 })
	o := w.PaidOrder(harness.VPS(), harness.Database(), harness.Storage())
	mustCancel(t, w, o)
	w.Drain(o)
	w.WantPicture(o,
		"cancelled none settled; vps cancelled refund 20.10 accepted; database cancelled refund 65.00 accepted; "+
			"object_storage cancelled refund 20.00 accepted")
	wantMails(t, w, o, "Payment received for N", "Refund of €105.10 for N", "Order N is cancelled")
	told := text(t, w, "Order ")
	for _, line := range []string{
		"Refund of €65.00 on its way", "Refunds in all: €105.10", "to the account that your payment came",
		"Nothing of it is left running.",
	} {
		if !strings.Contains(told, line) {
			t.Errorf("the mail of the cancel does not say %q:\n%s", line, told)
		}
	}
	w.CheckWorld()
}

func TestAnOrderThatWasNeverPaidSaysSoWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	thrown := w.Draft("per_item", harness.VPS()).Order.ID
	mustCancel(t, w, thrown)
	w.Drain()
	if got := text(t, w, "Order "); !strings.Contains(got, "Nothing was paid, and nothing was built.") {
		t.Errorf("a thrown away draft reads:\n%s", got)
	}
	unpaid := w.Submitted("per_item", harness.VPS()).Order.ID
	w.Clock.Advance(15 * 24 * time.Hour)
	if n, err := w.UseCases.Worker.ExpireOrders(t.Context()); n != 1 || err != nil {
		t.Fatalf("%d orders expired, %v", n, err)
	}
	w.Drain()
	if got := text(t, w, "Order "+w.Get(unpaid).Order.Number); !strings.Contains(got, "was not paid in time") ||
		strings.Contains(got, "Refund") {
		t.Errorf("an expired order reads:\n%s", got)
	}
	w.CheckWorld()
}

func TestAFailedOrderSaysWhyInPlainWords(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	w.Sim.Script(sim.Fault{Label: "database", Operation: sim.OpCreate, Kind: sim.Invalid})
	o := w.AllOrNothing(harness.VPS(), harness.Database())
	w.Drain(o)
	w.WantPicture(o, "failed none settled; vps rolled_back refund 20.10 accepted; database rolled_back refund 65.00 "+
		"accepted")
	wantMails(t, w, o, "Payment received for N", "Order N is being built", "Refund of €85.10 for N",
		"Order N could not be fulfilled")
	got := text(t, w, "Order ")
	server, database, _ := strings.Cut(got, "2. database")
	if !strings.Contains(server, "You chose all or nothing") || !strings.Contains(database, "could not be set up") ||
		strings.Contains(got, "invalid") {
		t.Errorf("the mail reads:\n%s", got)
	}
	w.CheckWorld()
}

func TestARefundThatIsDelayedIsToldOnceAndAgainWhenItGoesOn(t *testing.T) {
	t.Parallel()
	b := &bank{fail: &payment.Error{Class: fault.Retryable, Code: "maintenance"}, left: -1, back: map[string]int{}}
	w := harness.New(t, harness.WithPayment(b))
	w.SetSettings(func(s *app.Settings) { s.SafetyWindow = 3600 })
	o := w.PaidOrder(harness.VPS(), harness.Database())
	mustCancel(t, w, o)
	w.Drain(o)
	first := []string{"Payment received for N", "Refund of €85.10 for N", "The refund for N is delayed"}
	wantMails(t, w, o, first...)
	if got := text(t, w, "The refund"); !strings.Contains(got, "nothing for you to do") {
		t.Errorf("the mail reads:\n%s", got)
	}
	letters, err := w.UseCases.API.DeadLetters(t.Context(), w.As(tenant.Operator), openDeadLetters(o))
	if err != nil || len(letters.Data) != 2 {
		t.Fatalf("letters %+v, %v", letters.Data, err)
	}
	redrive := func(l app.DeadLetter) {
		if _, err := w.UseCases.API.RedriveDeadLetter(t.Context(), w.As(tenant.Operator), l.ID, "again"); err != nil {
			t.Fatal(err)
		}
		w.Drain(o)
	}
	redrive(letters.Data[0]) // in vain, and no second mail
	wantMails(t, w, o, first...)
	b.mu.Lock()
	b.left = 0
	b.mu.Unlock()
	for {
		letters, err = w.UseCases.API.DeadLetters(t.Context(), w.As(tenant.Operator), openDeadLetters(o))
		if err != nil {
			t.Fatal(err)
		}
		if len(letters.Data) == 0 {
			break
		}
		redrive(letters.Data[0])
	}
	w.WantPicture(o,
		"cancelled none settled; vps cancelled refund 20.10 accepted; database cancelled refund 65.00 accepted")
	wantMails(t, w, o, append(first, "The refund for N is on its way", "Order N is cancelled")...)
	w.CheckWorld()
}

func TestAMailWhoseWorkerDiesBetweenSendAndCommitComesTwiceAtMostUnderOneName(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	died := false
	w.UseCases.Worker.Mailer = dying{w.UseCases.Worker.Mailer, &died}
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	ids := map[string]int{}
	for _, m := range w.Inbox.Messages() {
		ids[m.MessageID]++
	}
	twice := 0
	for _, n := range ids {
		if n > 1 {
			twice += n
		}
	}
	if !died || twice != 2 || len(w.Inbox.Messages()) != len(ids)+1 {
		t.Errorf("died %t; mails by their id %v, want one of them twice", died, ids)
	}
	w.CheckWorld()
}

// dying ends the process after its first notice was sent.
type dying struct {
	app.Mailer
	died *bool
}

func (m dying) SendNotice(ctx context.Context, n app.Notice) error {
	err := m.Mailer.SendNotice(ctx, n)
	if !*m.died {
		*m.died = true
		panic(harness.Crash{})
	}
	return err
}

func TestANoticeThatCannotBeMailedStandsOnTheDeskAndHoldsNothingUp(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	w.Publish()
	w.Inbox.Script(embedded.MailRejected)
	carry(t, w, open(w.Get(o), fulfil.Notify)[0], w.UseCases.Worker.NotifyCustomer)
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	wantMails(t, w, o, "Order N is being built", "Your service is ready: Virtual server (N, item 1)",
		"Order N is fulfilled")
	deadLetterOf(t, w, o, "notice-failed")
	w.CheckWorld()
}
