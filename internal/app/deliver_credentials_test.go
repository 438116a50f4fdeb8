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

// taskUseCase works a task once and returns the wait until its next call; negative when the task is over.
type taskUseCase func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error)

// workToEnd gives a task to its use case until the task is over, and returns the waits in between.
func workToEnd(t *testing.T, h *harness.Harness, task fulfil.Task, useCase taskUseCase) []time.Duration {
	t.Helper()
	var waits []time.Duration
	for range 50 {
		wait, err := useCase(t.Context(), task.Tenant, task.ID)
		if err != nil {
			t.Fatalf("work on %s: %v", task.Kind, err)
		}
		if wait < 0 {
			return waits
		}
		waits = append(waits, wait)
		h.Clock.Advance(wait)
	}
	t.Fatalf("the task %s is never over", task.Kind)
	return nil
}

// readyToDeliver returns an order right before its delivery and the task of the delivery. The mail server answers the
// next mails as scripted.
func readyToDeliver(t *testing.T, h *harness.Harness, answers ...embedded.MailAnswer) (order.ID, fulfil.Task) {
	t.Helper()
	o := h.PaidOrder(harness.VPS())
	h.WorkUntil(o, func(summary string) bool { return strings.Contains(summary, "vps active") })
	tasks := liveTasks(h.Order(o), fulfil.Deliver)
	if len(tasks) != 1 {
		t.Fatalf("%d tasks to deliver, want 1", len(tasks))
	}
	h.Inbox.Script(answers...)
	return o, tasks[0]
}

func repeat(a embedded.MailAnswer, n int) []embedded.MailAnswer {
	all := make([]embedded.MailAnswer, n)
	for i := range all {
		all[i] = a
	}
	return all
}

func TestAFailingDeliveryIsRetriedThenDeadLetteredAndRollsNothingBack(t *testing.T) {
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
			h := harness.New(t)
			o, task := readyToDeliver(t, h, repeat(c.answer, c.calls)...)
			waits := workToEnd(t, h, task, h.UseCases.Worker.DeliverCredentials)
			wantGaps(t, waits, retryWaits[:c.calls-1]...)
			h.WantSummary(o, "partially_fulfilled none stuck; vps active")
			deadLetters, err := h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), openDeadLetters(o))
			if err != nil || len(deadLetters.Data) != 1 || deadLetters.Data[0].Code != "delivery-failed" ||
				deadLetters.Data[0].Attempts != c.calls {
				t.Fatalf("dead letters %+v, %v; want one delivery-failed after %d attempts", deadLetters.Data, err, c.calls)
			}
			h.WantLiveResources("", 2)
			if name == "try later" { // an operator redrives
				if _, err := h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Operator), deadLetters.Data[0].ID,
					"the mail server is back"); err != nil {
					t.Fatalf("RedriveDeadLetter: %v", err)
				}
			} else if err := redeliver(t, h, o); err != nil { // or the customer asks for a redelivery
				t.Fatalf("Redeliver: %v", err)
			}
			h.Drain(o)
			h.WantSummary(o, "fulfilled full settled; vps delivered")
			if open := h.Order(o).DeadLetters; len(open) != 0 {
				t.Errorf("dead letters are still open: %+v", open)
			}
			h.WantNoCanary()
			h.CheckInvariants()
		})
	}
}

func TestEachOfTwoStuckDeliveriesClosesItsOwnDeadLetter(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS(), harness.Labelled(harness.VPS(), "web"))
	for range 2 {
		h.WorkUntil(o, func(string) bool { return len(liveTasks(h.Order(o), fulfil.Deliver)) == 1 })
		h.Inbox.Script(embedded.MailRejected)
		workToEnd(t, h, liveTasks(h.Order(o), fulfil.Deliver)[0], h.UseCases.Worker.DeliverCredentials)
	}
	h.Drain(o)
	h.WantSummary(o, "partially_fulfilled none stuck; vps active; web active")
	for i, want := range []string{
		"partially_fulfilled none stuck; vps delivered; web active", "fulfilled full settled; vps delivered; web delivered",
	} {
		it := h.Order(o).Order.Items[i]
		if _, err := h.UseCases.API.Redeliver(t.Context(), h.As(tenant.Customer), app.Redeliver{
			Order: o, Item: it.ID,
		}); err != nil {
			t.Fatalf("Redeliver %s: %v", it.Label, err)
		}
		h.Drain(o)
		h.WantSummary(o, want)
		open := h.Order(o).DeadLetters
		if len(open) != 1-i || len(open) == 1 && open[0].Item == it.ID {
			t.Errorf("after %s was delivered these dead letters are open: %+v; want those of the other item only", it.Label,
				open)
		}
	}
	h.CheckInvariants()
}

func TestALostAnswerOfTheMailServerIsMailedAgainAndDeliversOnce(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o, task := readyToDeliver(t, h, embedded.MailAnswerLost)
	wantGaps(t, workToEnd(t, h, task, h.UseCases.Worker.DeliverCredentials), 2*time.Second)
	h.Drain(o)
	h.WantSummary(o, "fulfilled full settled; vps delivered")
	if n := len(deliveryMails(h)); n != 2 {
		t.Errorf("%d deliveries in the inbox, want 2: the one whose answer was lost and the one after", n)
	}
	if n := countEvents(h, o, order.EvServiceDelivered); n != 1 {
		t.Errorf("%d events order.service-delivered, want 1", n)
	}
	h.CheckInvariants()
}

// hookedMailer calls before right before each delivery.
type hookedMailer struct {
	app.Mailer
	before func()
}

func (m hookedMailer) SendDelivery(ctx context.Context, d app.DeliveryMail) error {
	m.before()
	return m.Mailer.SendDelivery(ctx, d)
}

func TestACancelDuringADeliveryKeepsWhatWasDelivered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer embedded.MailAnswer
		want   string
		live   int
	}{
		{embedded.MailAccepted, "fulfilled full settled; vps delivered", 2},
		{embedded.MailRejected, "cancelled none settled; vps rolled_back refund 20.10 accepted", 0},
	} {
		h := harness.New(t)
		o, task := readyToDeliver(t, h, c.answer)
		h.UseCases.Worker.Mailer = hookedMailer{h.UseCases.Worker.Mailer, func() { mustCancel(t, h, o) }}
		if _, err := h.UseCases.Worker.DeliverCredentials(t.Context(), task.Tenant, task.ID); err != nil {
			t.Fatalf("DeliverCredentials: %v", err)
		}
		h.Restart()
		h.Drain(o)
		h.WantSummary(o, c.want)
		h.WantLiveResources("", c.live)
		h.CheckInvariants()
	}
}

func TestTheDeliveredMailCarriesTheSecretAndNothingElseDoes(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	o := h.PaidOrder(harness.VPS())
	h.Drain(o)
	issued := h.Sim.Secrets(h.Item(o, "vps").ID.String())
	if len(issued) == 0 {
		t.Fatal("the cloud issued no secret")
	}
	if !strings.Contains(string(issued[len(issued)-1]), sim.Canary) {
		t.Fatal("the issued secret does not contain the canary")
	}
	h.WantNoCanary()
	if h.Order(o).Order.State != order.Fulfilled {
		t.Errorf("order is %s, want fulfilled", h.Order(o).Order.State)
	}
}
