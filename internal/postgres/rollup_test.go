package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// allEvents returns a tenant's events as they are on the topic, order by order.
func allEvents(t testing.TB, s *postgres.DB, org pgtest.Org) []event.Event {
	t.Helper()
	var all []event.Event
	filter := app.OrderFilter{Limit: 100, Deleted: true}
	for {
		page := must(s.Orders(t.Context(), org.ID, filter))
		for _, agg := range page.Data {
			for _, r := range must(s.Events(t.Context(), org.ID, agg.Order.ID, 0, 1000)) {
				all = append(all, eventOf(r))
			}
		}
		if filter.Cursor = page.Next; page.Next == "" {
			return all
		}
	}
}

// shop is a tenant with orders that the test changes.
type shop struct {
	t      *testing.T
	db     *pgtest.DB
	api    *postgres.DB
	worker *postgres.DB
	org    pgtest.Org
	orders []order.ID
}

func newShop(t *testing.T, db *pgtest.DB, slug, zone string) *shop {
	t.Helper()
	return (&shop{t: t, db: db, api: db.API(t), worker: db.Worker(t)}).addShop(slug, zone)
}

// addShop returns another tenant of the same database, which uses the same pools.
func (s *shop) addShop(slug, zone string) *shop {
	s.t.Helper()
	other := &shop{t: s.t, db: s.db, api: s.api, worker: s.worker}
	other.org = s.db.Seed(s.t, s.api, slug)
	other.setTimeZone(zone)
	return other
}

// setTimeZone changes the tenant's time zone.
func (s *shop) setTimeZone(zone string) {
	s.t.Helper()
	settings := must(s.api.Settings(s.t.Context(), s.org.ID))
	settings.TimeZone, settings.Version = zone, settings.Version+1
	putSettings(s.t, s.api, s.org, settings)
}

func (s *shop) setTime(moment string) *shop {
	s.t.Helper()
	s.db.Clock.Set(must(time.Parse(time.RFC3339, moment)))
	return s
}

// create adds a draft with a number of items in a currency.
func (s *shop) create(items int, cur money.Currency) order.ID {
	s.t.Helper()
	agg := draft(s.db, s.org, items)
	agg.Order.Currency, agg.Added.Events = cur, nil
	agg.Order.LastSeq = 0
	agg.Order.Record(order.Event{Type: order.EvCreated, From: order.Draft})
	recordEvents(s.db, agg)
	insert(s.t, s.api, agg)
	s.orders = append(s.orders, agg.Order.ID)
	return agg.Order.ID
}

func (s *shop) change(o order.ID, fn func(o *order.Order)) {
	s.t.Helper()
	change(s.t, s.api, s.db, s.org, o, app.Also{}, func(agg *app.Aggregate) { fn(agg.Order) })
}

func (s *shop) fire(o order.ID, on order.Trigger) {
	s.t.Helper()
	s.change(o, func(o *order.Order) {
		if _, err := o.Fire(on, "test"); err != nil {
			s.t.Fatal(err)
		}
	})
}

// pay confirms a payment that was made at a time. Its amount differs from the order's by off cents.
func (s *shop) pay(o order.ID, at time.Time, off money.Cents) {
	s.t.Helper()
	s.change(o, func(o *order.Order) {
		p, err := o.Pay(order.Payment{
			ID: newID[order.Payment](s.db), Provider: "manual", Reference: fmt.Sprintf("%x", s.db.Clock.NewID()),
			Method: "bank_transfer", Paid: o.Due + off, Currency: o.Currency, PaidAt: at,
		})
		if err != nil {
			s.t.Fatal(err)
		}
		if err := o.Confirm(p); err != nil {
			s.t.Fatal(err)
		}
	})
}

func (s *shop) revert(o order.ID) {
	s.t.Helper()
	s.change(o, func(o *order.Order) {
		if err := o.Revert("test"); err != nil {
			s.t.Fatal(err)
		}
	})
}

