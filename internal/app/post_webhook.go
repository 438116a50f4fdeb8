package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// An endpoint that keeps failing must not cost other endpoints time. After restAfter consecutive failed calls it is
// not called for restFirst. The rest doubles with each further failure, up to restLongest.
const (
	restAfter   = 3
	restFirst   = 30 * time.Second
	restLongest = 5 * time.Minute
)

// A process makes at most callsAtOnce calls to an endpoint at a time, so that a slow endpoint does not occupy all
// workers. A worker over this limit tries again after busyWait.
const (
	callsAtOnce = 4
	busyWait    = 200 * time.Millisecond
)

// PostWebhook makes one call of a webhook delivery and records the result. Messages are posted at least once: if the
// process dies before it records the result, the same message is posted again.
func (a *App) PostWebhook(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (wait time.Duration, err error) {
	job, err := a.WebhookDeliveryJobs.WebhookDeliveryJob(ctx, t, taskID)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	task, e := job.Task, job.WebhookEndpoint
	if !task.Live() || task.NextAt.IsZero() || !mayCall(e, task) {
		return -1, nil
	}
	if wait := laterOf(task.NextAt, e.RestingUntil).Sub(a.Clock.Now()); wait > 0 {
		return wait, nil
	}
	if !a.calls.TryAcquire(e.ID, callsAtOnce) {
		return busyWait, nil
	}
	defer a.calls.Release(e.ID)
	post, err := a.composePost(t, job)
	if err != nil {
		return 0, err
	}
	answer := a.WebhookSender.Post(ctx, post)
	if ctx.Err() != nil {
		return 0, ctx.Err() // not recorded: the next worker posts it again
	}
	call := WebhookDeliveryCall{
		At: post.At, Status: answer.Status, Result: answer.Result, Took: a.Clock.Now().Sub(post.At), Excerpt: answer.Excerpt,
	}
	return -1, a.recordWebhookDelivery(ctx, t, job, call, answer.After)
}

// mayCall reports whether a task's endpoint may be called in its state.
func mayCall(e WebhookEndpoint, task fulfil.Task) bool {
	return e.DeletedAt.IsZero() && (e.State == WebhookEndpointActive ||
		e.State == WebhookEndpointFailing && task.Detail == replayed)
}

// message is a webhook's body, as Standard Webhooks proposes it. Its bytes are the same for every call of a delivery.
type message struct {
	Type      event.Type      `json:"type"`
	Timestamp time.Time       `json:"timestamp"` // of the event
	Data      json.RawMessage `json:"data"`      // as it is on the topic
}

// composePost returns the call for a delivery, with the opened secrets that sign it.
func (a *App) composePost(t tenant.ID, job WebhookDeliveryJob) (Post, error) {
	body, err := json.Marshal(message{Type: job.WebhookDelivery.Type, Timestamp: job.At.UTC(), Data: job.Data})
	if err != nil {
		return Post{}, fmt.Errorf("compose webhook delivery %s: %w", job.WebhookDelivery.ID, err)
	}
	if a.Secrets == nil || len(job.Secrets) == 0 {
		return Post{}, fmt.Errorf("webhook delivery %s: no secret to sign with", job.WebhookDelivery.ID)
	}
	p := Post{URL: job.WebhookEndpoint.URL, ID: job.WebhookDelivery.Event.String(), At: a.Clock.Now(), Body: body}
	for _, s := range job.Secrets {
		secret, err := a.Secrets.OpenSecret(t, job.WebhookEndpoint.ID, s)
		if err != nil {
			return Post{}, fmt.Errorf("open the secret of endpoint %s: %w", job.WebhookEndpoint.ID, err)
		}
		p.Secrets = append(p.Secrets, secret)
	}
	return p, nil
}

// recordWebhookDelivery records a call under the endpoint's lock. It returns ErrFenced when the task's epoch has
// changed since it was read, because another worker's call counts then.
func (a *App) recordWebhookDelivery(
	ctx context.Context, t tenant.ID, job WebhookDeliveryJob, call WebhookDeliveryCall, retryAfter time.Duration,
) error {
	var before, after WebhookEndpoint
	err := a.Store.InTenant(ctx, t, With{}, func(tx Tx) error {
		f, err := tx.LockWebhookEndpoint(ctx, job.WebhookEndpoint.ID, job.WebhookDelivery.ID)
		if absent := fault.Of(err); absent != nil && absent.Kind == fault.KindNotFound {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		if f.Task.Epoch != job.Task.Epoch || f.Task.State == fulfil.Closed {
			return ErrFenced
		}
		e, delivery, task := f.WebhookEndpoint, f.WebhookDelivery, f.Task
		task.Speed = a.Clock.Speed()
		m := fulfil.NextWebhook(task, fulfil.Result{Class: classOfPost(call.Result), At: a.Clock.Now(), After: retryAfter})
		if call.Result == CallGone || e.State == WebhookEndpointFailing && task.Detail == replayed && !m.Done {
			m.Task.State = fulfil.Closed // never called again, or the single call of a replay
		}
		delivery.Calls++
		call.N = delivery.Calls
		delivery.LastStatus, delivery.LastResult = call.Status, call.Result
		delivery.State, delivery.NextAt, delivery.DoneAt = WebhookDeliveryPending, m.Task.NextAt, time.Time{}
		switch {
		case m.Done:
			delivery.State, delivery.NextAt, delivery.DoneAt = WebhookDeliveryDelivered, time.Time{}, tx.Now()
		case m.Task.State == fulfil.Closed:
			delivery.State, delivery.NextAt, delivery.DoneAt = WebhookDeliveryFailed, time.Time{}, tx.Now()
		}
		if m.Task.Detail = ""; e.State != WebhookEndpointActive && m.Task.Live() {
			// The endpoint stopped being active meanwhile, so this delivery waits with the others.
			m.Task.State, m.Task.NextAt = fulfil.Stuck, time.Time{}
		}
		tx.SaveWebhookDelivery(delivery, m.Task, &call)
		before, after = e, a.moveWebhookEndpoint(tx, e, call.Result, m)
		if after.State == WebhookEndpointFailing && before.State != WebhookEndpointFailing {
			tx.NoteFailing(after, call)
		}
		return nil
	})
	if err == nil && after.State != before.State {
		a.Log.WarnContext(ctx, "a webhook changed its state", "tenant", t.String(), "endpoint", after.ID.String(),
			"state", after.State.String(), "why", string(after.Why))
	}
	return err
}

// classOfPost returns the fault class of a call's result, by which fulfil.Post schedules the next call.
func classOfPost(r CallResult) fault.Class {
	switch r {
	case CallAccepted:
		return fault.None
	case CallBusy:
		return fault.RateLimited
	case CallTimedOut:
		return fault.Ambiguous
	default:
		return fault.Retryable
	}
}

// moveWebhookEndpoint applies the result of a call to the endpoint and its other deliveries. It queues the changes
// and returns the endpoint after them.
func (a *App) moveWebhookEndpoint(tx Tx, e WebhookEndpoint, r CallResult, m fulfil.Move) WebhookEndpoint {
	was := e
	switch {
	case e.State == WebhookEndpointDisabled:
	case m.Done && e.State == WebhookEndpointFailing:
		e = e.inState(WebhookEndpointActive, "", tx.Now())
		tx.ReleaseWebhookDeliveries(e.ID)
	case m.Done:
		if !e.RestingUntil.IsZero() {
			tx.ReleaseWebhookDeliveries(e.ID)
		}
		e.Failures, e.RestingUntil = 0, time.Time{}
	case r == CallGone:
		e = e.inState(WebhookEndpointDisabled, WebhookEndpointGone, tx.Now())
		tx.HoldWebhookDeliveries(e.ID)
	case e.State == WebhookEndpointFailing:
	case m.Dead:
		e = e.inState(WebhookEndpointFailing, WebhookEndpointExhausted, tx.Now())
		tx.HoldWebhookDeliveries(e.ID)
	default:
		if e.Failures++; e.Failures >= restAfter {
			rest := min(restFirst<<min(e.Failures-restAfter, 8), restLongest)
			e.RestingUntil = tx.Now().Add(a.wait(rest))
			tx.RestWebhookDeliveries(e.ID, e.RestingUntil)
		}
	}
	if e.State != was.State {
		e.Version, e.UpdatedAt = e.Version+1, tx.Now()
	}
	if e.State != was.State || e.Failures != was.Failures || !e.RestingUntil.Equal(was.RestingUntil) {
		tx.MoveWebhookEndpoint(e)
	}
	return e
}
