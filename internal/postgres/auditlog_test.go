package postgres_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// topic and rebuilt are the ids of a topic and of its successor with the same name.
var topic, rebuilt = auditlog.TopicID{1}, auditlog.TopicID{2}

// record returns a record of an order as the Audit consumer read it. Its content depends only on the order and
// the number.
func record(db *pgtest.DB, t tenant.ID, o order.ID, seq int, off int64) auditlog.Entry {
	return auditlog.Entry{
		Tenant: t, Order: o, Seq: seq, Event: [16]byte{o[15], byte(seq), byte(seq >> 8), 1}, Type: order.EvUpdated,
		At: db.Clock.Now(), SeenAt: db.Clock.Now(),
		DataSHA256: sha256.Sum256([]byte(o.String() + fmt.Sprint(seq))), Topic: topic, Partition: 3, Offset: off,
	}
}

// appendAll appends records without an error, and returns the kinds and numbers of the findings.
func appendAll(t testing.TB, log app.AuditLog, entries ...auditlog.Entry) (found []string) {
	t.Helper()
	done, err := log.AppendAuditLog(t.Context(), entries)
	if err != nil {
		t.Fatalf("AppendAuditLog() = %v", err)
	}
	for _, f := range done.Findings {
		found = append(found, fmt.Sprintf("%s %d", f.Kind, f.Seq))
	}
	return found
}

