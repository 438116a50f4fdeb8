package postgres_test

import (
	"crypto/sha256"
	"encoding/json"
	"runtime"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// key returns an idempotency key whose fingerprint is the hash of its text.
func key(k string) *app.IdempotencyKey {
	return &app.IdempotencyKey{Key: k, Fingerprint: sha256.Sum256([]byte(k))}
}

// consume moves the checkpoint of the consumer "test" to an event, without any other effect.
func consume(t testing.TB, s *postgres.DB, org pgtest.Org, o order.ID, seq int) error {
	t.Helper()
	return s.InTenant(t.Context(), org.ID, app.With{Inbox: &app.InboxPosition{Consumer: "test", Order: o, Seq: seq}},
		func(app.Tx) error { return nil })
}

// eventOf returns a stored event as a consumer receives it.
func eventOf(r event.Record) event.Event {
	e := event.Event{Record: r, Partition: 3, Offset: 42}
	if err := json.Unmarshal(r.Data, &e.Payload); err != nil {
		panic(err)
	}
	return e
}

// waitFor polls until holds returns true, for at most a minute.
func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not hold within a minute")
		}
		runtime.Gosched()
	}
}
