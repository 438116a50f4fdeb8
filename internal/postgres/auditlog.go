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

// auditLock is the first key of the advisory lock under which a tenant's chain grows; the second key is a hash of
// the tenant's id. Two tenants with the same hash only wait for each other.
const auditLock = 0x0ad1

// Bounds of one transaction of the audit log. The zero tenant, which owns the findings of unknown tenants, is one
// of maxTenants.
const (
	auditRecords = 500
	auditTenants = maxTenants - 1
)

const (
	entryColumns = `a.tenant_id, a.n, a.order_id, a.seq, a.event_id, a.type, a.at, a.seen_at, a.data_sha256, a.topic_id,
		a.part, a.off, a.prev_hash, a.hash`
	// A generic plan that was cached while the log was small reads the whole log for each record (700 ms instead of
	// 20 for 500 records). Planning costs a millisecond, which would be noticeable for a single record.
	sqlAuditPlans = `SET LOCAL plan_cache_mode = force_custom_plan`
	// The array is sorted, so that any two transactions take their locks in the same order.
	sqlAuditLock    = `SELECT count(pg_advisory_xact_lock($1, k)) FROM unnest($2::int[]) k`
	sqlAuditTenants = `SELECT id FROM tenants WHERE id = ANY ($1::uuid[])`
	sqlAuditHeads   = `
		SELECT h.tenant_id, h.n, h.hash
		FROM unnest($1::uuid[]) t
		CROSS JOIN LATERAL (
			SELECT a.tenant_id, a.n, a.hash
			FROM audit_log a
			WHERE a.tenant_id = t
			ORDER BY a.n DESC
			LIMIT 1) h`
	sqlAuditKnown = `
		SELECT ` + entryColumns + `
		FROM unnest($1::uuid[], $2::uuid[], $3::int[]) k (tenant_id, order_id, seq)
		JOIN audit_log a ON a.tenant_id = k.tenant_id AND a.order_id = k.order_id AND a.seq = k.seq`
	sqlAuditLast = `
		SELECT l.*
		FROM (SELECT DISTINCT tenant_id, order_id FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, order_id)) k
		CROSS JOIN LATERAL (
			SELECT ` + entryColumns + `
			FROM audit_log a
			WHERE a.tenant_id = k.tenant_id AND a.order_id = k.order_id
			ORDER BY a.seq DESC
			LIMIT 1) l`
	sqlAuditAdd = `
		INSERT INTO audit_log (tenant_id, n, order_id, seq, event_id, type, at, seen_at, data_sha256, topic_id,
			part, off, prev_hash, hash)
		SELECT *
		FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::timestamptz[],
			$8::timestamptz[], $9::bytea[], $10::uuid[], $11::int[], $12::bigint[], $13::bytea[], $14::bytea[])`
	// One statement for each finding, because the caller needs to know which are new; findings are rare.
	sqlFindingAdd = `
		INSERT INTO audit_finding (tenant_id, kind, topic_id, part, off, order_id, seq, detail, at)
		SELECT coalesce((SELECT id FROM tenants WHERE id = $1), $10), $2, $3, $4, $5, $6, $7, $8, $9
		ON CONFLICT DO NOTHING`
)

