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
	sqlEntries = `
		SELECT ` + entryColumns + `
		FROM audit_log a
		WHERE a.tenant_id = $1 AND a.n > $2
		ORDER BY a.n
		LIMIT $3`
	sqlEntriesByEvent = `
		SELECT ` + entryColumns + `
		FROM audit_log a
		WHERE a.tenant_id = $1 AND (a.order_id, a.seq) > ($2, $3)
		ORDER BY a.order_id, a.seq
		LIMIT $4`
	sqlFindings = `
		SELECT tenant_id, kind, topic_id, part, off, order_id, coalesce(seq, 0), detail, at
		FROM audit_finding
		WHERE tenant_id = $1 AND at >= $2
		ORDER BY at, part, off`
	// The hash is of the published bytes: a json column keeps the text as it was written.
	sqlSourceEvents = `
		SELECT order_id, seq, event_id, type, at, sha256(convert_to(data::text, 'UTF8'))
		FROM order_event
		WHERE tenant_id = $1 AND (order_id, seq) > ($2, $3)
		ORDER BY order_id, seq
		LIMIT $4`
)

// scanEntry reads a row of entryColumns. A hash that is not 32 bytes long was not written by this package; it is
// read as a value that no entry has.
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

// Heads reads the heads of all chains, for the audit login; see app.AuditLog.
func (db *DB) Heads(ctx context.Context) ([]auditlog.Head, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var heads []auditlog.Head
	err = db.inTenants(ctx, idsOf(tenants), func(b *pgx.Batch, chunk []tenant.ID) {
		each(b.Queue(sqlAuditHeads, uids(chunk)), func(r pgx.Rows) error {
			h, err := scanHead(r)
			heads = append(heads, h)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the heads of the audit log")
	}
	return heads, nil
}

// Entries reads up to limit entries of a tenant's chain after an entry's number, for the audit login; see
// app.AuditLog.
func (db *DB) Entries(ctx context.Context, t tenant.ID, after int64, limit int) ([]auditlog.Entry, error) {
	return db.entries(ctx, t, sqlEntries, plain(t), after, limit)
}

// EntriesByEvent reads a tenant's entries in the order of their events, for the audit login; see app.AuditLog.
func (db *DB) EntriesByEvent(
	ctx context.Context, t tenant.ID, after auditlog.Place, limit int,
) ([]auditlog.Entry, error) {
	return db.entries(ctx, t, sqlEntriesByEvent, plain(t), plain(after.Order), after.Seq, limit)
}

func (db *DB) entries(ctx context.Context, t tenant.ID, sql string, args ...any) ([]auditlog.Entry, error) {
	var entries []auditlog.Entry
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sql, args...), func(r pgx.Rows) error {
			entry, err := scanEntry(r)
			entries = append(entries, entry)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the audit log")
	}
	return entries, nil
}

// Findings reads the findings of a tenant, or of unknown tenants if t is zero, for the audit login; see
// app.AuditLog.
func (db *DB) Findings(ctx context.Context, t tenant.ID, since time.Time) ([]auditlog.Finding, error) {
	var findings []auditlog.Finding
	err := db.oneTrip(ctx, sqlBeginRead, []tenant.ID{t}, func(b *pgx.Batch) {
		each(b.Queue(sqlFindings, plain(t), pgtype.Timestamptz{Time: since, Valid: true}), func(r pgx.Rows) error {
			var f auditlog.Finding
			var kind string
			err := r.Scan(intoID(&f.Tenant), &kind, intoID(&f.Topic), &f.Partition, &f.Offset, intoID(&f.Order),
				&f.Seq, &f.Detail, intoTime(&f.At))
			f.Kind = auditlog.Kind(kind)
			findings = append(findings, f)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the findings of tenant %s", t)
	}
	return findings, nil
}

// SourceEvents reads a tenant's events after a place, for the worker's login; see app.EventTable.
func (db *DB) SourceEvents(
	ctx context.Context, t tenant.ID, after auditlog.Place, limit int,
) ([]auditlog.SourceEvent, error) {
	var events []auditlog.SourceEvent
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlSourceEvents, plain(t), plain(after.Order), after.Seq, limit), func(r pgx.Rows) error {
			var e auditlog.SourceEvent
			var typ string
			var data []byte
			err := r.Scan(intoID(&e.Order), &e.Seq, intoID(&e.Event), &typ, intoTime(&e.At), &data)
			e.Type, e.DataSHA256 = event.Type(typ), hashOf(data)
			events = append(events, e)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}