// compensate fails an item, requests its refund unless there is one, and moves the refund through the given states.
func (s *shop) compensate(o order.ID, item int, states ...order.RefundState) {
	s.t.Helper()
	s.change(o, func(o *order.Order) {
		it := &o.Items[item]
		_ = o.MoveItem(it, order.Unrecoverable, order.ItemFact{}, "test") // has failed already the second time
		r := o.RefundOf(it.ID)
		if r == nil {
			r = o.RequestRefund(newID[order.Refund](s.db), it, "test")
		}
		for _, to := range states {
			o.MoveRefund(r, to, "", s.db.Clock.Now(), "test")
		}
	})
}

func (s *shop) events() []event.Event { return allEvents(s.t, s.worker, s.org) }

// project makes the worker project events.
func (s *shop) project(evs []event.Event) app.Handled {
	s.t.Helper()
	return must(s.worker.ProjectEvents(s.t.Context(), evs))
}

// wantCounted requires the figures of the roll-up to be those of the tables.
func (s *shop) wantCounted(now time.Time) {
	s.t.Helper()
	got := must(s.api.OrderStats(s.t.Context(), s.org.ID, now))
	if diff := cmp.Diff(must(s.api.CountOrderStats(s.t.Context(), s.org.ID, now)), got); diff != "" {
		s.t.Errorf("figures of %s at %s (-tables +roll-up):\n%s", s.org.Slug, now, diff)
	}
	want := app.RollupCheck{Backfilled: true}
	if diff := cmp.Diff(want, must(s.worker.CheckRollup(s.t.Context(), s.org.ID))); diff != "" {
		s.t.Errorf("roll-up of %s (-want +got):\n%s", s.org.Slug, diff)
	}
}

// captured returns the sums of the roll-up that were captured and refunded, in cents.
func (s *shop) captured() (captured, refunded int64) {
	s.t.Helper()
	err := s.db.Super(s.t).QueryRow(s.t.Context(), `
		SELECT sum(captured_cents)::bigint, sum(refunded_cents)::bigint
		FROM revenue_daily
		WHERE tenant_id = $1`, s.org.ID.String()).Scan(&captured, &refunded)
	if err != nil {
		s.t.Fatal(err)
	}
	return captured, refunded
}

