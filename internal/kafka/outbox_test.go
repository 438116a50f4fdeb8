package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// memoryOutbox is an outbox with the rules of the table: an id is drawn under the order's lock, and a row
// becomes visible with its commit, which may come after that of a larger id.
type memoryOutbox struct {
	mu       sync.Mutex
	lastID   int64
	rows     map[int64]app.OutboxRow // committed and not deleted
	position app.RelayPosition       // as in the table relays
	leased   bool
	unlocked bool       // there is no lock: every relay gets a lease
	deleted  *sync.Cond // rows were deleted
}

func newMemoryOutbox() *memoryOutbox {
	m := &memoryOutbox{rows: map[int64]app.OutboxRow{}}
	m.deleted = sync.NewCond(&m.mu)
	return m
}

// nextID draws an id from the sequence.
func (m *memoryOutbox) nextID() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastID++
	return m.lastID
}

func (m *memoryOutbox) commit(rows ...app.OutboxRow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rows {
		m.rows[r.ID] = r
	}
}

// waitForLength waits until the outbox has at most limit rows.
func (m *memoryOutbox) waitForLength(limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.rows) > limit {
		m.deleted.Wait()
	}
}

// waitForDelete waits until a row has been published and deleted.
func (m *memoryOutbox) waitForDelete(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.rows[id].ID == id {
		m.deleted.Wait()
	}
}

func (m *memoryOutbox) length() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

func (m *memoryOutbox) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leased && !m.unlocked {
		return nil, false, nil
	}
	m.leased = true
	return &memoryLease{m}, true, nil
}

type memoryLease struct{ *memoryOutbox }

func (l *memoryLease) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leased = false
}

func (l *memoryLease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rows []app.OutboxRow
	for _, r := range l.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b app.OutboxRow) int { return int(a.ID - b.ID) })
	return rows[:min(limit, len(rows))], ctx.Err()
}

func (l *memoryLease) Done(ctx context.Context, p app.RelayPosition) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	present := 0
	for _, i := range p.IDs {
		if _, ok := l.rows[i]; ok {
			present++
		}
	}
	want := -1
	switch p.Batch {
	case l.position.Batch:
		want = 0
	case l.position.Batch + 1:
		want = len(p.IDs)
	}
	if p.Epoch != l.position.Epoch || present != want {
		return fmt.Errorf("%w: topic %d/%d, database %d/%d, %d rows present",
			app.ErrRelayPosition, p.Epoch, p.Batch, l.position.Epoch, l.position.Batch, present)
	}
	for _, i := range p.IDs {
		delete(l.rows, i)
	}
	l.position.Batch = p.Batch
	l.deleted.Broadcast()
	return ctx.Err()
}

// wrappedOutbox replaces an outbox's leases. Tests use it to end a relay at a failpoint.
type wrappedOutbox struct {
	app.Outbox
	wrap func(app.OutboxLease) app.OutboxLease
}

func (f wrappedOutbox) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
	l, ok, err := f.Outbox.TryLease(ctx, shard)
	if ok {
		l = f.wrap(l)
	}
	return l, ok, err
}

var (
	tenantA = id.MustParse[tenant.Tenant]("01900000-0000-7000-8000-00000000000a")
	at      = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
)

func orderID(n int) order.ID {
	return id.MustParse[order.Order](fmt.Sprintf("01900000-0000-7000-8000-%012x", 0x100+n))
}

// record makes an event as the store writes it.
func record(t testing.TB, o order.ID, seq int, typ event.Type) event.Record {
	t.Helper()
	d := event.Data{
		TenantID: tenantA, OrderID: o, Number: "ORD-0000000A", Seq: seq, Version: seq, From: "provisioning",
		To: "provisioning", CreatedAt: at, Actor: "system:worker",
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	ev := id.Of[order.Event](o)
	ev[6], ev[7] = byte(seq>>8), byte(seq)
	return event.Record{
		ID: ev, Type: typ, Tenant: tenantA, Order: o, Seq: seq, At: at.Add(time.Duration(seq) * time.Second),
		Actor: "system:worker", Data: raw,
	}
}

// writers write events like many processes that contend for few orders: the id is drawn under the
// order's lock, the commit comes later, and one transaction in twenty rolls back.
type writers struct {
	first, orders, writers, each int // orders from number first on; changes of each writer
	maxRows                      int // a writer waits while the outbox has more rows; 0 is no limit
	slow                         int // transactions that commit after a later one has been published
}

func (l writers) run(t testing.TB, m *memoryOutbox) (want int) {
	t.Helper()
	type lockedOrder struct {
		sync.Mutex
		seq int
	}
	orders := make([]lockedOrder, l.orders)
	var running sync.WaitGroup
	for w := range l.writers {
		running.Go(func() {
			for i := range l.each {
				n := (w*7 + i) % l.orders
				o := &orders[n]
				o.Lock()
				id := m.nextID()
				rec := record(t, orderID(l.first+n), o.seq+1, order.EvItemProvisioning)
				runtime.Gosched()  // others draw larger ids and commit them
				if (w+i)%20 != 0 { // otherwise rolled back: the seq is used again, and there is no row
					o.seq++
					m.commit(app.OutboxRow{ID: id, Record: rec})
				}
				o.Unlock()
				if l.maxRows > 0 {
					m.waitForLength(l.maxRows)
				}
			}
		})
	}
	running.Go(func() {
		for seq := 1; seq <= l.slow; seq++ {
			early, late := m.nextID(), m.nextID()
			lateEvent := record(t, orderID(l.first+l.orders), seq, order.EvItemProvisioning)
			earlyEvent := record(t, orderID(l.first+l.orders+1), seq, order.EvItemProvisioning)
			m.commit(app.OutboxRow{ID: late, Record: lateEvent})
			m.waitForDelete(late)
			m.commit(app.OutboxRow{ID: early, Record: earlyEvent})
		}
	})
	running.Wait()
	want = 2 * l.slow
	for i := range orders {
		want += orders[i].seq
	}
	return want
}
