package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/witness"
)

const (
	sqlLinks        = `SELECT ` + linkColumns + ` FROM audit_log a WHERE a.tenant_id = $1 AND a.n > $2 ORDER BY a.n LIMIT $3`
	sqlLinksByEvent = `SELECT ` + linkColumns + ` FROM audit_log a WHERE a.tenant_id = $1 AND (a.order_id, a.seq) > ($2, $3) ORDER BY a.order_id, a.seq LIMIT $4`
	sqlFindings     = `SELECT tenant_id, kind, topic_id, part, off, order_id, coalesce(seq, 0), detail, at FROM audit_finding WHERE tenant_id = $1 AND at >= $2 ORDER BY at, part, off`
	// The bytes that were published are hashed, as json keeps them.
	sqlTold = `
		SELECT order_id, seq, event_id, type, at, sha256(convert_to(data::text, 'UTF8')) FROM order_event
		WHERE tenant_id = $1 AND (order_id, seq) > ($2, $3) ORDER BY order_id, seq LIMIT $4`
)

// scanLink reads a row of linkColumns. A hash that is not 32 bytes long is no hash of ours: it reads as one
// that nothing gives.
func scanLink(r pgx.Rows) (witness.Link, error) {
	var l witness.Link
	var data, prev, hash []byte
	var typ string
	err := r.Scan(intoID(&l.Tenant), &l.N, intoID(&l.Order), &l.Seq, intoID(&l.Event), &typ, intoTime(&l.At), intoTime(&l.SeenAt), &data, intoID(&l.Topic), &l.Partition, &l.Offset, &prev, &hash)
	l.Type = event.Type(typ)
	l.DataSHA256, l.PrevHash, l.Hash = hashOf(data), hashOf(prev), hashOf(hash)
	return l, err
}

func hashOf(b []byte) witness.Hash {
	if len(b) != len(witness.Hash{}) {
		return witness.Hash{0xff}
	}
	return witness.Hash(b)
}

func scanHead(r pgx.Rows) (witness.Head, error) {
	var h witness.Head
	var hash []byte
	err := r.Scan(intoID(&h.Tenant), &h.N, &hash)
	h.Hash = hashOf(hash)
	return h, err
}

// Heads are the chains' heads; see app.WitnessLog. For the audit login.
func (db *DB) Heads(ctx context.Context) ([]witness.Head, error) {
	tenants, err := db.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var heads []witness.Head
	err = db.inTenants(ctx, column(tenants, func(t *Tenant) tenant.ID { return t.ID }), func(b *pgx.Batch, ts []tenant.ID) {
		each(b.Queue(sqlWitnessHeads, uids(ts)), func(r pgx.Rows) error {
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

// Links reads a tenant's chain behind a place; see app.WitnessLog. For the audit login.
func (db *DB) Links(ctx context.Context, t tenant.ID, after int64, limit int) ([]witness.Link, error) {
	return db.links(ctx, t, sqlLinks, plain(t), after, limit)
}

// LinksByEvent reads the same rows in the order of their events; see app.WitnessLog. For the audit login.
func (db *DB) LinksByEvent(ctx context.Context, t tenant.ID, after witness.Place, limit int) ([]witness.Link, error) {
	return db.links(ctx, t, sqlLinksByEvent, plain(t), plain(after.Order), after.Seq, limit)
}

func (db *DB) links(ctx context.Context, t tenant.ID, sql string, args ...any) ([]witness.Link, error) {
	var links []witness.Link
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sql, args...), func(r pgx.Rows) error {
			l, err := scanLink(r)
			links = append(links, l)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the witness log")
	}
	return links, nil
}

// Findings of a tenant, or of nobody; see app.WitnessLog. For the audit login.
func (db *DB) Findings(ctx context.Context, t tenant.ID, since time.Time) ([]witness.Finding, error) {
	var all []witness.Finding
	err := db.oneTrip(ctx, sqlBeginRead, []tenant.ID{t}, func(b *pgx.Batch) {
		each(b.Queue(sqlFindings, plain(t), pgtype.Timestamptz{Time: since, Valid: true}), func(r pgx.Rows) error {
			var f witness.Finding
			var kind string
			err := r.Scan(intoID(&f.Tenant), &kind, intoID(&f.Topic), &f.Partition, &f.Offset, intoID(&f.Order), &f.Seq, &f.Detail, intoTime(&f.At))
			f.Kind = witness.Kind(kind)
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
func (db *DB) Told(ctx context.Context, t tenant.ID, after witness.Place, limit int) ([]witness.Told, error) {
	var told []witness.Told
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		each(b.Queue(sqlTold, plain(t), plain(after.Order), after.Seq, limit), func(r pgx.Rows) error {
			var e witness.Told
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
