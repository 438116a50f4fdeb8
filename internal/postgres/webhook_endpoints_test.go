package postgres_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// fillWebhooks adds a row of an organisation to every table of the webhooks.
func fillWebhooks(t *testing.T, db *pgtest.DB, org pgtest.Org, o order.ID) {
	t.Helper()
	now := db.Clock.Now()
	e := app.WebhookEndpoint{
		ID: newID[app.WebhookEndpoint](db), Version: 1, URL: "https://hooks.example.com/" + org.Slug,
		State: app.WebhookEndpointActive, Since: now, CreatedAt: now, UpdatedAt: now,
	}
	err := db.API(t).InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		tx.PutWebhookEndpoint(e)
		tx.AddSecret(e.ID, app.SealedSecret{
			ID: newID[app.SealedSecret](db), Wrapped: []byte("wrapped for " + org.Slug),
			Sealed: []byte("signing secret of " + org.Slug),
		}, now)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delivery := app.WebhookDelivery{
		ID: newID[app.WebhookDelivery](db), WebhookEndpoint: e.ID, Order: o, Seq: 1, Event: newID[order.Event](db),
		Type: order.EvCreated, CreatedAt: now, NextAt: now,
	}
	task := fulfil.Task{
		ID: fulfil.TaskID(delivery.ID), Tenant: org.ID, Order: o, Subject: [16]byte(delivery.ID), Kind: fulfil.Webhook,
		Queue: "webhook", NextAt: now,
	}
	err = db.Worker(t).InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		tx.AddWebhookDelivery(delivery, task)
		task.Epoch++
		tx.SaveWebhookDelivery(delivery, task, &app.WebhookDeliveryCall{N: 1, At: now, Result: app.CallTimedOut})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An order may have many webhook tasks, and they do not change it.
func TestTasksOfWebhooksAreNotReadWithTheirOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	agg := draft(db, org, 1)
	insert(t, db.API(t), agg)
	fillWebhooks(t, db, org, agg.Order.ID)
	if got := must(db.API(t).Order(t.Context(), org.ID, agg.Order.ID)); len(got.Tasks) != 0 {
		t.Errorf("the order is read with %d tasks", len(got.Tasks))
	}
}

// If a task has moved since it was read, its next move is refused and the call is not recorded.
func TestACallFromAnOldEpochIsNotRecorded(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	agg := draft(db, org, 1)
	insert(t, db.API(t), agg)
	fillWebhooks(t, db, org, agg.Order.ID)
	var e app.WebhookEndpointID
	var delivery app.WebhookDeliveryID
	row := db.Super(t).QueryRow(t.Context(), `SELECT endpoint_id::text, id::text FROM webhook_delivery`)
	if err := row.Scan(intoText(&e), intoText(&delivery)); err != nil {
		t.Fatal(err)
	}
	err := db.Worker(t).InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		f, err := tx.LockWebhookEndpoint(t.Context(), e, delivery)
		if err != nil {
			return err
		}
		// the task keeps the epoch at which it was read
		f.WebhookDelivery.State, f.Task.State = app.WebhookDeliveryDelivered, fulfil.Closed
		call := app.WebhookDeliveryCall{N: 2, At: tx.Now(), Result: app.CallAccepted}
		tx.SaveWebhookDelivery(f.WebhookDelivery, f.Task, &call)
		return nil
	})
	if err == nil {
		t.Error("a move from the wrong epoch was committed")
	}
	got := must(db.API(t).WebhookDelivery(t.Context(), org.ID, e, delivery))
	if got.State != app.WebhookDeliveryPending || len(got.Log) != 1 {
		t.Errorf("the delivery is %s with %d calls, want it pending with one", got.State, len(got.Log))
	}
}

// text scans an id from its canonical form.
type text struct {
	into interface{ UnmarshalText(b []byte) error }
}

func intoText(into interface{ UnmarshalText(b []byte) error }) text { return text{into} }

// Scan implements sql.Scanner.
func (s text) Scan(v any) error {
	canonical, _ := v.(string)
	return s.into.UnmarshalText([]byte(canonical))
}
