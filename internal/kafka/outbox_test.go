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

// memory is an outbox with the rules of the table: an id is drawn under the order's lock, and a row
// becomes visible with its commit, which may come after that of a larger id.
type memory struct {
	mu     sync.Mutex
	nextID int64
	rows   map[int64]app.OutboxRow // committed and not deleted
	noted  app.RelayPosition       // what the table relays holds
	leased bool
	open   bool       // no lock: every relay gets a lease
	gone   *sync.Cond // rows were deleted
}

func newMemory() *memory {
	m := &memory{rows: map[int64]app.OutboxRow{}}
	m.gone = sync.NewCond(&m.mu)
	return m
}

func (m *memory) draw() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nextID++
	return m.nextID
}

func (m *memory) commit(rows ...app.OutboxRow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range rows {
		m.rows[r.ID] = r
	}
}

// room waits until at most that many rows are left.
func (m *memory) room(most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.rows) > most {
		m.gone.Wait()
	}
}

// published waits until a row has been deleted.
func (m *memory) published(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.rows[id].ID == id {
		m.gone.Wait()
	}
}

func (m *memory) left() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

func (m *memory) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leased && !m.open {
		return nil, false, nil
	}
	m.leased = true
	return &memoryLease{m}, true, nil
}

type memoryLease struct{ *memory }

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
	case l.noted.Batch:
		want = 0
	case l.noted.Batch + 1:
		want = len(p.IDs)
	}
	if p.Epoch != l.noted.Epoch || present != want {
		return fmt.Errorf("%w: topic %d/%d, database %d/%d, %d rows present", app.ErrRelayPosition, p.Epoch, p.Batch,
			l.noted.Epoch, l.noted.Batch, present)
	}
	for _, i := range p.IDs {
		delete(l.rows, i)
	}
	l.noted.Batch = p.Batch
	l.gone.Broadcast()
	return ctx.Err()
}

// faulty changes an outbox's leases: how tests kill at a marked point.
type faulty struct {
	app.Outbox
	wrap func(app.OutboxLease) app.OutboxLease
}

func (f faulty) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
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

// record is an event as the store would have written it.
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

// writers write events as many processes do that fight for few orders: the id is drawn under the
// order's lock, the commit comes later, and one in twenty rolls back.
type writers struct {
	first, orders, writers, each int
	most                         int // rows that may be left while writing; 0 is no bound
	slow                         int // transactions that commit when a later one has been published
}

func (l writers) run(t testing.TB, m *memory) (want int) {
	t.Helper()
	type hot struct {
		sync.Mutex
		seq int
	}
	hots := make([]hot, l.orders)
	var all sync.WaitGroup
	for w := range l.writers {
		all.Go(func() {
			for i := range l.each {
				n := (w*7 + i) % l.orders
				h := &hots[n]
				h.Lock()
				id := m.draw()
				rec := record(t, orderID(l.first+n), h.seq+1, order.EvItemProvisioning)
				runtime.Gosched()  // others draw larger ids and commit them
				if (w+i)%20 != 0 { // else rolled back: neither the number nor the row was ever there
					h.seq++
					m.commit(app.OutboxRow{ID: id, Record: rec})
				}
				h.Unlock()
				if l.most > 0 {
					m.room(l.most)
				}
			}
		})
	}
	all.Go(func() {
		for seq := 1; seq <= l.slow; seq++ {
			early, late := m.draw(), m.draw()
			m.commit(app.OutboxRow{ID: late, Record: record(t, orderID(l.first+l.orders), seq, order.EvItemProvisioning)})
			m.published(late)
			m.commit(app.OutboxRow{ID: early, Record: record(t, orderID(l.first+l.orders+1), seq, order.EvItemProvisioning)})
		}
	})
	all.Wait()
	want = 2 * l.slow
	for i := range hots {
		want += hots[i].seq
	}
	return want
}