// addTenants adds an empty tenant for each name.
func addTenants[V any](t *testing.T, db *pgtest.DB, names map[string]V) map[string]tenant.ID {
	t.Helper()
	admin, err := postgres.OpenAdmin(t.Context(), db.OwnerURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(t.Context()) }()
	ids := map[string]tenant.ID{}
	for name := range names {
		ids[name] = newID[tenant.Tenant](db)
		if err := admin.AddTenant(t.Context(), ids[name], strings.ReplaceAll(name, " ", "-"), db.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

// wantChain requires a tenant's chain to be whole and to have n entries.
func wantChain(t testing.TB, log app.AuditLog, of tenant.ID, n int64) auditlog.Head {
	t.Helper()
	c := verify(t, log, of)
	if c.Broken != nil || c.Head.N != n {
		t.Errorf("chain of %s: %d entries, broken: %v; want %d, whole", of, c.Head.N, c.Broken, n)
	}
	return c.Head
}

func verify(t testing.TB, log app.AuditLog, of tenant.ID, earlier ...auditlog.Head) auditlog.Chain {
	t.Helper()
	v := auditlog.NewVerifier(earlier...)
	v.Begin(of)
	err := app.EachEntry(context.WithoutCancel(t.Context()), log, of, func(entry auditlog.Entry) error {
		v.Add(entry)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.Chains()[0]
}

func findings(t testing.TB, log app.AuditLog, of tenant.ID) (list []string) {
	t.Helper()
	for _, f := range must(log.Findings(t.Context(), of, time.Time{})) {
		list = append(list, fmt.Sprintf("%s %d at %d", f.Kind, f.Seq, f.Offset))
	}
	return list
}

func TestTheAuditLogChainsATenantsRecordsInTheOrderInWhichItSawThem(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	audit := db.Audit(t)
	o, p, q := newID[order.Order](db), newID[order.Order](db), newID[order.Order](db)
	if found := appendAll(t, audit, record(db, a.ID, o, 1, 10), record(db, b.ID, q, 1, 11), record(db, a.ID, p, 1, 12),
		record(db, a.ID, o, 2, 13)); found != nil {
		t.Errorf("found %v", found)
	}
	db.Clock.Set(db.Clock.Now().Add(time.Second))
	if found := appendAll(t, audit, record(db, a.ID, o, 3, 14)); found != nil {
		t.Errorf("found %v", found)
	}
	entries := must(audit.Entries(t.Context(), a.ID, 0, 10))
	var got []string
	prev := auditlog.Hash{}
	for _, entry := range entries {
		got = append(got, fmt.Sprintf("n %d order %t seq %d off %d", entry.N, entry.Order == o, entry.Seq, entry.Offset))
		if entry.PrevHash != prev || entry.Hash != entry.Sum() {
			t.Errorf("entry %d does not continue the one before it", entry.N)
		}
		prev = entry.Hash
	}
	want := []string{
		"n 1 order true seq 1 off 10", "n 2 order false seq 1 off 12", "n 3 order true seq 2 off 13",
		"n 4 order true seq 3 off 14",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chain of a (-want +got):\n%s", diff)
	}
	head := wantChain(t, audit, a.ID, 4)
	other := wantChain(t, audit, b.ID, 1)
	heads := must(audit.Heads(t.Context()))
	if diff := cmp.Diff([]auditlog.Head{head, other}, heads); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
}

// What may happen to the records of an order on the topic, as the Audit consumer sees it.
func TestTheAuditLogReportsWhatIsWrongWithTheTopic(t *testing.T) {
	t.Parallel()
	edited := func(entry auditlog.Entry) auditlog.Entry { entry.DataSHA256[0]++; return entry }
	retyped := func(entry auditlog.Entry) auditlog.Entry { entry.Type = order.EvCreated; return entry }
	redated := func(entry auditlog.Entry) auditlog.Entry { entry.At = entry.At.Add(time.Microsecond); return entry }
	otherID := func(entry auditlog.Entry) auditlog.Entry { entry.Event[15]++; return entry }
	onRebuilt := func(entry auditlog.Entry) auditlog.Entry { entry.Topic = rebuilt; return entry }
	db := pgtest.New(t)
	audit := db.Audit(t)
	cases := map[string]struct {
		records func(at func(seq int, off int64) auditlog.Entry) []auditlog.Entry
		want    []string // findings
		chain   int64    // entries
	}{
		"as it must be": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), at(2, 1), at(3, 2)}
		}, nil, 3},
		"one is deleted": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), at(3, 2)}
		}, []string{"gap 3"}, 2},
		"the first one is deleted": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(2, 1), at(3, 2)}
		}, []string{"gap 2"}, 2},
		"one is there twice": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), at(2, 1), at(2, 2)}
		}, []string{"duplicate 2"}, 2},
		"two are swapped": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), at(3, 1), at(2, 2)}
		}, []string{"gap 3", "order 2"}, 3},
		"one comes edited": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), edited(at(1, 1))}
		}, []string{"conflict 1"}, 1},
		"one is edited in its place": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), edited(at(1, 0))}
		}, []string{"conflict 1"}, 1},
		"one comes as another type": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), retyped(at(1, 1))}
		}, []string{"conflict 1"}, 1},
		"one comes with another id": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), otherID(at(1, 1))}
		}, []string{"conflict 1"}, 1},
		"one comes redated": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), redated(at(1, 1))}
		}, []string{"conflict 1"}, 1},
		"one is read again": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 0), at(2, 1), at(1, 0), at(2, 1)}
		}, nil, 2},
		"the topic is rebuilt": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 5), at(2, 6), onRebuilt(at(1, 0)), onRebuilt(at(2, 1)), onRebuilt(at(3, 2))}
		}, nil, 3},
		"the rebuilt topic has what the old one lacked": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 5), at(3, 6), onRebuilt(at(1, 0)), onRebuilt(at(2, 1)), onRebuilt(at(3, 2))}
		}, []string{"gap 3"}, 3},
		"one is edited in the rebuilt topic": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 5), at(2, 6), onRebuilt(at(1, 0)), onRebuilt(edited(at(2, 1)))}
		}, []string{"conflict 2"}, 2},
		"one is twice in the rebuilt topic": {func(at func(int, int64) auditlog.Entry) []auditlog.Entry {
			return []auditlog.Entry{at(1, 5), onRebuilt(at(1, 0)), onRebuilt(at(2, 1)), onRebuilt(at(2, 2))}
		}, []string{"duplicate 2"}, 2},
	}
	for name, of := range addTenants(t, db, cases) {
		t.Run(name, func(t *testing.T) {
			c, o := cases[name], newID[order.Order](db)
			entries := c.records(func(seq int, off int64) auditlog.Entry { return record(db, of, o, seq, off) })
			if diff := cmp.Diff(c.want, appendAll(t, audit, entries...)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			// A redelivery, at once and one by one, adds no entries and no findings.
			if found := appendAll(t, audit, entries...); found != nil {
				t.Errorf("findings after a redelivery: %v", found)
			}
			for _, entry := range entries {
				if found := appendAll(t, audit, entry); found != nil {
					t.Errorf("findings after a redelivery of number %d: %v", entry.Seq, found)
				}
			}
			if got := findings(t, audit, of); len(got) != len(c.want) {
				t.Errorf("stored findings %v, want %d", got, len(c.want))
			}
			wantChain(t, audit, of, c.chain)
		})
	}
}

