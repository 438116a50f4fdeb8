package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// carry gives a task to its use case until it is over, and tells the waits in between.
func carry(
	t *testing.T, w *harness.Harness, task fulfil.Task, verb func(context.Context, tenant.ID,
		fulfil.TaskID) (time.Duration, error),
) []time.Duration {
	t.Helper()
	var waits []time.Duration
	for range 50 {
		wait, err := verb(t.Context(), task.Tenant, task.ID)
		if err != nil {
			t.Fatalf("work on %s: %v", task.Kind, err)
		}
		if wait < 0 {
			return waits
		}
		waits = append(waits, wait)
		w.Clock.Advance(wait)
	}
	t.Fatalf("the task %s is never over", task.Kind)
	return nil
}

// readyToDeliver takes an order to the moment before its mail, and answers that mail as scripted.
func readyToDeliver(t *testing.T, w *harness.Harness, answers ...embedded.MailAnswer) (order.ID, fulfil.Task) {
	t.Helper()
	o := w.PaidOrder(harness.VPS())
	w.WorkUntil(o, func(p string) bool { return strings.Contains(p, "vps active") })
	tasks := open(w.Get(o), fulfil.Deliver)
	if len(tasks) != 1 {
		t.Fatalf("%d deliveries to come, want 1", len(tasks))
	}
	w.Inbox.Script(answers...)
	return o, tasks[0]
}

func repeat(a embedded.MailAnswer, n int) []embedded.MailAnswer {
	all := make([]embedded.MailAnswer, n)
	for i := range all {
		all[i] = a
	}
	return all
}

func TestADeliveryThatFailsIsRetriedAndThenStandsOnTheDeskAndRollsNothingBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer embedded.MailAnswer
		calls  int
	}{
		"try later":    {embedded.MailTryLater, 6},
		"greylisted":   {embedded.MailGreylisted, 6},
		"dropped":      {embedded.MailDroppedFirst, 6},
		"rejected":     {embedded.MailRejected, 1},
		"no such user": {embedded.MailNoSuchUser, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := harness.New(t)
			o, task := readyToDeliver(t, w, repeat(c.answer, c.calls)...)
			waits := carry(t, w, task, w.UseCases.Worker.DeliverCredentials)
			wantGaps(t, waits, fiveWaits[:c.calls-1]...)
			w.WantPicture(o, "partially_fulfilled none stuck; vps active")
			letters, err := w.UseCases.API.DeadLetters(t.Context(), w.As(tenant.Operator), openDeadLetters(o))
			if err != nil || len(letters.Data) != 1 || letters.Data[0].Code != "delivery-failed" ||
				letters.Data[0].Attempts != c.calls {
				t.Fatalf("dead letters %+v, %v; want one delivery-failed after %d attempts", letters.Data, err, c.calls)
			}
			w.WantLive("", 2)
			if name == "try later" { // an operator tries again
				if _, err := w.UseCases.API.RedriveDeadLetter(t.Context(), w.As(tenant.Operator), letters.Data[0].ID,
					"the mail server is back"); err != nil {
					t.Fatalf("RedriveDeadLetter: %v", err)
				}
			} else if err := redeliver(t, w, o); err != nil { // or the customer asks again
				t.Fatalf("Redeliver: %v", err)
			}
			w.Drain(o)
			w.WantPicture(o, "fulfilled full settled; vps delivered")
			if left := w.Get(o).DeadLetters; len(left) != 0 {
				t.Errorf("dead letters still open: %+v", left)
			}
			w.WantNoCanary()
			w.CheckWorld()
		})
	}
}

func TestOfTwoDeliveriesThatAreStuckEachClosesItsOwnDeadLetter(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS(), harness.Labelled(harness.VPS(), "web"))
	for range 2 {
		w.WorkUntil(o, func(string) bool { return len(open(w.Get(o), fulfil.Deliver)) == 1 })
		w.Inbox.Script(embedded.MailRejected)
		carry(t, w, open(w.Get(o), fulfil.Deliver)[0], w.UseCases.Worker.DeliverCredentials)
	}
	w.Drain(o)
	w.WantPicture(o, "partially_fulfilled none stuck; vps active; web active")
	for i, want := range []string{
		"partially_fulfilled none stuck; vps delivered; web active", "fulfilled full settled; vps delivered; web delivered",
	} {
		it := w.Get(o).Order.Items[i]
		if _, err := w.UseCases.API.Redeliver(t.Context(), w.As(tenant.Customer), app.Redeliver{
			Order: o, Item: it.ID,
		}); err != nil {
			t.Fatalf("Redeliver %s: %v", it.Label, err)
		}
		w.Drain(o)
		w.WantPicture(o, want)
		left := w.Get(o).DeadLetters
		if len(left) != 1-i || len(left) == 1 && left[0].Item == it.ID {
			t.Errorf("after %s was delivered these letters are open: %+v; want those of the other item alone", it.Label, left)
		}
	}
	w.CheckWorld()
}

func TestALostAnswerOfTheMailServerIsMailedAgainAndDeliversOnce(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o, task := readyToDeliver(t, w, embedded.MailAnswerLost)
	wantGaps(t, carry(t, w, task, w.UseCases.Worker.DeliverCredentials), 2*time.Second)
	w.Drain(o)
	w.WantPicture(o, "fulfilled full settled; vps delivered")
	if n := len(deliveries(w)); n != 2 {
		t.Errorf("%d deliveries in the inbox, want 2: the one whose answer was lost and the one after", n)
	}
	if n := count(w, o, order.EvServiceDelivered); n != 1 {
		t.Errorf("%d events order.service-delivered, want 1", n)
	}
	w.CheckWorld()
}

// interrupted is a mailer that something happens to just before each delivery.
type interrupted struct {
	app.Mailer
	before func()
}

func (m interrupted) SendDelivery(ctx context.Context, d app.DeliveryMail) error {
	m.before()
	return m.Mailer.SendDelivery(ctx, d)
}

func TestACancelWhileTheMailIsUnderWayKeepsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer embedded.MailAnswer
		want   string
		live   int
	}{
		{embedded.MailAccepted, "fulfilled full settled; vps delivered", 2},
		{embedded.MailRejected, "cancelled none settled; vps rolled_back refund 20.10 accepted", 0},
	} {
		w := harness.New(t)
		o, task := readyToDeliver(t, w, c.answer)
		w.UseCases.Worker.Mailer = interrupted{w.UseCases.Worker.Mailer, func() { mustCancel(t, w, o) }}
		if _, err := w.UseCases.Worker.DeliverCredentials(t.Context(), task.Tenant, task.ID); err != nil {
			t.Fatalf("DeliverCredentials: %v", err)
		}
		w.Restart()
		w.Drain(o)
		w.WantPicture(o, c.want)
		w.WantLive("", c.live)
		w.CheckWorld()
	}
}

func TestTheDeliveredMailCarriesTheSecretAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	w := harness.New(t)
	o := w.PaidOrder(harness.VPS())
	w.Drain(o)
	issued := w.Sim.Secrets(w.Item(o, "vps").ID.String())
	if len(issued) == 0 {
		t.Fatal("the cloud issued no secret")
	}
	if at := strings.Index(string(issued[len(issued)-1]), sim.Canary); at < 0 {
		t.Fatalf("the issued secret has no canary to look for")
	}
	w.WantNoCanary()
	if w.Get(o).Order.State != order.Fulfilled {
		t.Errorf("order is %s, want fulfilled", w.Get(o).Order.State)
	}
}