// step makes one random change that is legal: it creates an order or moves one.
func (s *shop) step(r *rand.Rand) {
	s.t.Helper()
	now := s.db.Clock.Now()
	if len(s.orders) < 3 || r.IntN(4) == 0 {
		s.create(1+r.IntN(3), []money.Currency{"EUR", "EUR", "CHF", "JPY"}[r.IntN(4)])
		return
	}
	id := s.orders[r.IntN(len(s.orders))]
	agg := must(s.api.Order(s.t.Context(), s.org.ID, id))
	o := agg.Order
	switch {
	case o.Closing != order.NotClosing, o.State == order.Provisioning:
		item := r.IntN(len(o.Items))
		nextStates := map[order.RefundState][]order.RefundState{
			order.RefundRequested: {order.RefundAccepted, order.RefundStuck},
			order.RefundAccepted:  {order.RefundCompleted, order.RefundStuck},
			order.RefundStuck:     {order.RefundRequested},
		}
		if f := o.RefundOf(o.Items[item].ID); f == nil {
			s.compensate(id, item)
		} else if next := nextStates[f.State]; len(next) > 0 {
			s.compensate(id, item, next[r.IntN(len(next))])
		}
		s.change(id, func(o *order.Order) { o.Resettle("test") })
	case o.State == order.Draft && r.IntN(2) == 0:
		s.change(id, func(o *order.Order) { // an edit, which may change the currency too
			o.Currency, o.Due = []money.Currency{"EUR", "CHF"}[r.IntN(2)], o.Due+money.Cents(r.IntN(500))
			o.Record(order.Event{Type: order.EvUpdated, From: order.Draft})
		})
	case o.State == order.Draft:
		s.fire(id, []order.Trigger{order.Submit, order.Submit, order.Cancel}[r.IntN(3)])
	case o.State == order.PendingPayment && r.IntN(5) == 0:
		s.fire(id, []order.Trigger{order.Cancel, order.Expire}[r.IntN(2)])
	case o.State == order.PendingPayment:
		s.pay(id, now.Add(-time.Duration(r.IntN(72*60))*time.Minute), money.Cents(r.IntN(3)-1)*money.Cents(r.IntN(90)))
	case o.State == order.PaymentConfirmed && r.IntN(3) == 0:
		s.fire(id, order.BeginValidation)
	case o.State == order.PaymentConfirmed, o.State == order.Validating && r.IntN(2) == 0:
		if r.IntN(2) == 0 {
			s.revert(id)
			return
		}
		s.fire(id, order.Cancel)
	case o.State == order.Validating:
		s.fire(id, []order.Trigger{order.PassValidation, order.RejectValidation}[r.IntN(2)])
	case o.State == order.Cancelled && o.Settlement == order.SettlementSettled:
		s.change(id, func(o *order.Order) {
			for i := range o.Items {
				// returns an error for an item that was never compensated, which is still pending
				_ = o.MoveItem(&o.Items[i], order.RestoreItem, order.ItemFact{}, "test")
			}
			if p := o.LivePayment(); p != nil {
				p.State = order.PaymentSpent
			}
			if _, err := o.Fire(order.Restore, "test"); err != nil {
				s.t.Fatal(err)
			}
		})
	}
}

// deliver projects events as a topic may deliver them: the orders are interleaved, the events of each order are in
// sequence, the batches have any size, and some stretches come twice.
func deliver(r *rand.Rand, worker *postgres.DB, evs []event.Event) error {
	byOrder := map[order.ID][]event.Event{}
	var ids []order.ID
	for _, ev := range evs {
		if byOrder[ev.Order] == nil {
			ids = append(ids, ev.Order)
		}
		byOrder[ev.Order] = append(byOrder[ev.Order], ev)
	}
	var topic []event.Event
	for len(ids) > 0 {
		i := r.IntN(len(ids))
		id := ids[i]
		topic = append(topic, byOrder[id][0])
		if byOrder[id] = byOrder[id][1:]; len(byOrder[id]) == 0 {
			ids = slices.Delete(ids, i, i+1)
		}
	}
	for at := 0; at < len(topic); {
		n := min(1+r.IntN(60), len(topic)-at)
		if _, err := worker.ProjectEvents(context.Background(), topic[at:at+n]); err != nil {
			return err
		}
		if at += n; r.IntN(4) == 0 {
			at = max(0, at-r.IntN(80))
		}
	}
	return nil
}

