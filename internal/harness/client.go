package harness

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// maxRetries is how often a client repeats a request.
const maxRetries = 2000

// reapInterval is longer than the time that must lie between two sightings of a leftover.
const reapInterval = 11 * time.Minute

// RetryUntilAnswered sends a customer's write under one idempotency key until it is answered. When the process dies
// during the request, the same request goes to the next process, as any client would send it.
func (h *Harness) RetryUntilAnswered(key string, write func(c app.Caller) error) error {
	h.t.Helper()
	c := h.As(tenant.Customer)
	c.Key = &app.IdempotencyKey{
		Key: key, Fingerprint: sha256.Sum256([]byte(key)),
		Encode: func(_ any, refused error) (app.Answer, error) {
			if refused != nil {
				//nolint:nilerr // the refusal is the answer
				return app.Answer{Status: http.StatusConflict, Body: []byte(refused.Error())}, nil
			}
			return app.Answer{Status: http.StatusOK}, nil
		},
	}
	var err error
	for range maxRetries { // the connection of a dead process holds the key until the database notices
		if h.RestartOnCrash(func() { err = write(c) }) && !isKeyInUse(err) {
			break
		}
	}
	var replayed *app.Replayed
	if errors.As(err, &replayed) && replayed.Answer.Status == http.StatusOK {
		return nil
	}
	return err
}

func isKeyInUse(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Code == fault.CodeKeyInUse
}

// MustSubmit creates an order and submits it with a payment method. It goes on when a process dies during it.
func (h *Harness) MustSubmit(policy, method string, items ...app.ItemInput) order.ID {
	h.t.Helper()
	o := h.DraftOrder(policy, items...).Order.ID
	err := h.RetryUntilAnswered("submit "+o.String(), func(c app.Caller) error {
		_, err := h.UseCases.API.SubmitOrder(h.t.Context(), c, app.SubmitOrder{Order: o, PaymentMethod: method})
		return err
	})
	if err != nil {
		h.t.Fatalf("submit: %v", err)
	}
	return o
}

// MustCancel cancels an order. It goes on when a process dies during it.
func (h *Harness) MustCancel(o order.ID) {
	h.t.Helper()
	err := h.RetryUntilAnswered("cancel "+o.String(), func(c app.Caller) error {
		_, err := h.UseCases.API.CancelOrder(h.t.Context(), c, app.Reasoned{Order: o, Reason: "changed our mind"})
		return err
	})
	if err != nil {
		h.t.Fatalf("cancel: %v", err)
	}
}

// TryCancel is MustCancel, except that the cancel may come too late.
func (h *Harness) TryCancel(o order.ID) {
	h.t.Helper()
	err := h.RetryUntilAnswered("cancel "+o.String(), func(c app.Caller) error {
		_, err := h.UseCases.API.CancelOrder(h.t.Context(), c, app.Reasoned{Order: o, Reason: "changed our mind"})
		return err
	})
	if f := fault.Of(err); err != nil && (f == nil || f.Kind != fault.KindConflict) {
		h.t.Fatalf("cancel: %v", err)
	}
}

// DrainOnce is one round of Drain. It publishes, or works what is due, or moves the clock to the next due task. It
// returns false when no task is left.
func (h *Harness) DrainOnce() bool {
	h.t.Helper()
	if h.Publish() > 0 || h.WorkOneTask() || h.workDueTasks() {
		return true
	}
	next, ok := h.nextDue()
	if ok {
		h.Clock.Set(next)
	}
	return ok
}

// Outage lets time pass in which nobody works. Retries may be late from then on, and CheckInvariants allows it.
func (h *Harness) Outage(d time.Duration) {
	h.outage = true
	h.Clock.Advance(d)
}

// RunReaper waits longer than any effect may be late. Then it compares the inventory with the cloud as often as a
// leftover must be seen to be removed, and drains what follows. It returns all findings.
func (h *Harness) RunReaper() []app.Finding {
	h.t.Helper()
	var all []app.Finding
	h.Clock.Advance(2 * h.Config.Providers["sim"].Capabilities().CreateTimeout)
	for range 3 {
		found, err := h.UseCases.Worker.Reap(h.t.Context(), h.logins[postgres.LoginWorker], app.Leftovers)
		if err != nil {
			h.t.Fatalf("compare the inventory with the cloud: %v", err)
		}
		all = append(all, found...)
		h.Drain()
		h.Clock.Advance(reapInterval)
	}
	return all
}
