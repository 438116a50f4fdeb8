package postgres

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// auditLock is the first half of the advisory lock under which a tenant's chain grows; the second is made
// of the tenant's id. Two tenants that share one only wait for each other.
const auditLock = 0x0ad1

// Bounds of one transaction of the witness. The zero tenant, who owns what is nobody's, is
// one of maxTenants.
const (
	auditRecords = 500
	auditTenants = maxTenants - 1
)

const (
	entryColumns = `a.tenant_id, a.n, a.order_id, a.seq, a.event_id, a.type, a.at, a.seen_at, a.data_sha256, a.topic_id,
		a.part, a.off, a.prev_hash, a.hash`
	// A plan that was kept since the log was small reads all of it for each record (500 records: 700 ms in
	// place of 20); planning anew costs a millisecond, which a single record would feel.
	sqlAuditPlans = `SET LOCAL plan_cache_mode = force_custom_plan`
	// The array is sorted, so any two transactions take their locks in the same order.
	sqlWitnessLock  = `SELECT count(pg_advisory_xact_lock($1, k)) FROM unnest($2::int[]) k`
	sqlAuditTenants = `SELECT id FROM tenants WHERE id = ANY ($1::uuid[])`
	sqlAuditHeads   = `
		SELECT h.tenant_id, h.n, h.hash FROM unnest($1::uuid[]) t
		CROSS JOIN LATERAL (SELECT a.tenant_id, a.n, a.hash FROM audit_log a WHERE a.tenant_id = t
		ORDER BY a.n DESC LIMIT 1) h`
	sqlAuditKnown = `
		SELECT ` + entryColumns + ` FROM unnest($1::uuid[], $2::uuid[], $3::int[]) k (tenant_id, order_id, seq)
		JOIN audit_log a ON a.tenant_id = k.tenant_id AND a.order_id = k.order_id AND a.seq = k.seq`
	sqlAuditLast = `
		SELECT l.* FROM (SELECT DISTINCT tenant_id, order_id FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, order_id)) k
		CROSS JOIN LATERAL (SELECT ` + entryColumns + ` FROM audit_log a WHERE a.tenant_id = k.tenant_id
			AND a.order_id = k.order_id ORDER BY a.seq DESC LIMIT 1) l`
	sqlAuditAdd = `
		INSERT INTO audit_log (tenant_id, n, order_id, seq, event_id, type, at, seen_at, data_sha256, topic_id, part, off,
		prev_hash, hash)
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::timestamptz[],
		$8::timestamptz[], $9::bytea[], $10::uuid[],
			$11::int[], $12::bigint[], $13::bytea[], $14::bytea[])`
	// One statement a finding: they are rare, and which of them are new is asked.
	sqlFindingAdd = `
		INSERT INTO audit_finding (tenant_id, kind, topic_id, part, off, order_id, seq, detail, at)
		SELECT coalesce((SELECT id FROM tenants WHERE id = $1), $10), $2, $3, $4, $5, $6, $7, $8, $9 ON CONFLICT DO NOTHING`
)