// The days are at the end of a year, when the first ISO week of the next one begins, and on days on which clocks
// are put forward and back. The zones are far apart, and one of them has midnight twice on such a day.
func TestFiguresEqualARecountAfterRandomDays(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Ljubljana", "America/Havana", "Pacific/Auckland", "America/St_Johns", "Asia/Kathmandu"}
	for seed, began := range []string{
		"2025-12-27T20:00:00Z", "2026-03-27T20:00:00Z", "2026-10-31T01:00:00Z", "2026-04-04T01:00:00Z",
	} {
		t.Run(began, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(seed), 25))
			db := pgtest.New(t)
			db.Clock.Set(must(time.Parse(time.RFC3339, began)))
			var shops []*shop
			for i, slug := range []string{"alpha", "beta", "gamma"} {
				shops = append(shops, newShop(t, db, slug, zones[(seed+i)%len(zones)]))
			}
			var evs []event.Event
			for half := range 2 {
				for range 220 {
					db.Clock.Advance(time.Duration(r.IntN(50*60)) * time.Second)
					shops[r.IntN(len(shops))].step(r)
				}
				for _, s := range shops {
					evs = append(evs, s.events()...)
				}
				// Two consumers at once: one has lost its partitions and does not know it yet.
				var consumers sync.WaitGroup
				for member := range 2 {
					random := rand.New(rand.NewPCG(uint64(seed), uint64(half*2+member)))
					consumers.Go(func() {
						if err := deliver(random, shops[0].worker, evs); err != nil {
							t.Errorf("deliver: %v", err)
						}
					})
				}
				consumers.Wait()
				for _, s := range shops {
					for _, later := range []time.Duration{0, 3 * time.Hour, 30 * time.Hour, 6 * 24 * time.Hour} {
						s.wantCounted(db.Clock.Now().Add(later))
					}
				}
				shops[half].setTimeZone(zones[(seed+half+3)%len(zones)])
				stale := must(shops[0].worker.StaleRollups(t.Context()))
				if diff := cmp.Diff(shops[half].org.ID, stale[0]); diff != "" || len(stale) != 1 {
					t.Errorf("tenants to be counted again: %v, want only %s", stale, shops[half].org.ID)
				}
				if err := shops[0].worker.Recount(t.Context(), shops[half].org.ID); err != nil {
					t.Fatal(err)
				}
				shops[half].wantCounted(db.Clock.Now())
			}
		})
	}
}

func TestTheWholeTopicTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "UTC")
	if err := s.worker.Recount(t.Context(), s.org.ID); err != nil {
		t.Fatal(err)
	}
	o := s.create(2, "EUR")
	s.fire(o, order.Submit)
	s.pay(o, s.db.Clock.Now(), 0)
	s.compensate(o, 1, order.RefundAccepted)
	all := s.events()
	n := len(all)
	if diff := cmp.Diff(app.Handled{Applied: n}, s.project(all)); diff != "" {
		t.Errorf("first time (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(app.Handled{Duplicates: n}, s.project(all)); diff != "" {
		t.Errorf("second time (-want +got):\n%s", diff)
	}
	if captured, refunded := s.captured(); captured != 40_20 || refunded != 20_10 {
		t.Errorf("captured %d, refunded %d; want 4020 and 2010", captured, refunded)
	}
	s.wantCounted(s.db.Clock.Now())
}

// The effect is not idempotent by itself: without checkpoints, events that are read again are counted again. If
// this test fails, the ones above prove nothing.
func TestWithoutCheckpointsTheMoneyIsCountedTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "UTC")
	if err := s.worker.Recount(t.Context(), s.org.ID); err != nil {
		t.Fatal(err)
	}
	o := s.create(2, "EUR")
	s.fire(o, order.Submit)
	s.pay(o, s.db.Clock.Now(), 0)
	all := s.events()
	s.project(all)
	if _, err := s.db.Super(t).Exec(t.Context(), `DELETE FROM inbox WHERE consumer = 'portal-analytics'`); err != nil {
		t.Fatal(err)
	}
	s.project(all)
	if captured, _ := s.captured(); captured != 2*40_20 {
		t.Errorf("captured %d, want twice 4020", captured)
	}
	check := must(s.worker.CheckRollup(t.Context(), s.org.ID))
	want := app.RollupCheck{Backfilled: true, Differences: []app.RollupDifference{
		{
			Day: "2026-03-02", What: "revenue", Tables: "captured 40.20 EUR, refunded 0.00 EUR",
			Rollup: "captured 80.40 EUR, refunded 0.00 EUR",
		},
	}}
	if diff := cmp.Diff(want, check); diff != "" || check.Holds() {
		t.Errorf("result of the check (-want +got):\n%s", diff)
	}
	if err := s.worker.Recount(t.Context(), s.org.ID); err != nil {
		t.Fatal(err)
	}
	s.wantCounted(s.db.Clock.Now())
}