func TestABatchHasTheFindingsOfItsRecordsOneByOne(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	audit := db.Audit(t)
	o, p := newID[order.Order](db), newID[order.Order](db)
	entries := func(of tenant.ID) []auditlog.Entry {
		return []auditlog.Entry{
			record(db, of, o, 1, 0), record(db, of, p, 2, 1), record(db, of, o, 4, 2),
			record(db, of, o, 2, 3), record(db, of, p, 1, 4), record(db, of, p, 2, 5),
		}
	}
	batch := appendAll(t, audit, entries(a.ID)...)
	var singly []string
	for _, entry := range entries(b.ID) {
		singly = append(singly, appendAll(t, audit, entry)...)
	}
	want := []string{"gap 2", "gap 4", "order 2", "order 1", "duplicate 2"}
	if diff := cmp.Diff(want, batch); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, singly); diff != "" {
		t.Errorf("one by one (-want +got):\n%s", diff)
	}
}

func TestARecordOfAnUnknownTenantIsFiledUnderTheZeroTenant(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	audit := db.Audit(t)
	unknown := tenant.ID(db.Clock.NewID())
	o := newID[order.Order](db)
	found := appendAll(t, audit, record(db, org.ID, o, 1, 0), record(db, unknown, o, 1, 1), record(db, org.ID, o, 2, 2))
	if diff := cmp.Diff([]string{"foreign 0"}, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	wantChain(t, audit, org.ID, 2)
	wantChain(t, audit, unknown, 0)
	// Records that the envelope's guard refused: one names a known tenant, one an unknown tenant, one no tenant.
	for i, of := range []tenant.ID{org.ID, unknown, {}} {
		f := auditlog.Finding{
			Tenant: of, Kind: auditlog.Foreign, Topic: topic, Partition: 4, Offset: int64(i), Detail: "tenant-missing",
			At: db.Clock.Now(),
		}
		for _, want := range []bool{true, false} {
			if added, err := audit.AddFinding(t.Context(), f); err != nil || added != want {
				t.Errorf("AddFinding(%s) = %t, %v; want %t", of, added, err, want)
			}
		}
	}
	if diff := cmp.Diff([]string{"foreign 0 at 0"}, findings(t, audit, org.ID)); diff != "" {
		t.Errorf("findings of the tenant (-want +got):\n%s", diff)
	}
	want := []string{"foreign 0 at 1", "foreign 0 at 1", "foreign 0 at 2"}
	if diff := cmp.Diff(want, findings(t, audit, tenant.ID{})); diff != "" {
		t.Errorf("findings of the zero tenant (-want +got):\n%s", diff)
	}
}

// Several consumers, as after a rebalance, when one does not know yet that it lost its partition.
func TestConcurrentAuditConsumersDoNotForkTheChain(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	const orders, events = 6, 20
	var entries []auditlog.Entry
	for o := range orders {
		of, id := []tenant.ID{a.ID, b.ID}[o%2], newID[order.Order](db)
		for seq := 1; seq <= events; seq++ {
			entries = append(entries, record(db, of, id, seq, int64(len(entries))))
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for _, size := range []int{1, 7, 1, 120} {
		audit := db.Open(t, postgres.LoginAudit, postgres.Options{MaxConns: 1})
		wg.Go(func() {
			for at := 0; at < len(entries); at += size {
				batch := entries[at:min(at+size, len(entries))]
				done, err := audit.AppendAuditLog(t.Context(), batch)
				for fault.Of(err) != nil { // a busy lock: the consumer tries again too
					done, err = audit.AppendAuditLog(t.Context(), batch)
				}
				if err != nil || len(done.Findings) > 0 {
					t.Errorf("AppendAuditLog() = %+v, %v", done, err)
					return
				}
				mu.Lock()
				fresh += done.Fresh
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if fresh != len(entries) {
		t.Errorf("%d entries were added in all, want each of the %d once", fresh, len(entries))
	}
	audit := db.Audit(t)
	wantChain(t, audit, a.ID, orders/2*events)
	wantChain(t, audit, b.ID, orders/2*events)
	// Without the lock, the primary key would still refuse a second entry with the same number.
	_, err := db.Super(t).Exec(t.Context(), `
		INSERT INTO audit_log
		SELECT (jsonb_populate_record(a, jsonb_build_object('seq', 99))).*
		FROM audit_log a
		WHERE n = 1`)
	if sqlState(err) != "23505" {
		t.Errorf("a fork: %v, want 23505", err)
	}
}

// cutLine closes its connection at one of the requests, before it is sent or when its answer was received.
type cutLine struct {
	countdown atomic.Int32 // of requests
	answer    bool         // lose the answer and not the request
}

func (l *cutLine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, line: l}, nil
}

type cutConn struct {
	net.Conn
	line *cutLine
	cut  atomic.Bool
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.line.countdown.Add(-1) == 0 {
		if c.cut.Store(true); !c.line.answer {
			_ = c.Close()
			return 0, io.ErrClosedPipe
		}
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b) // the server has answered and so has done its work
	if c.cut.Load() {
		_ = c.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestAnAuditConsumerThatDiesInTheMiddleLeavesNoGap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trip    int32
		answer  bool
		entries int64 // after the death
	}{
		"before the read":                      {1, false, 1},
		"after the read":                       {1, true, 1},
		"before the commit":                    {2, false, 1},
		"after the commit, without its answer": {2, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			org, _ := db.Two(t)
			line := cutLine{answer: c.answer}
			dying := db.Open(t, postgres.LoginAudit, postgres.Options{MaxConns: 1, DialFunc: line.dial})
			o := newID[order.Order](db)
			// prepares the statements, so that the next append sends two requests
			appendAll(t, dying, record(db, org.ID, o, 1, 0), record(db, org.ID, o, 1, 0))
			line.countdown.Store(c.trip)
			ctx, cancel := context.WithCancel(t.Context())
			_, err := dying.AppendAuditLog(ctx, []auditlog.Entry{record(db, org.ID, o, 2, 1), record(db, org.ID, o, 3, 2)})
			cancel()
			if err == nil {
				t.Fatal("the line was not cut")
			}
			audit := db.Audit(t)
			wantChain(t, audit, org.ID, c.entries)
			if found := appendAll(t, audit, record(db, org.ID, o, 2, 1), record(db, org.ID, o, 3, 2),
				record(db, org.ID, o, 4, 3)); found != nil {
				t.Errorf("findings of the successor: %v", found)
			}
			wantChain(t, audit, org.ID, 4)
		})
	}
}

// A type with a NUL is an example of a record that the database refuses.
func TestARecordThatCannotBeStoredStopsOnlyTheRecordsBehindIt(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	audit := db.Audit(t)
	o, p := newID[order.Order](db), newID[order.Order](db)
	bad := record(db, b.ID, p, 1, 2)
	bad.Type = "order.\x00"
	done, err := audit.AppendAuditLog(t.Context(), []auditlog.Entry{
		record(db, a.ID, o, 1, 0), record(db, a.ID, o, 2, 1), bad, record(db, a.ID, o, 3, 3),
	})
	if err == nil || done.Fresh != 2 {
		t.Errorf("AppendAuditLog() = %+v, %v; want the two before the bad one, and an error", done, err)
	}
	wantChain(t, audit, a.ID, 2)
	if found := appendAll(t, audit, record(db, a.ID, o, 1, 0), record(db, a.ID, o, 2, 1), record(db, b.ID, p, 1, 2),
		record(db, a.ID, o, 3, 3)); found != nil {
		t.Errorf("findings once the record can be stored: %v", found)
	}
	wantChain(t, audit, a.ID, 3)
	wantChain(t, audit, b.ID, 1)
}

func TestMoreRecordsAndTenantsThanOneTransactionTakesAreAllAppended(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	api, audit := db.API(t), db.Audit(t)
	var orgs []tenant.ID
	for i := range 40 {
		orgs = append(orgs, db.Seed(t, api, fmt.Sprintf("org-%02d", i)).ID)
	}
	o := newID[order.Order](db)
	var entries []auditlog.Entry
	for i, org := range orgs {
		entries = append(entries, record(db, org, o, 1, int64(i)))
	}
	for seq := 2; seq <= 700; seq++ {
		entries = append(entries, record(db, orgs[0], o, seq, int64(len(entries))))
	}
	done, err := audit.AppendAuditLog(t.Context(), entries)
	if err != nil || done.Fresh != 739 || done.Findings != nil {
		t.Fatalf("AppendAuditLog() = %d fresh, %v, %v; want 739 and nothing found", done.Fresh, done.Findings, err)
	}
	wantChain(t, audit, orgs[0], 700)
	wantChain(t, audit, orgs[39], 1)
	if heads := must(audit.Heads(t.Context())); len(heads) != 40 {
		t.Errorf("%d heads, want 40", len(heads))
	}
}

// The extremes that the envelope's guard accepts.
func TestTheEarliestAndTheLatestTimeAreAppended(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	audit := db.Audit(t)
	o := newID[order.Order](db)
	first, last := record(db, org.ID, o, 1, 0), record(db, org.ID, o, 2, 1)
	first.At, last.At = time.Time{}, time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	if found := appendAll(t, audit, first, last); found != nil {
		t.Errorf("found %v", found)
	}
	wantChain(t, audit, org.ID, 2)
	if found := appendAll(t, audit, first, last); found != nil {
		t.Errorf("read again: %v", found)
	}
}

// A superuser changes every column in turn.
func TestVerifyNamesTheRowThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	audit, super := db.Audit(t), db.Super(t)
	uuid := `gen_random_uuid()`
	cases := map[string]struct{ sql, want string }{
		"order_id":    {`UPDATE audit_log SET order_id = ` + uuid + ` WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"seq":         {`UPDATE audit_log SET seq = 77 WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"event_id":    {`UPDATE audit_log SET event_id = ` + uuid + ` WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"type":        {`UPDATE audit_log SET type = 'order.created' WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"at":          {`UPDATE audit_log SET at = at + interval '1 microsecond' WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"seen_at":     {`UPDATE audit_log SET seen_at = seen_at - interval '1 day' WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"data_sha256": {`UPDATE audit_log SET data_sha256 = sha256('other') WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"short hash":  {`UPDATE audit_log SET data_sha256 = 'other' WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"topic_id":    {`UPDATE audit_log SET topic_id = ` + uuid + ` WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"part":        {`UPDATE audit_log SET part = 7 WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"off":         {`UPDATE audit_log SET off = 7 WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"prev_hash":   {`UPDATE audit_log SET prev_hash = sha256('other') WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"hash":        {`UPDATE audit_log SET hash = sha256('other') WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"n":           {`UPDATE audit_log SET n = 9 WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"tenant_id":   {`UPDATE audit_log SET tenant_id = ` + uuid + ` WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"deleted":     {`DELETE FROM audit_log WHERE n = 3 AND tenant_id = $1`, "n 3"},
		"the first":   {`DELETE FROM audit_log WHERE n = 1 AND tenant_id = $1`, "n 1"},
	}
	for name, of := range addTenants(t, db, cases) {
		t.Run(name, func(t *testing.T) {
			c, o := cases[name], newID[order.Order](db)
			for seq := range 5 {
				appendAll(t, audit, record(db, of, o, seq+1, int64(seq)))
			}
			head := wantChain(t, audit, of, 5)
			if _, err := super.Exec(t.Context(), c.sql, of.String()); err != nil {
				t.Fatal(err)
			}
			got := verify(t, audit, of)
			if got.Broken == nil || fmt.Sprintf("n %d", got.Broken.N) != c.want {
				t.Errorf("broken: %v, want %s", got.Broken, c.want)
			}
			if got.Head == head {
				t.Error("the head did not change")
			}
		})
	}
}

// A chain that is recomputed is whole again. Only a head that was kept elsewhere shows that it was rewritten.
func TestAChainThatWasRewrittenOrCutOffDoesNotContainAnEarlierHead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	audit := db.Audit(t)
	o := newID[order.Order](db)
	appendAll(t, audit, record(db, org.ID, o, 1, 0), record(db, org.ID, o, 2, 1))
	printed := wantChain(t, audit, org.ID, 2)
	appendAll(t, audit, record(db, org.ID, o, 3, 2))
	if c := verify(t, audit, org.ID, printed, auditlog.Head{Tenant: other.ID}); c.Broken != nil || c.Head.N != 3 {
		t.Errorf("a chain that grew: %+v", c)
	}
	super := db.Super(t)
	if _, err := super.Exec(t.Context(), `DELETE FROM audit_log WHERE n > 1`); err != nil {
		t.Fatal(err)
	}
	wantChain(t, audit, org.ID, 1)
	if c := verify(t, audit, org.ID, printed); c.Broken == nil {
		t.Error("a chain that was cut off is whole, although its earlier head is missing")
	}
	forged := record(db, org.ID, o, 2, 1)
	forged.DataSHA256[0]++
	appendAll(t, audit, forged, record(db, org.ID, o, 3, 2))
	wantChain(t, audit, org.ID, 3)
	if c := verify(t, audit, org.ID, printed); c.Broken == nil || c.Broken.N != 3 {
		t.Errorf("a chain that was rewritten: %+v", c)
	}
}

// sourceEvents adds n events to the table and returns them as the Audit consumer would see them on the topic.
func sourceEvents(t *testing.T, db *pgtest.DB, org pgtest.Org, n int) []auditlog.Entry {
	t.Helper()
	api := db.API(t)
	agg := draft(db, org, 1)
	insert(t, api, agg)
	evs := slices.Clone(agg.Added.Events)
	for len(evs) < n {
		agg := change(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
			agg.Order.Record(order.Event{Type: order.EvUpdated})
		})
		evs = append(evs, agg.Added.Events...)
	}
	var entries []auditlog.Entry
	for i, r := range evs {
		ev := eventOf(r)
		ev.TopicID, ev.Offset = topic, int64(i)
		entries = append(entries, auditlog.NewEntry(ev, db.Clock.Now()))
	}
	return entries
}

func compare(
	t testing.TB, log app.AuditLog, table app.EventTable, of tenant.ID, before time.Time,
) (n int, found []string) {
	t.Helper()
	err := app.VerifyEvents(t.Context(), log, table, of, before, func(events int, ds []auditlog.Difference) error {
		n += events
		for _, d := range ds {
			what, _, _ := strings.Cut(d.What, ":")
			what, _, _ = strings.Cut(what, " of ")
			found = append(found, fmt.Sprintf("%d %s", d.Seq, what))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, found
}

func TestEveryEventOfTheTableIsComparedWithTheAuditLog(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	audit, worker := db.Audit(t), db.Worker(t)
	entries := sourceEvents(t, db, a, 4)
	sourceEvents(t, db, b, 1) // of another tenant, which the Audit consumer never saw
	later := db.Clock.Now().Add(time.Hour)
	appendAll(t, audit, entries[:3]...)
	if n, found := compare(t, audit, worker, a.ID, later); n != 4 ||
		!slices.Equal(found, []string{"4 the audit log has no order.updated"}) {
		t.Errorf("%d events, %q; want 4, the last one missed", n, found)
	}
	if n, found := compare(t, audit, worker, a.ID, entries[3].At); n != 4 || found != nil {
		t.Errorf("%d events, %q; want 4 and nothing missed: the last one may be on its way", n, found)
	}
	appendAll(t, audit, entries[3])
	if _, found := compare(t, audit, worker, a.ID, later); found != nil {
		t.Errorf("all seen: %q", found)
	}
	super := db.Super(t)
	for _, c := range []struct{ sql, want string }{
		{`UPDATE order_event SET at = at - interval '1 second' WHERE seq = 2`, "2 time"},
		{`UPDATE order_event SET type = 'order.created' WHERE seq = 2`, "2 type"},
		{`UPDATE order_event SET event_id = gen_random_uuid() WHERE seq = 2`, "2 event id"},
		{`UPDATE order_event SET data = (data::text || ' ')::json WHERE seq = 2`, "2 data"},
		{`DELETE FROM order_event WHERE seq = 2`, "2 the audit log has order.updated, which is not in the table"},
	} {
		if _, err := super.Exec(t.Context(), c.sql); err != nil {
			t.Fatal(err)
		}
		if _, found := compare(t, audit, worker, a.ID, later); len(found) != 1 || found[0] != c.want {
			t.Errorf("%s: %q, want %q", c.sql, found, c.want)
		}
	}
}

// BenchmarkAudit measures the cost of a record, alone and in a batch of 500.
func BenchmarkAudit(b *testing.B) {
	for _, size := range []int{1, 500} {
		b.Run(fmt.Sprintf("%d at once", size), func(b *testing.B) {
			db := pgtest.New(b)
			org, _ := db.Two(b)
			audit := db.Audit(b)
			o := newID[order.Order](db)
			var entries []auditlog.Entry
			for seq := range b.N {
				if seq%20 == 0 {
					o = newID[order.Order](db)
				}
				entries = append(entries, record(db, org.ID, o, seq%20+1, int64(seq)))
			}
			b.ResetTimer()
			for at := 0; at < len(entries); at += size {
				if _, err := audit.AppendAuditLog(b.Context(), entries[at:min(at+size, len(entries))]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
