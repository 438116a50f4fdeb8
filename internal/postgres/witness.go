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
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/witness"
)

// witnessLock is the first half of the advisory lock under which a tenant's chain grows; the second is made
// of the tenant's id. Two tenants that share one only wait for each other.
const witnessLock = 0x0ad1

// Bounds of one transaction of the witness. The zero tenant, who owns what is nobody's, is
// one of maxTenants.
const (
	witnessRecords = 500
	witnessTenants = maxTenants - 1
)

const (
	linkColumns = `a.tenant_id, a.n, a.order_id, a.seq, a.event_id, a.type, a.at, a.seen_at, a.data_sha256, a.topic_id, a.part, a.off, a.prev_hash, a.hash`
	// A plan that was kept since the log was small reads all of it for each record (500 records: 700 ms in
	// place of 20); planning anew costs a millisecond, which a single record would feel.
	sqlWitnessPlans = `SET LOCAL plan_cache_mode = force_custom_plan`
	// The array is sorted, so any two transactions take their locks in the same order.
	sqlWitnessLock    = `SELECT count(pg_advisory_xact_lock($1, k)) FROM unnest($2::int[]) k`
	sqlWitnessTenants = `SELECT id FROM tenants WHERE id = ANY ($1::uuid[])`
	sqlWitnessHeads   = `
		SELECT h.tenant_id, h.n, h.hash FROM unnest($1::uuid[]) t
		CROSS JOIN LATERAL (SELECT a.tenant_id, a.n, a.hash FROM audit_log a WHERE a.tenant_id = t ORDER BY a.n DESC LIMIT 1) h`
	sqlWitnessKnown = `
		SELECT ` + linkColumns + ` FROM unnest($1::uuid[], $2::uuid[], $3::int[]) k (tenant_id, order_id, seq)
		JOIN audit_log a ON a.tenant_id = k.tenant_id AND a.order_id = k.order_id AND a.seq = k.seq`
	sqlWitnessLast = `
		SELECT l.* FROM (SELECT DISTINCT tenant_id, order_id FROM unnest($1::uuid[], $2::uuid[]) k (tenant_id, order_id)) k
		CROSS JOIN LATERAL (SELECT ` + linkColumns + ` FROM audit_log a WHERE a.tenant_id = k.tenant_id AND a.order_id = k.order_id ORDER BY a.seq DESC LIMIT 1) l`
	sqlWitnessAdd = `
		INSERT INTO audit_log (tenant_id, n, order_id, seq, event_id, type, at, seen_at, data_sha256, topic_id, part, off, prev_hash, hash)
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::bytea[], $10::uuid[],
			$11::int[], $12::bigint[], $13::bytea[], $14::bytea[])`
	// One statement a finding: they are rare, and which of them are new is asked.
	sqlFindingAdd = `
		INSERT INTO audit_finding (tenant_id, kind, topic_id, part, off, order_id, seq, detail, at)
		SELECT coalesce((SELECT id FROM tenants WHERE id = $1), $10), $2, $3, $4, $5, $6, $7, $8, $9 ON CONFLICT DO NOTHING`
)