func TestARefundThatBouncesIsSubtractedFromItsDay(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "Europe/Ljubljana")
	o := s.setTime("2026-03-02T12:00:00Z").create(1, "EUR")
	s.fire(o, order.Submit)
	s.pay(o, s.db.Clock.Now(), 0)
	s.project(s.events())
	days := func() map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		rows, err := s.db.Super(t).Query(t.Context(), `
			SELECT day::text, refunded_cents
			FROM revenue_daily
			WHERE refunded_cents <> 0`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var day string
			var cents int64
			if err := rows.Scan(&day, &cents); err != nil {
				t.Fatal(err)
			}
			got[day] = cents
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, step := range []struct {
		at   string
		to   order.RefundState
		want map[string]int64
	}{
		{"2026-03-03T23:30:00Z", order.RefundAccepted, map[string]int64{"2026-03-04": 20_10}}, // half past midnight there
		{"2026-03-05T12:00:00Z", order.RefundStuck, map[string]int64{}},
		{"2026-03-06T12:00:00Z", order.RefundRequested, map[string]int64{}},
		{"2026-03-07T12:00:00Z", order.RefundStuck, map[string]int64{}},
		{"2026-03-08T12:00:00Z", order.RefundRequested, map[string]int64{}},
		// the day on which it was first accepted stays
		{"2026-03-09T12:00:00Z", order.RefundAccepted, map[string]int64{"2026-03-04": 20_10}},
		{"2026-03-10T12:00:00Z", order.RefundCompleted, map[string]int64{"2026-03-04": 20_10}},
	} {
		s.setTime(step.at).compensate(o, 0, step.to)
		s.project(s.events())
		if diff := cmp.Diff(step.want, days()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.at, diff)
		}
		s.wantCounted(s.db.Clock.Now())
	}
}

// The topic keeps 30 days and the installation may be older. Therefore the first event of a tenant makes it be
// counted from the tables.
func TestAnExistingInstallationIsCountedFromItsTables(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "UTC")
	old := s.create(1, "EUR")
	s.fire(old, order.Submit)
	s.pay(old, s.db.Clock.Now(), 0)
	o := s.create(2, "EUR")
	s.fire(o, order.Submit)
	all := must(s.worker.Events(t.Context(), s.org.ID, o, 0, 10))
	if diff := cmp.Diff(app.Handled{Duplicates: 1}, s.project([]event.Event{eventOf(all[1])})); diff != "" {
		t.Errorf("an event that the count includes (-want +got):\n%s", diff)
	}
	s.wantCounted(s.db.Clock.Now())
}

func TestMissedEventsMakeTheTenantBeCounted(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "UTC")
	o := s.create(1, "EUR")
	s.project(s.events())
	s.fire(o, order.Submit)
	s.pay(o, s.db.Clock.Now(), 0)
	last := must(s.worker.Events(t.Context(), s.org.ID, o, 2, 10))
	if diff := cmp.Diff(app.Handled{Duplicates: 1}, s.project([]event.Event{eventOf(last[0])})); diff != "" {
		t.Errorf("third event after the first (-want +got):\n%s", diff)
	}
	s.wantCounted(s.db.Clock.Now())
}

