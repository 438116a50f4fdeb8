package postgres_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// newID returns an id of any kind, made by the test's clock.
func newID[T any](db *pgtest.DB) id.Of[T] { return id.Of[T](db.Clock.NewID()) }

func member(o pgtest.Org) tenant.MemberID { return o.Members[tenant.Customer].ID }

// draft returns a new order of the organisation's customer with n items at €20.10 and its first event.
func draft(db *pgtest.DB, org pgtest.Org, n int) *app.Aggregate {
	now := db.Clock.Now()
	o := &order.Order{
		ID: newID[order.Order](db), Tenant: org.ID, Customer: member(org), State: order.Draft, Policy: order.PerItem,
		Version: 1, Currency: money.EUR, CreatedAt: now, UpdatedAt: now,
	}
	o.Number = "ORD-" + fmt.Sprintf("%X", o.ID[9:13])
	for i := range n {
		o.Items = append(o.Items, order.Item{
			ID: newID[order.Item](db), Line: i + 1, State: order.ItemPending, Label: fmt.Sprintf("web-%d", i+1),
			Generation: 1, Price: 20_10,
			Snapshot: order.Snapshot{
				Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "monthly",
				Configuration: json.RawMessage(`{"os_image":"debian-12","b":1,"a":2}`),
				Title:         "Virtual server", CatalogVersion: 1, FormulaVersion: 1,
				Lines:          []order.PriceLine{{Component: "plan", Quantity: 1, UnitPrice: 20_10, Amount: 20_10}},
				CatalogMonthly: 20_10, Monthly: 20_10, Due: 20_10, QuotedAt: "2026-03-02T09:00:00Z",
				DeadlineS: 600, CapacityWaitS: 1800,
			},
		})
	}
	o.Due = o.Totals().DueNow
	o.Record(order.Event{Type: order.EvCreated, From: order.Draft})
	agg := &app.Aggregate{Order: o}
	recordEvents(db, agg)
	return agg
}

// recordEvents turns the events that the order recorded into rows, as app does.
func recordEvents(db *pgtest.DB, agg *app.Aggregate) {
	for _, e := range agg.Order.TakeEvents() {
		rec, err := event.NewRecord(agg.Order, e,
			event.Cause{Actor: tenant.System(agg.Order.Tenant, "test"), Correlation: event.ID(agg.Order.ID)},
			newID[order.Event](db), db.Clock.Now())
		if err != nil {
			panic(err)
		}
		agg.Added.Events = append(agg.Added.Events, rec)
	}
}

func insert(t testing.TB, s *postgres.DB, agg *app.Aggregate) {
	t.Helper()
	err := s.InTenant(t.Context(), agg.Order.Tenant, app.With{}, func(tx app.Tx) error {
		tx.Insert(agg)
		return nil
	})
	if err != nil {
		t.Fatalf("insert: %v", err)
	}
}

// change locks an order, lets fn change it, and saves it with a new version.
func change(
	t testing.TB, s *postgres.DB, db *pgtest.DB, org pgtest.Org, o order.ID, also app.Also, fn func(agg *app.Aggregate),
) *app.Aggregate {
	t.Helper()
	agg, err := tryChange(t, s, db, org, o, also, fn)
	if err != nil {
		t.Fatalf("change: %v", err)
	}
	return agg
}

func tryChange(
	t testing.TB, s *postgres.DB, db *pgtest.DB, org pgtest.Org, o order.ID, also app.Also, fn func(agg *app.Aggregate),
) (*app.Aggregate, error) {
	t.Helper()
	var got *app.Aggregate
	err := s.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), o, also)
		if err != nil {
			return err
		}
		fn(agg)
		agg.Order.Version++
		recordEvents(db, agg)
		tx.Save(agg)
		got = agg
		return nil
	})
	return got, err
}

// diffAggregates compares an aggregate as it was saved with what is read back.
func diffAggregates(want, got *app.Aggregate) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(order.Order{}), cmpopts.IgnoreFields(app.Aggregate{}, "Added"),
		cmpopts.EquateComparable(money.Rate{}))
}

