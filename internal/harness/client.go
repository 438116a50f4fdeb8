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

// patience is how often a client asks again.
const patience = 2000

// reapEvery is further apart than two sightings of a leftover must be.
const reapEvery = 11 * time.Minute

// Insist sends a customer's write under one idempotency key until it is answered: when the process
// dies in it, the same request goes to the next one, as any client's would.
func (w *Harness) Insist(key string, write func(c app.Caller) error) error {
	w.t.Helper()
	c := w.As(tenant.Customer)
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
	for range patience { // a killed process's connection holds the key until the database notices
		if w.Survive(func() { err = write(c) }) && !inUse(err) {
			break
		}
	}
	var replayed *app.Replayed
	if errors.As(err, &replayed) && replayed.Answer.Status == http.StatusOK {
		return nil
	}
	return err
}

func inUse(err error) bool {
	f := fault.Of(err)
	return f != nil && f.Code == fault.CodeKeyInUse
}

// Ordered is an order that its customer submitted with a payment method, and goes on whatever process
// dies on the way.
func (w *Harness) Ordered(policy, method string, items ...app.ItemInput) order.ID {
	w.t.Helper()
	o := w.Draft(policy, items...).Order.ID
	err := w.Insist("submit "+o.String(), func(c app.Caller) error {
		_, err := w.UseCases.API.SubmitOrder(w.t.Context(), c, app.SubmitOrder{Order: o, PaymentMethod: method})
		return err
	})
	if err != nil {
		w.t.Fatalf("submit: %v", err)
	}
	return o
}

// Cancelled asks for an order's end, and goes on whatever process dies on the way.
func (w *Harness) Cancelled(o order.ID) {
	w.t.Helper()
	err := w.Insist("cancel "+o.String(), func(c app.Caller) error {
		_, err := w.UseCases.API.CancelOrder(w.t.Context(), c, app.Reasoned{Order: o, Reason: "changed our mind"})
		return err
	})
	if err != nil {
		w.t.Fatalf("cancel: %v", err)
	}
}

// TryCancel is Cancelled, where it may be too late for it.
func (w *Harness) TryCancel(o order.ID) {
	w.t.Helper()
	err := w.Insist("cancel "+o.String(), func(c app.Caller) error {
		_, err := w.UseCases.API.CancelOrder(w.t.Context(), c, app.Reasoned{Order: o, Reason: "changed our mind"})
		return err
	})
	if f := fault.Of(err); err != nil && (f == nil || f.Kind != fault.KindConflict) {
		w.t.Fatalf("cancel: %v", err)
	}
}

// Turn is one step of Settle: it publishes, does what is due, or lets time pass until something is;
// false when nothing will be.
func (w *Harness) Turn() bool {
	w.t.Helper()
	if w.Publish() > 0 || w.WorkOne() || w.workOnce() {
		return true
	}
	next, ok := w.nextDue()
	if ok {
		w.Clock.Set(next)
	}
	return ok
}

// Pause lets time pass in which nobody works: retries then come as late as they come.
func (w *Harness) Pause(d time.Duration) {
	w.paused = true
	w.Clock.Advance(d)
}

// Reaped lets the longest late effect pass, then has inventory and books compared as often as a
// leftover needs to be seen, and settles what that began. It returns what was found.
func (w *Harness) Reaped() []app.Finding {
	w.t.Helper()
	var all []app.Finding
	w.Clock.Advance(2 * w.Config.Providers["sim"].Capabilities().CreateTimeout)
	for range 3 {
		found, err := w.UseCases.Worker.Reap(w.t.Context(), w.logins[postgres.LoginWorker], app.Leftovers)
		if err != nil {
			w.t.Fatalf("compare inventory and books: %v", err)
		}
		all = append(all, found...)
		w.Drain()
		w.Clock.Advance(reapEvery)
	}
	return all
}