// AppendAuditLog continues the chains of the records' tenants; see app.AuditLog. For the audit login.
func (db *DB) AppendAuditLog(ctx context.Context, seen []auditlog.Entry) (app.Appended, error) {
	var all app.Appended
	for len(seen) > 0 {
		some := seen[:auditBatch(seen)]
		seen = seen[len(some):]
		done, err := db.appendAudit(ctx, some)
		if f := fault.Of(err); err != nil && len(some) > 1 && ctx.Err() == nil &&
			(f == nil || f.Kind != fault.KindUnavailable) {
			done, err = db.appendAuditSingly(ctx, some)
		}
		all.Fresh, all.Findings = all.Fresh+done.Fresh, append(all.Findings, done.Findings...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// auditBatch is how many of the records go into the next transaction.
func auditBatch(seen []auditlog.Entry) int {
	tenants := map[tenant.ID]bool{}
	for i, entry := range seen {
		if tenants[entry.Tenant] = true; i == auditRecords || len(tenants) > auditTenants {
			return i
		}
	}
	return len(seen)
}

// appendAuditSingly takes records one by one, up to the one at fault.
func (db *DB) appendAuditSingly(ctx context.Context, seen []auditlog.Entry) (app.Appended, error) {
	var all app.Appended
	for i := range seen {
		done, err := db.appendAudit(ctx, seen[i:i+1])
		if err != nil {
			return all, err
		}
		all.Fresh, all.Findings = all.Fresh+done.Fresh, append(all.Findings, done.Findings...)
	}
	return all, nil
}

// witness is one transaction: the locks and what is there in the first round trip, the links and the
// findings with the commit in the second.
func (db *DB) appendAudit(ctx context.Context, seen []auditlog.Entry) (app.Appended, error) {
	c, err := db.conn(ctx)
	if err != nil {
		return app.Appended{}, err
	}
	defer c.Release()
	before, b := newWitnessed(), &pgx.Batch{}
	b.Queue(sqlBegin)
	if len(seen) > 1 {
		b.Queue(sqlAuditPlans)
	}
	before.queue(b, seen)
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return app.Appended{}, errors.Join(faultOr(explain(ctx, err), "read the heads of the witness log"), abort(ctx, c))
	}
	links, findings := before.judge(seen)
	done, b := app.Appended{Fresh: len(links)}, &pgx.Batch{}
	if len(links) > 0 {
		queueLinks(b, links)
	}
	for _, f := range findings {
		queueFinding(b, f, func() { done.Findings = append(done.Findings, f) })
	}
	end := closing(b)
	if err := end.settle(ctx, c, c.SendBatch(ctx, b).Close()); err != nil {
		return app.Appended{}, errors.Join(faultOr(explain(ctx, err), "witness %d records from %d/%d on", len(seen),
			seen[0].Partition, seen[0].Offset), abort(ctx, c))
	}
	return done, nil
}

// witnessed is what there is of the records' chains and orders. Under the tenants' locks nobody changes it.
type witnessed struct {
	ours  map[tenant.ID]bool
	heads map[tenant.ID]auditlog.Head
	known map[eventPlace]*auditlog.Entry
	last  map[eventPlace]*auditlog.Entry // Seq 0 in the key
}

type eventPlace struct {
	tenant tenant.ID
	auditlog.Place
}

func placeOf(entry auditlog.Entry) eventPlace { return eventPlace{entry.Tenant, entry.Place()} }

func orderOf(entry auditlog.Entry) eventPlace {
	return eventPlace{entry.Tenant, auditlog.Place{Order: entry.Order}}
}

func newWitnessed() *witnessed {
	return &witnessed{
		map[tenant.ID]bool{},
		map[tenant.ID]auditlog.Head{},
		map[eventPlace]*auditlog.Entry{},
		map[eventPlace]*auditlog.Entry{},
	}
}

// queue reads in statements of their own behind the one that locks: only so do they see what was committed
// while it waited.
func (w *witnessed) queue(b *pgx.Batch, seen []auditlog.Entry) {
	tenants := []tenant.ID{{}} // nobody's findings
	var locks []int32
	for _, entry := range seen {
		if !slices.Contains(tenants, entry.Tenant) {
			tenants, locks = append(tenants, entry.Tenant), append(locks, lockOf(entry.Tenant))
		}
	}
	slices.Sort(locks)
	enter(b, tenants)
	b.Queue(sqlWitnessLock, int32(auditLock), locks)
	each(b.Queue(sqlAuditTenants, uids(tenants)), func(r pgx.Rows) error {
		var t tenant.ID
		err := r.Scan(intoID(&t))
		w.ours[t] = true
		return err
	})
	each(b.Queue(sqlAuditHeads, uids(tenants)), func(r pgx.Rows) error {
		h, err := scanHead(r)
		w.heads[h.Tenant] = h
		return err
	})
	of := column(seen, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Tenant) })
	orders := column(seen, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Order) })
	seqs := column(seen, func(entry *auditlog.Entry) int32 { return int32(entry.Seq) })
	each(b.Queue(sqlAuditKnown, of, orders, seqs), func(r pgx.Rows) error {
		entry, err := scanEntry(r)
		w.known[placeOf(entry)] = &entry
		return err
	})
	each(b.Queue(sqlAuditLast, of, orders), func(r pgx.Rows) error {
		entry, err := scanEntry(r)
		w.last[orderOf(entry)] = &entry
		return err
	})
}