func TestAggregateIsReadBackAsItWasSaved(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)

	agg := draft(db, org, 2)
	o := agg.Order
	rate, err := money.ParseRate("0.9321")
	if err != nil {
		t.Fatal(err)
	}
	expires := db.Clock.Now().Add(14 * 24 * time.Hour)
	o.Currency, o.FX = "CHF", &order.FX{Rate: rate, Source: "test", At: db.Clock.Now()}
	o.ExternalID, o.ExpiresAt = "po-4711", &expires
	o.Faults = []fault.Violation{
		{
			Pointer: "/items/0/region", Code: "unknown-region", Message: "No such region.",
			Allowed: []any{"lj-1", float64(3)},
		},
	}
	insert(t, worker, agg)

	var task fulfil.Task
	all := app.Also{Resources: true, Deliveries: true}
	submitted := change(t, worker, db, org, o.ID, all, func(agg *app.Aggregate) {
		if _, err := agg.Order.Fire(order.Submit, ""); err != nil {
			t.Fatal(err)
		}
		agg.Order.Method = "manual"
	})
	saved := change(t, worker, db, org, o.ID, all, func(agg *app.Aggregate) {
		now, o := db.Clock.Now(), agg.Order
		pay, err := o.Pay(order.Payment{
			ID: newID[order.Payment](db), Provider: "manual", Reference: "r-1", Method: "bank_transfer", Paid: o.Due,
			Currency: "CHF", PaidAt: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Confirm(pay); err != nil {
			t.Fatal(err)
		}
		o.RequestRefund(newID[order.Refund](db), &o.Items[1], "test")
		task = fulfil.Task{
			ID: newID[fulfil.Task](db), Tenant: org.ID, Order: o.ID, Item: o.Items[0].ID, Payment: pay.ID,
			Subject: newID[fulfil.Subject](db), Kind: fulfil.Provision, Queue: "sim", State: fulfil.Open, Step: 1, Try: 2,
			Compensating: true, Sent: true, Epoch: 7, NextAt: now.Add(time.Second), Deadline: now.Add(time.Minute),
			Waited: 90 * time.Second, Cause: newID[order.Event](db), Progress: 40, Detail: "creating the server",
		}
		agg.Tasks = append(agg.Tasks, task)
		agg.Resources = append(agg.Resources, fulfil.Resource{
			Task: task.ID, Step: "server", Generation: 1, Key: "k-1", Phase: fulfil.Created,
			Refs: []string{"srv-1", "a \"b\", c"}, CalledAt: now, SettleUntil: now.Add(time.Minute),
			AbsentSince: now.Add(time.Second),
		})
		agg.Added.Log = []app.LogEntry{
			{
				Task: task.ID, At: now, Step: "server", What: app.LogAnswer, Class: fault.Retryable, Key: "k-1",
				Note: "busy", Took: 812 * time.Millisecond, Next: now.Add(2 * time.Second),
			},
		}
		agg.Added.DeadLetters = []app.DeadLetter{{
			ID: newID[app.DeadLetter](db), Order: o.ID, Item: o.Items[0].ID, Task: task.ID, Source: "step",
			Class: fault.Protected, Code: "compensation-exhausted", Detail: "delete protection", Step: "server",
			Attempts: 6, PayloadSHA256: [32]byte{1, 2, 3}, FirstFailedAt: now, At: now,
		}}
		agg.Added.Credentials = []app.SealedCredential{{Item: o.Items[0].ID, Generation: 1, Sealed: []byte("sealed")}}
		agg.Added.Deliveries = []app.Delivery{
			{
				ID: newID[app.Delivery](db), Item: o.Items[0].ID, PassphraseSealed: []byte("pass"), MessageID: "m-1",
				Recipient: "c@alpha.example", State: app.DeliveryAccepted, At: now,
			},
		}
		o.Items[0].Progress, o.Items[0].Detail = 40, "creating the server"
	})

	got, err := worker.Load(t.Context(), org.ID, task.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := *saved
	want.DeadLetters = saved.Added.DeadLetters
	want.LastLine = 2
	if diff := diffAggregates(&want, got); diff != "" {
		t.Errorf("read back (-saved +read):\n%s", diff)
	}

	var deliveries []app.Delivery
	change(t, worker, db, org, o.ID, all, func(agg *app.Aggregate) { deliveries = agg.Deliveries })
	shown := saved.Added.Deliveries[0]
	shown.PassphraseSealed, shown.HasPassphrase = nil, true
	if diff := cmp.Diff([]app.Delivery{shown}, deliveries); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}

	record, err := worker.Saga(t.Context(), org.ID, o.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(saved.Added.Log, record.Log, cmpopts.IgnoreFields(app.LogEntry{}, "ID")); diff != "" {
		t.Errorf("saga log (-want +got):\n%s", diff)
	}
	events, err := worker.Events(t.Context(), org.ID, o.ID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Concat(agg.Added.Events, submitted.Added.Events, saved.Added.Events), events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSavingNothingLeavesTheRowAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	agg := draft(db, org, 1)
	insert(t, worker, agg)
	super := db.Super(t)
	xmin := func() (order, item string) {
		t.Helper()
		err := super.QueryRow(t.Context(), `
			SELECT o.xmin::text, i.xmin::text
			FROM orders o
			JOIN order_items i ON i.order_id = o.id`).Scan(&order, &item)
		if err != nil {
			t.Fatal(err)
		}
		return order, item
	}
	save := func(fn func(agg *app.Aggregate)) {
		t.Helper()
		err := worker.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
			agg, err := tx.LockOrder(t.Context(), agg.Order.ID, app.Also{})
			if err != nil {
				return err
			}
			fn(agg)
			tx.Save(agg)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	order0, item0 := xmin()
	save(func(*app.Aggregate) {})
	if o, i := xmin(); o != order0 || i != item0 {
		t.Error("an unchanged aggregate was written")
	}
	save(func(agg *app.Aggregate) { agg.Order.Items[0].Progress = 10 })
	if o, i := xmin(); o != order0 || i == item0 {
		t.Errorf("after a change of an item's progress: order written %t, item written %t; want the item only",
			o != order0, i != item0)
	}
}

func TestARemovedItemIsMarkedAndItsLineIsNotReused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 3)
	insert(t, api, agg)
	kept := agg.Order.Items[0].ID
	change(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) { agg.Order.Items = agg.Order.Items[:1] })
	got, err := api.Order(t.Context(), org.ID, agg.Order.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Order.Items) != 1 || got.Order.Items[0].ID != kept || got.LastLine != 3 {
		t.Errorf("items %d, last line %d; want the kept one and line 3", len(got.Order.Items), got.LastLine)
	}
	var rows int
	row := db.Super(t).QueryRow(t.Context(), `SELECT count(*) FROM order_items WHERE removed_at IS NOT NULL`)
	if err := row.Scan(&rows); err != nil || rows != 2 {
		t.Errorf("%d rows are marked removed (%v), want 2: nothing is ever deleted", rows, err)
	}
}

func TestAbsentAndForeignOrdersAnswerTheSame(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	api := db.API(t)
	agg := draft(db, a, 1)
	insert(t, api, agg)
	for name, o := range map[string]order.ID{"absent": newID[order.Order](db), "foreign": agg.Order.ID} {
		_, err := api.Order(t.Context(), b.ID, o)
		_, lockErr := tryChange(t, api, db, b, o, app.Also{}, func(*app.Aggregate) {
			t.Errorf("%s order was locked", name)
		})
		_, eventsErr := api.Events(t.Context(), b.ID, o, 0, 10)
		_, sagaErr := api.Saga(t.Context(), b.ID, o)
		for _, e := range []error{err, lockErr, eventsErr, sagaErr} {
			if diff := cmp.Diff(fault.Absent(), fault.Of(e)); diff != "" {
				t.Errorf("%s order (-want +got):\n%s", name, diff)
			}
		}
	}
}
