package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	sqlEntries = `SELECT ` + entryColumns + ` FROM audit_log a WHERE a.tenant_id = $1 AND a.n > $2
		ORDER BY a.n LIMIT $3`
	sqlEntriesByEvent = `SELECT ` + entryColumns + ` FROM audit_log a WHERE a.tenant_id = $1
		AND (a.order_id, a.seq) > ($2, $3) ORDER BY a.order_id, a.seq LIMIT $4`
	sqlFindings = `SELECT tenant_id, kind, topic_id, part, off, order_id, coalesce(seq, 0), detail, at
		FROM audit_finding WHERE tenant_id = $1 AND at >= $2 ORDER BY at, part, off`
	// The bytes that were published are hashed, as json keeps them.
	sqlTold = `
		SELECT order_id, seq, event_id, type, at, sha256(convert_to(data::text, 'UTF8')) FROM order_event
		WHERE tenant_id = $1 AND (order_id, seq) > ($2, $3) ORDER BY order_id, seq LIMIT $4`
)

// scanEntry reads a row of entryColumns. A hash that is not 32 bytes long is no hash of ours: it reads as one
// that nothing gives.
func scanEntry(r pgx.Rows) (auditlog.Entry, error) {
	var entry auditlog.Entry
	var data, prev, hash []byte
	var typ string
	err := r.Scan(intoID(&entry.Tenant), &entry.N, intoID(&entry.Order), &entry.Seq, intoID(&entry.Event), &typ,
		intoTime(&entry.At), intoTime(&entry.SeenAt), &data, intoID(&entry.Topic), &entry.Partition,
		&entry.Offset, &prev, &hash)
	entry.Type = event.Type(typ)
	entry.DataSHA256, entry.PrevHash, entry.Hash = hashOf(data), hashOf(prev), hashOf(hash)
	return entry, err
}

func hashOf(b []byte) auditlog.Hash {
	if len(b) != len(auditlog.Hash{}) {
		return auditlog.Hash{0xff}
	}
	return auditlog.Hash(b)
}

func scanHead(r pgx.Rows) (auditlog.Head, error) {
	var h auditlog.Head
	var hash []byte
	err := r.Scan(intoID(&h.Tenant), &h.N, &hash)
	h.Hash = hashOf(hash)
	return h, err
}

// Heads are the chains' heads; see app.AuditLog. For the audit login.
func (db *DB) Heads(ctx context.Context) ([]auditlog.Head, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var heads []auditlog.Head
	err = db.inTenants(ctx, column(tenants, func(t *Tenant) tenant.ID {
		return t.ID
	}), func(b *pgx.Batch, ts []tenant.ID) {
		each(b.Queue(sqlAuditHeads, uids(ts)), func(r pgx.Rows) error {
			h, err := scanHead(r)
			heads = append(heads, h)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the heads of the witness log")
	}
	return heads, nil
}

// Links reads a tenant's chain behind a place; see app.AuditLog. For the audit login.
func (db *DB) Entries(ctx context.Context, t tenant.ID, after int64, limit int) ([]auditlog.Entry, error) {
	return db.entries(ctx, t, sqlEntries, plain(t), after, limit)
}

// EntriesByEvent reads the same rows in the order of their events; see app.AuditLog. For the audit login.
func (db *DB) EntriesByEvent(
	ctx context.Context, t tenant.ID, after auditlog.Place, limit int,
) ([]auditlog.Entry, error) {
	return db.entries(ctx, t, sqlEntriesByEvent, plain(t), plain(after.Order), after.Seq, limit)
}

func (db *DB) entries(ctx context.Context, t tenant.ID, sql string, args ...any) ([]auditlog.Entry, error) {
	var links []auditlog.Entry
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sql, args...), func(r pgx.Rows) error {
			entry, err := scanEntry(r)
			links = append(links, entry)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the witness log")
	}
	return links, nil
}

// Findings of a tenant, or of nobody; see app.AuditLog. For the audit login.
func (db *DB) Findings(ctx context.Context, t tenant.ID, since time.Time) ([]auditlog.Finding, error) {
	var all []auditlog.Finding
	err := db.oneTrip(ctx, sqlBeginRead, []tenant.ID{t}, func(b *pgx.Batch) {
		each(b.Queue(sqlFindings, plain(t), pgtype.Timestamptz{Time: since, Valid: true}), func(r pgx.Rows) error {
			var f auditlog.Finding
			var kind string
			err := r.Scan(intoID(&f.Tenant), &kind, intoID(&f.Topic), &f.Partition, &f.Offset, intoID(&f.Order), &f.Seq,
				&f.Detail, intoTime(&f.At))
			f.Kind = auditlog.Kind(kind)
			all = append(all, f)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the findings of tenant %s", t)
	}
	return all, nil
}

// Told reads a tenant's events behind a place; see app.EventTable. For the worker's login.
func (db *DB) SourceEvents(
	ctx context.Context, t tenant.ID, after auditlog.Place, limit int,
) ([]auditlog.SourceEvent, error) {
	var told []auditlog.SourceEvent
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlTold, plain(t), plain(after.Order), after.Seq, limit), func(r pgx.Rows) error {
			var e auditlog.SourceEvent
			var typ string
			var data []byte
			err := r.Scan(intoID(&e.Order), &e.Seq, intoID(&e.Event), &typ, intoTime(&e.At), &data)
			e.Type, e.DataSHA256 = event.Type(typ), hashOf(data)
			told = append(told, e)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return told, nil
}
