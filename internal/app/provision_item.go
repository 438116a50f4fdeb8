package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// credentialsStep is the last step of every item: fetch and seal what the customer needs to get in.
const credentialsStep = "credentials"

// attemptTime is how long one attempt may begin new turns; a call may take CallTimeout more, and the
// job's own time-out is longer than both (fulfilment.md, River).
const attemptTime = 4 * time.Second

// ProvisionItem takes an item's unit as far as it goes now: one step, one call, one commit at a time.
// wait < 0 means the unit is over; else it is due again after wait. An intent without a result is
// looked at and never called again.
func (a *App) ProvisionItem(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (wait time.Duration, err error) {
	stop := a.Clock.Now().Add(attemptTime)
	for {
		d, u, err := a.load(ctx, t, unit)
		if err != nil || u == nil || !u.Live() {
			return -1, err
		}
		now := a.Clock.Now()
		if wait := u.NextAt.Sub(now); wait > 0 || now.After(stop) {
			return max(0, wait), nil
		}
		if u.Undoing && a.newerLeft(d, u) {
			return a.wait(time.Second), nil // last provisioned goes first, across the items of one order
		}
		p, ok := a.Providers[u.Queue]
		if !ok {
			return 0, fmt.Errorf("provider %q of unit %s is not configured here", u.Queue, u.ID)
		}
		caps := p.Capabilities()
		// The call's time starts before its intent commits: a process frozen in between wakes with a
		// dead context instead of a late call.
		callCtx, cancel := context.WithTimeout(ctx, caps.CallTimeout)
		perform := !u.Sent
		if perform {
			if d, err = a.commitProvision(ctx, *u, fulfil.Intend(*u, now)); err != nil {
				cancel()
				return 0, err
			}
			if d, u, err = a.withPlan(d, d.Unit(unit)); err != nil {
				cancel()
				return 0, err
			}
		}
		r := a.turn(callCtx, p, d, u, perform)
		cancel()
		if ctx.Err() != nil {
			return 0, ctx.Err() // stopping: the intent stands, the next worker looks
		}
		if r.At.IsZero() {
			r.At = a.Clock.Now()
		}
		if r.Took == 0 {
			r.Took = a.Clock.Now().Sub(now)
		}
		if _, err = a.commitProvision(ctx, *u, fulfil.Next(*u, tuned(*u, r))); err != nil {
			return 0, err
		}
	}
}

func (a *App) load(ctx context.Context, t tenant.ID, unit fulfil.UnitID) (*Dossier, *fulfil.Unit, error) {
	d, err := a.Units.Load(ctx, t, unit)
	if err != nil {
		if f := fault.Of(err); f != nil && f.Kind == fault.KindNotFound {
			return nil, nil, nil
		}
		return nil, nil, err
	}
	return a.withPlan(d, d.Unit(unit))
}

// withPlan fills in what is not stored: the plan's parts and the policy's times.
func (a *App) withPlan(d *Dossier, u *fulfil.Unit) (*Dossier, *fulfil.Unit, error) {
	if u == nil {
		return d, nil, nil
	}
	u.Speed = a.Clock.Speed()
	it := d.Order.Find(u.Item)
	if u.Kind != fulfil.Provision || it == nil {
		return d, u, nil
	}
	if u.Parts = a.partsOf(d, u.Item); len(u.Parts) == 0 {
		return nil, nil, fmt.Errorf("provider %q has no plan for %s", u.Queue, it.Snapshot.Product)
	}
	if u.Undoing { // turned back by a process that does not know the plan: an item that was up starts at its last step
		u.Step = min(u.Step, len(u.Parts)-1)
	}
	u.Limit, u.CapacityLimit = it.Snapshot.Deadline(), it.Snapshot.CapacityWait()
	if caps, ok := a.capabilities(u.Queue); ok {
		u.DeleteTimeout = caps.DeleteTimeout
	}
	return d, u, nil
}

func (a *App) capabilities(queue string) (provider.Capabilities, bool) {
	p, ok := a.Providers[queue]
	if !ok {
		return provider.Capabilities{}, false
	}
	return p.Capabilities(), true
}

// partsOf names an item's steps: the adapter's plan, then the credentials. A process without
// providers (the API's) gets nil, and leaves the step of a unit where it is.
func (a *App) partsOf(d *Dossier, item order.ItemID) []string {
	steps, err := a.plan(d, d.Order.Find(item))
	if err != nil || len(steps) == 0 {
		return nil
	}
	names := make([]string, 0, len(steps)+1)
	for _, s := range steps {
		names = append(names, s.Part)
	}
	return append(names, credentialsStep)
}

// plan is made by the account that the item began with, as its unit of work records it; what the
// configuration places elsewhere today concerns new items alone. Without that account here it is empty.
func (a *App) plan(d *Dossier, it *order.Item) ([]provider.Step, error) {
	p, ok := a.Providers[d.queueOf(it.ID)]
	if !ok {
		return nil, nil
	}
	return p.Plan(specOf(d.Order, it), a.keyOf(d.Order, it, ""))
}

func specOf(o *order.Order, it *order.Item) provider.Spec {
	s := it.Snapshot
	return provider.Spec{
		Product: s.Product, Plan: s.Plan, Region: s.Region, Configuration: s.Configuration,
		Labels: map[string]string{"tenant": o.Tenant.String(), "order": o.ID.String(), "item": it.ID.String(), "label": it.Label},
	}
}

func (a *App) keyOf(o *order.Order, it *order.Item, part string) provider.Key {
	return provider.Key{Installation: a.Installation, Tenant: o.Tenant.String(), Order: o.ID.String(), Item: it.ID.String(), Part: part, Generation: it.Generation}
}

// newerLeft tells whether another item of the order, going back too, still has a younger resource:
// the last provisioned is rolled back first. Stuck units are skipped, so nothing waits for a person.
func (a *App) newerLeft(d *Dossier, u *fulfil.Unit) bool {
	mine := d.youngest(u.ID)
	for _, other := range d.Units {
		if other.ID == u.ID || other.Kind != fulfil.Provision || !other.Undoing || !other.Live() {
			continue
		}
		theirs := d.youngest(other.ID)
		if theirs.After(mine) || theirs.Equal(mine) && !theirs.IsZero() && other.ID.String() > u.ID.String() {
			return true // of two asked for in the same moment the one that was handed out later
		}
	}
	return false
}

// youngest is when the unit's newest resource that is not gone was asked for.
func (d *Dossier) youngest(u fulfil.UnitID) time.Time {
	var t time.Time
	for _, p := range d.Parts {
		if p.Unit == u && p.Phase != fulfil.Gone && p.Phase != fulfil.Deleting && p.CalledAt.After(t) {
			t = p.CalledAt
		}
	}
	return t
}

// turn does or looks at the unit's present step, in its direction.
func (a *App) turn(ctx context.Context, p provider.Provider, d *Dossier, u *fulfil.Unit, perform bool) fulfil.Result {
	it := d.Order.Find(u.Item)
	if u.Claim.Ref != "" {
		return a.judge(ctx, p, d, u, it)
	}
	if u.Parts[u.Step] == credentialsStep {
		if u.Undoing {
			return fulfil.Result{Class: fault.None, Note: "credentials discarded"}
		}
		return a.sealCredentials(ctx, p, d, u, it)
	}
	steps, err := a.plan(d, it)
	if err != nil {
		return failed(err)
	}
	s := steps[u.Step]
	for _, earlier := range steps[:u.Step] {
		s.Needs = append(s.Needs, provider.Ref(d.refOf(u.ID, earlier.Part)))
	}
	part := d.newestPart(u.ID, s.Part)
	switch {
	case u.Undoing && part == nil:
		return fulfil.Result{Class: fault.None, Note: "never begun"}
	case u.Undoing && perform:
		return a.remove(ctx, p, s, u, part)
	case u.Undoing:
		return a.lookGone(ctx, p, s, part)
	case perform:
		return a.create(ctx, p, s)
	default:
		return a.lookReady(ctx, p, s, part)
	}
}

func (d *Dossier) refOf(u fulfil.UnitID, part string) string {
	if p := d.newestPart(u, part); p != nil && len(p.Refs) > 0 {
		return p.Refs[0]
	}
	return ""
}

// create asks for the part: the adapter adopts what its key names, else sends one mutating request.
func (a *App) create(ctx context.Context, p provider.Provider, s provider.Step) fulfil.Result {
	var learnt provider.Ref
	ref, err := p.Create(ctx, s, provider.JournalFunc(func(_ context.Context, r provider.Ref) error { learnt = r; return nil }))
	if err == nil {
		return fulfil.Result{Class: fault.Pending, After: p.Capabilities().PollEvery, Ref: string(ref), Phase: fulfil.Created, Note: "accepted", Detail: s.Part + " is being built"}
	}
	r := failed(err)
	r.Ref = string(learnt)
	switch r.Class {
	case fault.RateLimited, fault.Parked:
		r.NotSent = true
	case fault.NotFound:
		r.Class = fault.Invalid // a missing image or network will not appear by asking again
	case fault.Pending:
		r.After = p.Capabilities().PollEvery
	default: // as the class says
	}
	return r
}

// lookReady reads what became of a create whose intent stands in the journal.
func (a *App) lookReady(ctx context.Context, p provider.Provider, s provider.Step, part *fulfil.Part) fulfil.Result {
	caps := p.Capabilities()
	known := ""
	if part != nil && len(part.Refs) > 0 {
		known = part.Refs[0]
	}
	obs, err := p.Observe(ctx, s, "")
	if err != nil {
		r := failed(err)
		if r.Class != fault.RateLimited && r.Class != fault.Parked { // a fault of a read says nothing of the resource
			r.Class, r.After = fault.Ambiguous, caps.PollEvery
		}
		return r
	}
	r := fulfil.Result{Progress: int(obs.Progress), Detail: obs.Detail, After: caps.PollEvery, Class: fault.Pending}
	switch obs.Phase {
	case provider.Ready:
		if len(obs.Matches) > 1 { // keep one of N: the journaled one, else the oldest
			return a.removeTwins(ctx, p, s, obs.Matches, known, r)
		}
		return fulfil.Result{Class: fault.None, Ref: string(obs.Matches[0]), Phase: fulfil.PartDone, Note: "ready"}
	case provider.Failed:
		r.Phase, r.Note = fulfil.Deleting, "a failed resource is being removed"
		err := p.Delete(ctx, s, "")
		if err != nil && provider.ClassOf(err) != fault.NotFound {
			r.Note = "removing a failed resource: " + provider.ClassOf(err).String()
		} else if obs.Fault != nil && obs.Fault.Class == fault.Capacity {
			// No room is a wait of its own. The next try has a new generation; should the corpse outlive
			// its delete, it is found beside the new one and removed as a twin.
			r.Class, r.Corpse, r.Note = fault.Capacity, true, "no room; the failed resource is being removed"
		}
		return r
	case provider.Absent:
		switch {
		case part != nil && part.Phase == fulfil.Deleting:
			return fulfil.Result{Class: fault.Retryable, Corpse: true, Note: "the resource failed and was removed"}
		case known != "":
			r.Note = "accepted, not visible yet" // keeps looking until the deadline
			return r
		case s.Naming == provider.NamingNone && part != nil && a.Clock.Now().Before(part.SettleUntil):
			r.Class, r.Note = fault.Ambiguous, "no answer and nothing found yet"
			return r
		}
		called := a.Clock.Now()
		if part != nil {
			called = part.CalledAt
		}
		return fulfil.Result{Class: fault.Retryable, Note: "nothing was made", At: called} // looking eats into the backoff
	default: // being made, or on its way out: look again
	}
	if len(obs.Matches) > 0 {
		r.Ref = string(obs.Matches[0])
	}
	return r
}

func (a *App) removeTwins(ctx context.Context, p provider.Provider, s provider.Step, matches []provider.Ref, known string, r fulfil.Result) fulfil.Result {
	keep := matches[0]
	for _, m := range matches {
		if string(m) == known {
			keep = m
		}
	}
	for _, m := range matches {
		if m != keep {
			if err := p.Delete(ctx, s, m); err != nil {
				r.Note = "removing a twin: " + provider.ClassOf(err).String()
				return r
			}
		}
	}
	r.Ref, r.Note = string(keep), "a twin is being removed"
	return r
}

// remove asks for the removal of everything the part's key names; nothing there is success too, but
// lookGone says so. What is left after that is asked for by the id in the journal where no list shows it.
func (a *App) remove(ctx context.Context, p provider.Provider, s provider.Step, u *fulfil.Unit, part *fulfil.Part) fulfil.Result {
	var ref provider.Ref
	if u.Try > 0 {
		ref = unlisted(ctx, p, s, part)
	}
	err := p.Delete(ctx, s, ref)
	if err == nil || provider.ClassOf(err) == fault.NotFound {
		return fulfil.Result{Class: fault.Pending, Phase: fulfil.Deleting, Note: "delete accepted"}
	}
	r := failed(err)
	switch r.Class {
	case fault.RateLimited, fault.Parked:
		r.NotSent = true
	case fault.Ambiguous, fault.Pending:
		r.After = p.Capabilities().PollEvery // before looking what became of it
	default: // as the class says
	}
	return r
}

// unlisted is a resource of the part that answers by its id while a list by key shows nothing; else
// empty. A read that fails finds nothing: the delete by key then goes first again.
func unlisted(ctx context.Context, p provider.Provider, s provider.Step, part *fulfil.Part) provider.Ref {
	obs, err := p.Observe(ctx, s, "")
	if err != nil || obs.Phase != provider.Absent {
		return ""
	}
	for _, ref := range part.Refs {
		if obs, err = p.Observe(ctx, s, provider.Ref(ref)); err == nil && obs.Phase != provider.Absent {
			return provider.Ref(ref)
		}
	}
	return ""
}

// twoSightings is how far apart the two empty looks after an unanswered create must be (fulfilment.md,
// Gone).
const twoSightings = 10 * time.Second

// lookGone confirms absence: by key and, lists being late at times, by every id in the journal. A part
// whose create was never answered may still appear: it takes two empty looks, the second after the
// settle window.
func (a *App) lookGone(ctx context.Context, p provider.Provider, s provider.Step, part *fulfil.Part) fulfil.Result {
	caps := p.Capabilities()
	obs, err := p.Observe(ctx, s, "")
	for _, ref := range part.Refs {
		if err == nil && obs.Phase == provider.Absent {
			obs, err = p.Observe(ctx, s, provider.Ref(ref))
		}
	}
	if err != nil {
		r := failed(err)
		if r.Class != fault.RateLimited && r.Class != fault.Parked {
			r.Class, r.After = fault.Pending, caps.PollEvery
		}
		return r
	}
	switch obs.Phase {
	case provider.Absent:
		if now := a.Clock.Now(); len(part.Refs) == 0 && (now.Before(part.SettleUntil) || part.AbsentSince.IsZero() || now.Sub(part.AbsentSince) < a.wait(twoSightings)) {
			return fulfil.Result{Class: fault.Pending, After: caps.PollEvery, Absent: true, Note: "nothing found; looking again, the create was never answered"}
		}
		return fulfil.Result{Class: fault.None, Phase: fulfil.Gone, Note: "confirmed absent"}
	case provider.Deleting:
		return fulfil.Result{Class: fault.Pending, After: caps.PollEvery, Phase: fulfil.Deleting, Note: "being removed"}
	default:
	}
	// Still there: the delete did not take. Another one is another call, with a retry's wait before it.
	return fulfil.Result{Class: fault.Retryable, Note: "still there after the delete"}
}

func (a *App) sealCredentials(ctx context.Context, p provider.Provider, d *Dossier, u *fulfil.Unit, it *order.Item) fulfil.Result {
	var refs []provider.Ref
	for _, part := range u.Parts[:len(u.Parts)-1] {
		refs = append(refs, provider.Ref(d.refOf(u.ID, part)))
	}
	secret, err := p.Credentials(ctx, refs)
	if err != nil {
		r := failed(err)
		if r.Class == fault.Ambiguous { // a read: asking again does no harm
			r.Class = fault.Retryable
		}
		if r.Class == fault.Pending {
			r.After = p.Capabilities().PollEvery
		}
		return r
	}
	sealed, err := a.Sealer.Seal(ctx, Sealing{Tenant: d.Order.Tenant, Order: d.Order.ID, Item: it.ID, Kind: "credential", Generation: it.Generation}, secret.Reveal())
	if err != nil {
		a.Log.ErrorContext(ctx, "seal credentials", "order", d.Order.ID.String(), "item", it.ID.String(), "error", err)
		return fulfil.Result{Class: fault.Retryable, Note: "the credentials could not be sealed"}
	}
	return fulfil.Result{Class: fault.None, Sealed: sealed, Note: "credentials sealed"}
}

// failed turns an adapter's error into a result: its class, and words of our own.
func failed(err error) fulfil.Result {
	r := fulfil.Result{Class: provider.ClassOf(err)}
	var e *provider.Error
	if errors.As(err, &e) {
		r.After, r.Code = e.After, e.Code
	}
	r.Note = "the provider answered: " + r.Class.String()
	if r.Code != "" {
		r.Note += " (" + r.Code + ")"
	}
	if (r.Class == fault.RateLimited || r.Class == fault.Parked || r.Class == fault.Pending) && r.After == 0 {
		r.After = 2 * time.Second
	}
	return r
}

// tuned turns a part's progress into the item's, and cuts a wait for capacity to the lane's next one
// and to what is left of its limit.
func tuned(u fulfil.Unit, r fulfil.Result) fulfil.Result {
	if !u.Undoing && len(u.Parts) > 0 {
		if r.Class == fault.None {
			r.Progress = 100
		}
		r.Progress = (u.Step*100 + r.Progress) / len(u.Parts)
	}
	if r.Class == fault.Capacity {
		r.After = min(fulfil.CapacityWait(u.Waited), max(0, u.CapacityLimit-u.Waited))
	}
	return r
}
