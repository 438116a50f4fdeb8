// Package app holds the verbs: one file each, named for what it does. A verb checks who asks, opens
// one transaction, moves the order by its tables and queues the work that follows. It knows the
// domain and the contracts of providers and payments; it knows no SQL, no broker, no HTTP and no
// mail: those come in through the ports of ports.go.
package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Deps are what the verbs work with. A process that only serves the API leaves Providers, Sealer,
// Credentials and Mailer's sending side unused; nothing is optional but where it says so.
type Deps struct {
	Store    Store
	Accounts Accounts
	Catalog  CatalogSource
	Webhooks WebhookStore
	Witness  WitnessLog // of the audit login alone
	Clock    Clock
	NewID    func() [16]byte // UUIDv7
	Random   io.Reader       // crypto/rand's, but in tests
	Log      *slog.Logger

	Installation string // part of every provider key; configuration, not a row (fulfilment.md, reaper)
	Placement    Placement
	Providers    map[string]provider.Provider
	Payments     map[string]payment.Provider

	Units       Units
	Sealer      Sealer
	Passphrases PassphraseReader // of the portal's login alone
	Credentials CredentialReader // of the delivery login alone
	Mailer      Mailer
	PortalURL   string // where passphrases are shown; told in delivery mails
	Consumers   func(context.Context) ([]ConsumerStatus, error)
	Poster      Poster      // where it may post is checked by every process, posting is the worker's
	Secrets     SecretBox   // of webhooks; nil: this installation has no key for them
	PostingJobs PostingJobs // of the worker's login
	Stats       StatsCache  // nil: every read asks the database
	Rollup      Rollup      // of the worker's login
	Notices     Notices     // of the worker's login

	// Listeners are the consumers that may have parked an event, by name: what a redrive applies it with.
	// Of the worker's login alone.
	Listeners map[string]Listener

	// Fallback is how long work waits for its event before it starts by itself (D20): 30 s.
	Fallback time.Duration
}

// Placement maps what was ordered to the account that builds new items of it; configuration, not code.
// An item stays with the account that its unit of work names, whatever the placement says later.
type Placement func(product, region string) (account string, ok bool)

// App carries the verbs. Whatever it keeps between two calls only spares the database; it may be used
// concurrently.
type App struct {
	Deps
	turns  Turnstile
	alarms alarms
	lanes  lanes
}

// New makes an App. It panics on a missing dependency that every process needs: that is a fault of
// the wiring, seen at start.
func New(d Deps) *App {
	if d.Store == nil || d.Clock == nil || d.NewID == nil || d.Random == nil || d.Log == nil {
		panic("app: store, clock, ids, randomness and log are required")
	}
	if d.Fallback == 0 {
		d.Fallback = 30 * time.Second
	}
	return &App{Deps: d}
}

// Now is the present moment by the process's clock.
func (a *App) Now() time.Time { return a.Clock.Now() }

func newID[T any](a *App) id.Of[T] { return id.Of[T](a.NewID()) }

// wait divides a wait of policy by the clock's speed.
func (a *App) wait(d time.Duration) time.Duration { return d / time.Duration(max(1, a.Clock.Speed())) }

// write runs a verb's transaction for a caller. With an idempotency key the answer, or the domain
// fault the verb ended with, commits together with the effect (api.md, Idempotency-Key 2 and 4).
func (a *App) write(ctx context.Context, c Caller, fn func(tx Tx) (*Dossier, error)) (*Dossier, error) {
	return write(ctx, a, c, fn)
}

func write[R any](ctx context.Context, a *App, c Caller, fn func(tx Tx) (R, error)) (R, error) {
	var result R
	var outcome error
	err := a.Store.InTenant(ctx, c.Tenant, With{Key: c.Key}, func(tx Tx) error {
		var err error
		outcome = nil
		if result, err = fn(tx); err != nil && (c.Key == nil || !stored(err)) {
			return err
		}
		if c.Key == nil {
			return nil
		}
		if outcome = err; err != nil {
			tx.Discard()
		}
		answer, err := c.Key.Encode(result, outcome)
		if err != nil {
			return fmt.Errorf("encode the answer: %w", err)
		}
		tx.Remember(answer)
		return nil
	})
	if err != nil {
		var none R
		return none, err
	}
	return result, outcome
}