// WitnessAll continues the chains of the records' tenants; see app.WitnessLog. For the audit login.
func (db *DB) WitnessAll(ctx context.Context, seen []witness.Link) (app.Witnessed, error) {
	var all app.Witnessed
	for len(seen) > 0 {
		some := seen[:witnessBatch(seen)]
		seen = seen[len(some):]
		done, err := db.witness(ctx, some)
		if f := fault.Of(err); err != nil && len(some) > 1 && ctx.Err() == nil && (f == nil || f.Kind != fault.KindUnavailable) {
			done, err = db.witnessSingly(ctx, some)
		}
		all.Fresh, all.Findings = all.Fresh+done.Fresh, append(all.Findings, done.Findings...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// witnessBatch is how many of the records go into the next transaction.
func witnessBatch(seen []witness.Link) int {
	tenants := map[tenant.ID]bool{}
	for i, l := range seen {
		if tenants[l.Tenant] = true; i == witnessRecords || len(tenants) > witnessTenants {
			return i
		}
	}
	return len(seen)
}

// witnessSingly takes records one by one, up to the one at fault.
func (db *DB) witnessSingly(ctx context.Context, seen []witness.Link) (app.Witnessed, error) {
	var all app.Witnessed
	for i := range seen {
		done, err := db.witness(ctx, seen[i:i+1])
		if err != nil {
			return all, err
		}
		all.Fresh, all.Findings = all.Fresh+done.Fresh, append(all.Findings, done.Findings...)
	}
	return all, nil
}

// witness is one transaction: the locks and what is there in the first round trip, the links and the
// findings with the commit in the second.
func (db *DB) witness(ctx context.Context, seen []witness.Link) (app.Witnessed, error) {
	c, err := db.conn(ctx)
	if err != nil {
		return app.Witnessed{}, err
	}
	defer c.Release()
	before, b := newWitnessed(), &pgx.Batch{}
	b.Queue(sqlBegin)
	if len(seen) > 1 {
		b.Queue(sqlWitnessPlans)
	}
	before.queue(b, seen)
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		return app.Witnessed{}, errors.Join(faultOr(explain(ctx, err), "read the heads of the witness log"), abort(ctx, c))
	}
	links, findings := before.judge(seen)
	done, b := app.Witnessed{Fresh: len(links)}, &pgx.Batch{}
	if len(links) > 0 {
		queueLinks(b, links)
	}
	for _, f := range findings {
		queueFinding(b, f, func() { done.Findings = append(done.Findings, f) })
	}
	end := closing(b)
	if err := end.settle(ctx, c, c.SendBatch(ctx, b).Close()); err != nil {
		return app.Witnessed{}, errors.Join(faultOr(explain(ctx, err), "witness %d records from %d/%d on", len(seen), seen[0].Partition, seen[0].Offset), abort(ctx, c))
	}
	return done, nil
}

// witnessed is what there is of the records' chains and orders. Under the tenants' locks nobody changes it.
type witnessed struct {
	ours  map[tenant.ID]bool
	heads map[tenant.ID]witness.Head
	known map[eventPlace]*witness.Link
	last  map[eventPlace]*witness.Link // Seq 0 in the key
}

type eventPlace struct {
	tenant tenant.ID
	witness.Place
}

func placeOf(l witness.Link) eventPlace { return eventPlace{l.Tenant, l.Place()} }

func orderOf(l witness.Link) eventPlace { return eventPlace{l.Tenant, witness.Place{Order: l.Order}} }

func newWitnessed() *witnessed {
	return &witnessed{map[tenant.ID]bool{}, map[tenant.ID]witness.Head{}, map[eventPlace]*witness.Link{}, map[eventPlace]*witness.Link{}}
}

// queue reads in statements of their own behind the one that locks: only so do they see what was committed
// while it waited.
func (w *witnessed) queue(b *pgx.Batch, seen []witness.Link) {
	tenants := []tenant.ID{{}} // nobody's findings
	var locks []int32
	for _, l := range seen {
		if !slices.Contains(tenants, l.Tenant) {
			tenants, locks = append(tenants, l.Tenant), append(locks, lockOf(l.Tenant))
		}
	}
	slices.Sort(locks)
	enter(b, tenants)
	b.Queue(sqlWitnessLock, int32(witnessLock), locks)
	each(b.Queue(sqlWitnessTenants, uids(tenants)), func(r pgx.Rows) error {
		var t tenant.ID
		err := r.Scan(intoID(&t))
		w.ours[t] = true
		return err
	})
	each(b.Queue(sqlWitnessHeads, uids(tenants)), func(r pgx.Rows) error {
		h, err := scanHead(r)
		w.heads[h.Tenant] = h
		return err
	})
	of := column(seen, func(l *witness.Link) pgtype.UUID { return plain(l.Tenant) })
	orders := column(seen, func(l *witness.Link) pgtype.UUID { return plain(l.Order) })
	seqs := column(seen, func(l *witness.Link) int32 { return int32(l.Seq) })
	each(b.Queue(sqlWitnessKnown, of, orders, seqs), func(r pgx.Rows) error {
		l, err := scanLink(r)
		w.known[placeOf(l)] = &l
		return err
	})
	each(b.Queue(sqlWitnessLast, of, orders), func(r pgx.Rows) error {
		l, err := scanLink(r)
		w.last[orderOf(l)] = &l
		return err
	})
}

func lockOf(t tenant.ID) int32 {
	h := fnv.New32a()
	_, _ = h.Write(t[:]) // a hash in memory takes everything
	return int32(h.Sum32())
}

// judge takes the records one after the other and gives the links to add and what is wrong.
func (w *witnessed) judge(seen []witness.Link) (links []witness.Link, findings []witness.Finding) {
	for _, l := range seen {
		if !w.ours[l.Tenant] {
			findings = append(findings, witness.Stranger(l))
			continue
		}
		fresh, f := witness.Judge(l, w.known[placeOf(l)], w.last[orderOf(l)])
		if f != nil {
			findings = append(findings, *f)
		}
		if !fresh {
			continue
		}
		h := w.heads[l.Tenant]
		h.Tenant = l.Tenant // of an empty chain there is none
		l = l.After(h)
		links = append(links, l)
		w.heads[l.Tenant] = witness.Head{Tenant: l.Tenant, N: l.N, Hash: l.Hash}
		w.known[placeOf(l)] = &l
		if last := w.last[orderOf(l)]; last == nil || last.Seq < l.Seq {
			w.last[orderOf(l)] = &l
		}
	}
	return links, findings
}

func queueLinks(b *pgx.Batch, links []witness.Link) {
	b.Queue(
		sqlWitnessAdd,
		column(links, func(l *witness.Link) pgtype.UUID { return plain(l.Tenant) }),
		column(links, func(l *witness.Link) int64 { return l.N }),
		column(links, func(l *witness.Link) pgtype.UUID { return plain(l.Order) }),
		column(links, func(l *witness.Link) int32 { return int32(l.Seq) }),
		column(links, func(l *witness.Link) pgtype.UUID { return plain(l.Event) }),
		column(links, func(l *witness.Link) string { return string(l.Type) }),
		column(links, func(l *witness.Link) pgtype.Timestamptz { return pgtype.Timestamptz{Time: l.At, Valid: true} }),
		column(links, func(l *witness.Link) pgtype.Timestamptz { return pgtype.Timestamptz{Time: l.SeenAt, Valid: true} }),
		column(links, func(l *witness.Link) []byte { return l.DataSHA256[:] }),
		column(links, func(l *witness.Link) pgtype.UUID { return plain(l.Topic) }),
		column(links, func(l *witness.Link) int32 { return l.Partition }),
		column(links, func(l *witness.Link) int64 { return l.Offset }),
		column(links, func(l *witness.Link) []byte { return l.PrevHash[:] }),
		column(links, func(l *witness.Link) []byte { return l.Hash[:] }),
	)
}

// plain is an id as it is: what a stranger sends may be zero, and is no null.
func plain[T any](v id.Of[T]) pgtype.UUID { return pgtype.UUID{Bytes: v, Valid: true} }

func queueFinding(b *pgx.Batch, f witness.Finding, added func()) {
	seq := pgtype.Int4{Int32: int32(f.Seq), Valid: f.Seq != 0}
	b.Queue(sqlFindingAdd, plain(f.Tenant), string(f.Kind), plain(f.Topic), f.Partition, f.Offset, uid(f.Order), seq, f.Detail, stamp(f.At), plain(tenant.ID{})).
		Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() > 0 {
				added()
			}
			return nil
		})
}

// AddFinding files a finding; see app.WitnessLog. For the audit login.
func (db *DB) AddFinding(ctx context.Context, f witness.Finding) (added bool, err error) {
	err = db.oneTrip(ctx, sqlBegin, []tenant.ID{f.Tenant, {}}, func(b *pgx.Batch) { queueFinding(b, f, func() { added = true }) })
	if err != nil {
		return false, faultOr(err, "file finding %s of %d/%d", f.Kind, f.Partition, f.Offset)
	}
	return added, nil
}