// AppendAuditLog continues the chains of the records' tenants, for the audit login; see app.AuditLog.
func (db *DB) AppendAuditLog(ctx context.Context, seen []auditlog.Entry) (app.Appended, error) {
	var all app.Appended
	for len(seen) > 0 {
		batch := seen[:auditBatch(seen)]
		seen = seen[len(batch):]
		done, err := db.appendAudit(ctx, batch)
		if f := fault.Of(err); err != nil && len(batch) > 1 && ctx.Err() == nil &&
			(f == nil || f.Kind != fault.KindUnavailable) {
			done, err = db.appendAuditSingly(ctx, batch)
		}
		all.Fresh, all.Findings = all.Fresh+done.Fresh, append(all.Findings, done.Findings...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// auditBatch returns how many of the records the next transaction takes.
func auditBatch(seen []auditlog.Entry) int {
	tenants := map[tenant.ID]bool{}
	for i, entry := range seen {
		if tenants[entry.Tenant] = true; i == auditRecords || len(tenants) > auditTenants {
			return i
		}
	}
	return len(seen)
}

// appendAuditSingly appends records one by one, up to the one that fails.
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

// appendAudit runs one transaction. The first round trip takes the locks and reads the state of the chains; the
// second writes the entries and the findings, and commits.
func (db *DB) appendAudit(ctx context.Context, seen []auditlog.Entry) (app.Appended, error) {
	c, err := db.conn(ctx)
	if err != nil {
		return app.Appended{}, err
	}
	defer c.Release()
	state, b := newChainState(), &pgx.Batch{}
	b.Queue(sqlBegin)
	if len(seen) > 1 {
		b.Queue(sqlAuditPlans)
	}
	state.queue(b, seen)
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return app.Appended{}, errors.Join(faultOr(explain(ctx, err), "read the heads of the audit log"), abort(ctx, c))
	}
	entries, findings := state.extend(seen)
	done, b := app.Appended{Fresh: len(entries)}, &pgx.Batch{}
	if len(entries) > 0 {
		queueEntries(b, entries)
	}
	for _, f := range findings {
		queueFinding(b, f, func() { done.Findings = append(done.Findings, f) })
	}
	end := queueCommit(b)
	if err := end.settle(ctx, c, c.SendBatch(ctx, b).Close()); err != nil {
		err = faultOr(explain(ctx, err), "append %d records from %d/%d on to the audit log", len(seen),
			seen[0].Partition, seen[0].Offset)
		return app.Appended{}, errors.Join(err, abort(ctx, c))
	}
	return done, nil
}

// chainState is the stored state of the records' chains and orders. It cannot change while the tenants' locks are
// held.
type chainState struct {
	tenants map[tenant.ID]bool // the records' tenants that exist
	heads   map[tenant.ID]auditlog.Head
	known   map[eventPlace]*auditlog.Entry // by event
	last    map[eventPlace]*auditlog.Entry // by order, with Seq 0 in the key
}

// eventPlace is an event's tenant, order and number.
type eventPlace struct {
	tenant tenant.ID
	auditlog.Place
}

func placeOf(entry auditlog.Entry) eventPlace { return eventPlace{entry.Tenant, entry.Place()} }

func orderOf(entry auditlog.Entry) eventPlace {
	return eventPlace{entry.Tenant, auditlog.Place{Order: entry.Order}}
}

func newChainState() *chainState {
	return &chainState{
		map[tenant.ID]bool{},
		map[tenant.ID]auditlog.Head{},
		map[eventPlace]*auditlog.Entry{},
		map[eventPlace]*auditlog.Entry{},
	}
}

// queue queues the locks and then the reads. The reads are separate statements, so that they see what was
// committed while the lock was awaited.
func (s *chainState) queue(b *pgx.Batch, seen []auditlog.Entry) {
	tenants := []tenant.ID{{}} // the zero tenant owns the findings of unknown tenants
	var locks []int32
	for _, entry := range seen {
		if !slices.Contains(tenants, entry.Tenant) {
			tenants, locks = append(tenants, entry.Tenant), append(locks, lockOf(entry.Tenant))
		}
	}
	slices.Sort(locks)
	setTenants(b, tenants)
	b.Queue(sqlAuditLock, int32(auditLock), locks)
	each(b.Queue(sqlAuditTenants, uids(tenants)), func(r pgx.Rows) error {
		var t tenant.ID
		err := r.Scan(intoID(&t))
		s.tenants[t] = true
		return err
	})
	each(b.Queue(sqlAuditHeads, uids(tenants)), func(r pgx.Rows) error {
		h, err := scanHead(r)
		s.heads[h.Tenant] = h
		return err
	})
	tenantOf := column(seen, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Tenant) })
	orders := column(seen, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Order) })
	seqs := column(seen, func(entry *auditlog.Entry) int32 { return int32(entry.Seq) })
	each(b.Queue(sqlAuditKnown, tenantOf, orders, seqs), func(r pgx.Rows) error {
		entry, err := scanEntry(r)
		s.known[placeOf(entry)] = &entry
		return err
	})
	each(b.Queue(sqlAuditLast, tenantOf, orders), func(r pgx.Rows) error {
		entry, err := scanEntry(r)
		s.last[orderOf(entry)] = &entry
		return err
	})
}