func TestEventsOfManyTenantsAreProjectedInBatches(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	shops := []*shop{newShop(t, db, "tenant-0", "UTC")}
	for i := range 39 {
		shops = append(shops, shops[0].addShop(fmt.Sprintf("tenant-%d", i+1), "UTC"))
	}
	var evs []event.Event
	for _, s := range shops {
		s.create(1, "EUR")
	}
	for range 2 {
		for _, s := range shops {
			evs = append(evs, s.events()...)
		}
	}
	if diff := cmp.Diff(app.Handled{Duplicates: 80}, shops[0].project(evs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, s := range shops {
		s.wantCounted(db.Clock.Now())
	}
}

func TestAForgedPairOfTenantAndOrderIsNotProjected(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s, other := newShop(t, db, "alpha", "UTC"), newShop(t, db, "beta", "UTC")
	s.create(1, "EUR")
	forged := s.events()
	forged[0].Tenant = other.org.ID
	_, err := s.worker.ProjectEvents(t.Context(), forged)
	if f := fault.Of(err); f == nil || f.Kind != fault.KindNotFound {
		t.Errorf("ProjectEvents() = %v, want not found", err)
	}
	if got := must(other.api.OrderStats(t.Context(), other.org.ID, db.Clock.Now())); len(got.ByState) != 0 {
		t.Errorf("beta's figures: %+v", got)
	}
}

// Events that are blocked behind a parked one are recorded but not counted. They are counted when they are
// redriven one after the other.
func TestEventsBehindAParkedOneAreBlockedAndAreCountedWhenRedriven(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "UTC")
	o := s.create(1, "EUR")
	s.project(s.events())
	s.fire(o, order.Submit)
	s.pay(o, s.db.Clock.Now(), 0)
	checkpoint := func(fn func(cp *app.Checkpoint)) app.Checkpoint {
		t.Helper()
		var got app.Checkpoint
		err := s.worker.InTenant(t.Context(), s.org.ID, app.With{}, func(tx app.Tx) error {
			cp, err := tx.LockCheckpoint(t.Context(), "portal-analytics", o)
			if err != nil {
				return err
			}
			if got = cp; fn != nil {
				fn(&cp)
				tx.PutCheckpoint(cp)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	checkpoint(func(cp *app.Checkpoint) { cp.Parked, cp.BlockedTo = 2, 2 })
	all := s.events()
	if diff := cmp.Diff(app.Handled{Duplicates: 1, Blocked: 2}, s.project(all)); diff != "" {
		t.Errorf("while the second is parked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(app.Checkpoint{
		Consumer: "portal-analytics", Order: o, Seq: 1, Parked: 2, BlockedTo: 3, Blocked: 1,
	}, checkpoint(nil)); diff != "" {
		t.Errorf("checkpoint (-want +got):\n%s", diff)
	}
	check := must(s.worker.CheckRollup(t.Context(), s.org.ID))
	if check.Behind != 1 || check.Parked != 1 || len(check.Differences) == 0 || check.Holds() {
		t.Errorf("result of the check: %+v; want one order behind, parked, and figures that differ", check)
	}
	for seq := 2; seq <= 3; seq++ {
		checkpoint(func(cp *app.Checkpoint) { cp.Redrive = seq })
		if diff := cmp.Diff(app.Handled{Applied: 1}, s.project(all[seq-1:seq])); diff != "" {
			t.Errorf("event %d redriven (-want +got):\n%s", seq, diff)
		}
	}
	if diff := cmp.Diff(app.Checkpoint{
		Consumer: "portal-analytics", Order: o, Seq: 3, Parked: 2, BlockedTo: 3, Redrive: 3,
	}, checkpoint(nil)); diff != "" {
		t.Errorf("checkpoint at the end (-want +got):\n%s", diff)
	}
	s.wantCounted(s.db.Clock.Now())
}

func TestAZoneThatTheServerDoesNotKnowIsUTC(t *testing.T) {
	t.Parallel()
	s := newShop(t, pgtest.New(t), "alpha", "Mars/Olympus_Mons")
	s.create(1, "EUR")
	s.project(s.events())
	if got := must(s.api.OrderStats(t.Context(), s.org.ID, s.db.Clock.Now())); got.Today != 1 || got.TimeZone != "UTC" {
		t.Errorf("%d orders today in %s, want 1 in UTC", got.Today, got.TimeZone)
	}
	if stale := must(s.worker.StaleRollups(t.Context())); len(stale) != 0 {
		t.Errorf("it would be counted again and again: %v", stale)
	}
}