func lockOf(t tenant.ID) int32 {
	h := fnv.New32a()
	_, _ = h.Write(t[:]) // a hash in memory takes everything
	return int32(h.Sum32())
}

// judge takes the records one after the other and gives the links to add and what is wrong.
func (w *witnessed) judge(seen []auditlog.Entry) (links []auditlog.Entry, findings []auditlog.Finding) {
	for _, entry := range seen {
		if !w.ours[entry.Tenant] {
			findings = append(findings, auditlog.Stranger(entry))
			continue
		}
		fresh, f := auditlog.Judge(entry, w.known[placeOf(entry)], w.last[orderOf(entry)])
		if f != nil {
			findings = append(findings, *f)
		}
		if !fresh {
			continue
		}
		h := w.heads[entry.Tenant]
		h.Tenant = entry.Tenant // of an empty chain there is none
		entry = entry.After(h)
		links = append(links, entry)
		w.heads[entry.Tenant] = auditlog.Head{Tenant: entry.Tenant, N: entry.N, Hash: entry.Hash}
		w.known[placeOf(entry)] = &entry
		if last := w.last[orderOf(entry)]; last == nil || last.Seq < entry.Seq {
			w.last[orderOf(entry)] = &entry
		}
	}
	return links, findings
}

func queueLinks(b *pgx.Batch, links []auditlog.Entry) {
	b.Queue(
		sqlAuditAdd,
		column(links, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Tenant) }),
		column(links, func(entry *auditlog.Entry) int64 { return entry.N }),
		column(links, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Order) }),
		column(links, func(entry *auditlog.Entry) int32 { return int32(entry.Seq) }),
		column(links, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Event) }),
		column(links, func(entry *auditlog.Entry) string { return string(entry.Type) }),
		column(links, func(entry *auditlog.Entry) pgtype.Timestamptz {
			return pgtype.Timestamptz{Time: entry.At, Valid: true}
		}),
		column(links, func(entry *auditlog.Entry) pgtype.Timestamptz {
			return pgtype.Timestamptz{Time: entry.SeenAt, Valid: true}
		}),
		column(links, func(entry *auditlog.Entry) []byte { return entry.DataSHA256[:] }),
		column(links, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Topic) }),
		column(links, func(entry *auditlog.Entry) int32 { return entry.Partition }),
		column(links, func(entry *auditlog.Entry) int64 { return entry.Offset }),
		column(links, func(entry *auditlog.Entry) []byte { return entry.PrevHash[:] }),
		column(links, func(entry *auditlog.Entry) []byte { return entry.Hash[:] }),
	)
}

// plain is an id as it is: what a stranger sends may be zero, and is no null.
func plain[T any](v id.Of[T]) pgtype.UUID { return pgtype.UUID{Bytes: v, Valid: true} }

func queueFinding(b *pgx.Batch, f auditlog.Finding, added func()) {
	seq := pgtype.Int4{Int32: int32(f.Seq), Valid: f.Seq != 0}
	b.Queue(sqlFindingAdd, plain(f.Tenant), string(f.Kind), plain(f.Topic), f.Partition, f.Offset, uid(f.Order), seq,
		f.Detail, stamp(f.At), plain(tenant.ID{})).
		Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() > 0 {
				added()
			}
			return nil
		})
}

// AddFinding files a finding; see app.AuditLog. For the audit login.
func (db *DB) AddFinding(ctx context.Context, f auditlog.Finding) (added bool, err error) {
	err = db.oneTrip(ctx, sqlBegin, []tenant.ID{f.Tenant, {}}, func(b *pgx.Batch) {
		queueFinding(b, f, func() { added = true })
	})
	if err != nil {
		return false, faultOr(err, "file finding %s of %d/%d", f.Kind, f.Partition, f.Offset)
	}
	return added, nil
}
