package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	// The lock ends with the transaction, so that a crash leaves nothing behind.
	sqlKeyLock   = `SELECT pg_try_advisory_xact_lock(hashtextextended($1 || $2, 0))`
	sqlKeyLookup = `
		SELECT fingerprint, status, headers, body
		FROM idempotency
		WHERE tenant_id = $1 AND key = $2`
	sqlKeyInsert = `
		INSERT INTO idempotency (tenant_id, key, fingerprint, status, headers, body, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
	sqlPurge = `SELECT purge_expired($1, $2)`
)

// keyLookup is what the first trip reads about an idempotency key.
type keyLookup struct {
	locked, found bool
	fingerprint   []byte
	answer        app.Answer
}

func (k *keyLookup) queueLock(b *pgx.Batch, t tenant.ID, key *app.IdempotencyKey) {
	b.Queue(sqlKeyLock, t.String(), key.Key).QueryRow(func(r pgx.Row) error { return r.Scan(&k.locked) })
}

func (k *keyLookup) queueLookup(b *pgx.Batch, t tenant.ID, key *app.IdempotencyKey) {
	b.Queue(sqlKeyLookup, uid(t), key.Key).QueryRow(func(r pgx.Row) error {
		err := r.Scan(&k.fingerprint, &k.answer.Status, &k.answer.Header, &k.answer.Body)
		if absent(err) {
			return nil
		}
		k.found = err == nil
		return err
	})
}

// check returns an error if the key was used before, with the same request or another one, or is in use now.
func (k *keyLookup) check(key *app.IdempotencyKey) error {
	switch {
	case k.found && !bytes.Equal(k.fingerprint, key.Fingerprint[:]):
		return fault.New(fault.KindInvalid, fault.CodeKeyReused,
			"This Idempotency-Key was used for another request. Use a new key for a new request.")
	case k.found:
		return &app.Replayed{Answer: k.answer}
	case !k.locked:
		return keyInUse()
	}
	return nil
}

func queueAnswer(b *pgx.Batch, t tenant.ID, key *app.IdempotencyKey, a app.Answer, now time.Time) error {
	headers, err := json.Marshal(a.Header)
	if err != nil {
		return fmt.Errorf("encode the headers of an answer: %w", err)
	}
	body := a.Body
	if body == nil {
		body = []byte{}
	}
	b.Queue(sqlKeyInsert, uid(t), key.Key, key.Fingerprint[:], a.Status, string(headers), body, stamp(now))
	return nil
}

// PurgeKeys removes up to n answers that are older than before, of all tenants, for the worker. D30 says how long
// they are kept.
func (db *DB) PurgeKeys(ctx context.Context, before time.Time, n int) error {
	return db.inSystem(ctx, func(b *pgx.Batch) { b.Queue(sqlPurge, stamp(before), n) })
}
