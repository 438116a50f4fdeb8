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

// How an endpoint that fails is kept from costing others their time: after restAfter calls in a row
// that failed nothing is called for a while, doubled with each further one.
const (
	restAfter   = 3
	restFirst   = 30 * time.Second
	restLongest = 5 * time.Minute
)

// One endpoint has at most callsAtOnce calls at a time in a process, so that a slow one leaves the other
// workers to others. A worker that finds it full steps back for busyWait.
const (
	callsAtOnce = 4
	busyWait    = 200 * time.Millisecond
)

// PostWebhook makes one call of a webhook delivery, and writes down what became of it. It is at least
// once: a process that dies between the two leaves the unit as it was, and the same message goes again.
func (a *App) PostWebhook(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	job, err := a.PostingJobs.PostingJob(ctx, t, unit)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	u, e := job.Unit, job.Endpoint
	if !u.Live() || u.NextAt.IsZero() || !callable(e, u) {
		return -1, nil
	}
	if wait := laterOf(u.NextAt, e.RestingUntil).Sub(a.Clock.Now()); wait > 0 {
		return wait, nil
	}
	if !a.calls.TryAcquire(e.ID, callsAtOnce) {
		return busyWait, nil
	}
	defer a.calls.Release(e.ID)
	post, err := a.compose(t, job)
	if err != nil {
		return 0, err
	}
	answer := a.Poster.Post(ctx, post)
	if ctx.Err() != nil {
		return 0, ctx.Err() // not written down: whoever comes next posts it again
	}
	call := PostingCall{At: post.At, Status: answer.Status, Result: answer.Result, Took: a.Clock.Now().Sub(post.At), Excerpt: answer.Excerpt}
	return -1, a.recordPosting(ctx, t, job, call, answer.After)
}

// callable tells whether a unit's endpoint may be called at all.
func callable(e Endpoint, u fulfil.Unit) bool {
	return e.DeletedAt.IsZero() && (e.State == EndpointActive || e.State == EndpointFailing && u.Detail == replayed)
}

// message is a webhook's body, as Standard Webhooks proposes it. Its bytes are the same at every call.
type message struct {
	Type      event.Type      `json:"type"`
	Timestamp time.Time       `json:"timestamp"` // of the event
	Data      json.RawMessage `json:"data"`      // as it stands on the topic
}

func (a *App) compose(t tenant.ID, job PostingJob) (Post, error) {
	body, err := json.Marshal(message{Type: job.Posting.Type, Timestamp: job.At.UTC(), Data: job.Data})
	if err != nil {
		return Post{}, fmt.Errorf("compose webhook delivery %s: %w", job.Posting.ID, err)
	}
	if a.Secrets == nil || len(job.Secrets) == 0 {
		return Post{}, fmt.Errorf("webhook delivery %s: no secret to sign with", job.Posting.ID)
	}
	p := Post{URL: job.Endpoint.URL, ID: job.Posting.Event.String(), At: a.Clock.Now(), Body: body}
	for _, s := range job.Secrets {
		secret, err := a.Secrets.OpenSecret(t, job.Endpoint.ID, s)
		if err != nil {
			return Post{}, fmt.Errorf("open the secret of endpoint %s: %w", job.Endpoint.ID, err)
		}
		p.Secrets = append(p.Secrets, secret)
	}
	return p, nil
}

// recordPosting writes a call down under the endpoint's lock, unless the unit has moved on since it was
// read: then somebody else's call counts.
func (a *App) recordPosting(ctx context.Context, t tenant.ID, job PostingJob, call PostingCall, after time.Duration) error {
	var was, is Endpoint
	err := a.Store.InTenant(ctx, t, With{}, func(tx Tx) error {
		f, err := tx.LockEndpoint(ctx, job.Endpoint.ID, job.Posting.ID)
		if absent := fault.Of(err); absent != nil && absent.Kind == fault.KindNotFound {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		if f.Unit.Epoch != job.Unit.Epoch || f.Unit.State == fulfil.Closed {
			return ErrFenced
		}
		e, p, u := f.Endpoint, f.Posting, f.Unit
		u.Speed = a.Clock.Speed()
		m := fulfil.Post(u, fulfil.Result{Class: classOfPost(call.Result), At: a.Clock.Now(), After: after})
		if call.Result == PostGone || e.State == EndpointFailing && u.Detail == replayed && !m.Done {
			m.Unit.State = fulfil.Closed // for good, or the one call of a replay
		}
		p.Calls++
		call.N = p.Calls
		p.LastStatus, p.LastResult = call.Status, call.Result
		p.State, p.NextAt, p.DoneAt = PostingPending, m.Unit.NextAt, time.Time{}
		switch {
		case m.Done:
			p.State, p.NextAt, p.DoneAt = PostingDelivered, time.Time{}, tx.Now()
		case m.Unit.State == fulfil.Closed:
			p.State, p.NextAt, p.DoneAt = PostingFailed, time.Time{}, tx.Now()
		}
		if m.Unit.Detail = ""; e.State != EndpointActive && m.Unit.Live() {
			m.Unit.State, m.Unit.NextAt = fulfil.Stuck, time.Time{} // stopped meanwhile: it waits with the others
		}
		tx.SavePosting(p, m.Unit, &call)
		was, is = e, a.moveEndpoint(tx, e, call.Result, m)
		if is.State == EndpointFailing && was.State != EndpointFailing {
			tx.NoteFailing(is, call)
		}
		return nil
	})
	if err == nil && is.State != was.State {
		a.Log.WarnContext(ctx, "a webhook changed its state", "tenant", t.String(), "endpoint", is.ID.String(), "state", is.State.String(), "why", string(is.Why))
	}
	return err
}

// classOfPost is what a call's result means for its schedule.
func classOfPost(r PostResult) fault.Class {
	switch r {
	case PostTaken:
		return fault.None
	case PostBusy:
		return fault.RateLimited
	case PostTimeout:
		return fault.Ambiguous
	default:
		return fault.Retryable
	}
}

// moveEndpoint is what a call means for all that goes to the same endpoint: it queues what changes, and
// answers the endpoint as it is then.
func (a *App) moveEndpoint(tx Tx, e Endpoint, r PostResult, m fulfil.Move) Endpoint {
	was := e
	switch {
	case e.State == EndpointDisabled:
	case m.Done && e.State == EndpointFailing:
		e = e.moved(EndpointActive, "", tx.Now())
		tx.ReleasePostings(e.ID)
	case m.Done:
		if !e.RestingUntil.IsZero() {
			tx.ReleasePostings(e.ID)
		}
		e.Failures, e.RestingUntil = 0, time.Time{}
	case r == PostGone:
		e = e.moved(EndpointDisabled, EndpointGone, tx.Now())
		tx.HoldPostings(e.ID)
	case e.State == EndpointFailing:
	case m.Dead:
		e = e.moved(EndpointFailing, EndpointExhausted, tx.Now())
		tx.HoldPostings(e.ID)
	default:
		if e.Failures++; e.Failures >= restAfter {
			rest := min(restFirst<<min(e.Failures-restAfter, 8), restLongest)
			e.RestingUntil = tx.Now().Add(a.wait(rest))
			tx.RestPostings(e.ID, e.RestingUntil)
		}
	}
	if e.State != was.State {
		e.Version, e.UpdatedAt = e.Version+1, tx.Now()
	}
	if e.State != was.State || e.Failures != was.Failures || !e.RestingUntil.Equal(was.RestingUntil) {
		tx.MoveEndpoint(e)
	}
	return e
}