// stored tells whether a fault is an outcome decided inside the transaction: a repetition gets it
// again. Who you are, what is absent and what is our fault is asked anew each time.
func stored(err error) bool {
	f := fault.Of(err)
	return f != nil && (f.Kind == fault.KindInvalid || f.Kind == fault.KindConflict || f.Kind == fault.KindPrecondition) &&
		f.Code != fault.CodeKeyInUse && f.Code != fault.CodeKeyReused
}

// Precondition is the version a caller believes an order to be at.
type Precondition struct {
	Version *int // of the body: a mismatch is 409 (D23)
	IfMatch *int // of the header: a mismatch is 412
}

func (p Precondition) check(current int) error {
	changed := func(k fault.Kind, code string, believed int) error {
		e := fault.New(k, code, "It is at version %d, not %d. Read it again, then decide.", current, believed)
		e.Members = map[string]any{"current_version": current}
		return e
	}
	if p.IfMatch != nil && *p.IfMatch != current {
		return changed(fault.KindPrecondition, "precondition-failed", *p.IfMatch)
	}
	if p.Version != nil && *p.Version != current {
		return changed(fault.KindConflict, fault.CodeVersionConflict, *p.Version)
	}
	return nil
}

// onOrder is the shape of most verbs: permission, lock, whose order it is, version, then the move.
// change reports whether anything moved; a no-op is answered and not saved.
func (a *App) onOrder(ctx context.Context, c Caller, p Permission, o order.ID, pre Precondition, also Also, change func(tx Tx, d *Dossier) (changed bool, err error)) (*Dossier, error) {
	if err := a.may(c.Actor, p); err != nil {
		return nil, err
	}
	return a.write(ctx, c, func(tx Tx) (*Dossier, error) {
		d, err := tx.LockOrder(ctx, o, also)
		if err != nil {
			return nil, err
		}
		if !a.sees(c.Actor, d.Order) {
			return nil, fault.Absent()
		}
		if err := c.keyDemanded(d.Settings); err != nil {
			return nil, err
		}
		if err := pre.check(d.Order.Version); err != nil {
			return nil, err
		}
		changed, err := change(tx, d)
		if err != nil || !changed {
			return d, err
		}
		return d, a.save(tx, d, c.cause())
	})
}

// save numbers the version, turns what the aggregate recorded into event rows, adds the work those
// events call for, and queues it all.
func (a *App) save(tx Tx, d *Dossier, by event.Cause) error {
	d.Order.Version++
	d.Order.UpdatedAt = tx.Now()
	if err := a.record(tx, d, by); err != nil {
		return err
	}
	tx.Save(d)
	return nil
}

func (a *App) record(tx Tx, d *Dossier, by event.Cause) error {
	if by.Correlation.IsZero() {
		by.Correlation = event.ID(d.Order.ID)
	}
	for _, e := range d.Order.TakeEvents() {
		rec, err := event.Of(d.Order, e, by, newID[order.Event](a), tx.Now())
		if err != nil {
			return err
		}
		d.Added.Events = append(d.Added.Events, rec)
		if err := a.workFor(d, e, rec, tx.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Unit finds a unit of the dossier by its id, or nil.
func (d *Dossier) Unit(u fulfil.UnitID) *fulfil.Unit {
	for i := range d.Units {
		if d.Units[i].ID == u {
			return &d.Units[i]
		}
	}
	return nil
}

// ProvisionUnit is the newest unit that provisions an item, or nil before provisioning.
func (d *Dossier) ProvisionUnit(it order.ItemID) *fulfil.Unit {
	return d.last(func(u fulfil.Unit) bool { return u.Kind == fulfil.Provision && u.Item == it })
}

// ValidateUnit is the unit that will validate the order, while it is still to come, or nil.
func (d *Dossier) ValidateUnit() *fulfil.Unit {
	return d.last(func(u fulfil.Unit) bool { return u.Kind == fulfil.Validate && u.Live() })
}

func (d *Dossier) last(match func(fulfil.Unit) bool) *fulfil.Unit {
	var found *fulfil.Unit
	for i := range d.Units {
		if match(d.Units[i]) && (found == nil || d.Units[i].ID.String() > found.ID.String()) {
			found = &d.Units[i]
		}
	}
	return found
}