func lockOf(t tenant.ID) int32 {
	h := fnv.New32a()
	_, _ = h.Write(t[:]) // never returns an error
	return int32(h.Sum32())
}

// extend checks the records in their order. It returns the entries to add to the chains, and the findings.
func (s *chainState) extend(seen []auditlog.Entry) (added []auditlog.Entry, findings []auditlog.Finding) {
	for _, entry := range seen {
		if !s.tenants[entry.Tenant] {
			findings = append(findings, auditlog.UnknownTenant(entry))
			continue
		}
		fresh, f := auditlog.Check(entry, s.known[placeOf(entry)], s.last[orderOf(entry)])
		if f != nil {
			findings = append(findings, *f)
		}
		if !fresh {
			continue
		}
		h := s.heads[entry.Tenant]
		h.Tenant = entry.Tenant // an empty chain has no head
		entry = entry.After(h)
		added = append(added, entry)
		s.heads[entry.Tenant] = auditlog.Head{Tenant: entry.Tenant, N: entry.N, Hash: entry.Hash}
		s.known[placeOf(entry)] = &entry
		if last := s.last[orderOf(entry)]; last == nil || last.Seq < entry.Seq {
			s.last[orderOf(entry)] = &entry
		}
	}
	return added, findings
}

func queueEntries(b *pgx.Batch, entries []auditlog.Entry) {
	b.Queue(
		sqlAuditAdd,
		column(entries, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Tenant) }),
		column(entries, func(entry *auditlog.Entry) int64 { return entry.N }),
		column(entries, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Order) }),
		column(entries, func(entry *auditlog.Entry) int32 { return int32(entry.Seq) }),
		column(entries, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Event) }),
		column(entries, func(entry *auditlog.Entry) string { return string(entry.Type) }),
		column(entries, func(entry *auditlog.Entry) pgtype.Timestamptz {
			return pgtype.Timestamptz{Time: entry.At, Valid: true}
		}),
		column(entries, func(entry *auditlog.Entry) pgtype.Timestamptz {
			return pgtype.Timestamptz{Time: entry.SeenAt, Valid: true}
		}),
		column(entries, func(entry *auditlog.Entry) []byte { return entry.DataSHA256[:] }),
		column(entries, func(entry *auditlog.Entry) pgtype.UUID { return plain(entry.Topic) }),
		column(entries, func(entry *auditlog.Entry) int32 { return entry.Partition }),
		column(entries, func(entry *auditlog.Entry) int64 { return entry.Offset }),
		column(entries, func(entry *auditlog.Entry) []byte { return entry.PrevHash[:] }),
		column(entries, func(entry *auditlog.Entry) []byte { return entry.Hash[:] }),
	)
}

// plain returns an id as a column value that is never null. The ids of a forged record may be zero.
func plain[T any](v id.Of[T]) pgtype.UUID { return pgtype.UUID{Bytes: v, Valid: true} }

func queueFinding(b *pgx.Batch, f auditlog.Finding, added func()) {
	seq := pgtype.Int4{Int32: int32(f.Seq), Valid: f.Seq != 0}
	add := b.Queue(sqlFindingAdd, plain(f.Tenant), string(f.Kind), plain(f.Topic), f.Partition, f.Offset,
		uid(f.Order), seq, f.Detail, stamp(f.At), plain(tenant.ID{}))
	add.Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() > 0 {
			added()
		}
		return nil
	})
}

// AddFinding stores a finding and reports whether it is new, for the audit login; see app.AuditLog.
func (db *DB) AddFinding(ctx context.Context, f auditlog.Finding) (added bool, err error) {
	err = db.oneTrip(ctx, sqlBegin, []tenant.ID{f.Tenant, {}}, func(b *pgx.Batch) {
		queueFinding(b, f, func() { added = true })
	})
	if err != nil {
		return false, faultOr(err, "store finding %s of %d/%d", f.Kind, f.Partition, f.Offset)
	}
	return added, nil
}
