package postgres

import (
	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	sqlOrderExists = `SELECT EXISTS (SELECT FROM orders WHERE tenant_id = $1 AND id = $2)`
	// No row comes back when the mark has passed the event already.
	sqlInboxMove = `
		INSERT INTO inbox (tenant_id, order_id, consumer, seq) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, order_id, consumer) DO UPDATE SET seq = excluded.seq WHERE inbox.seq < excluded.seq
		RETURNING seq`
)

// inboxMark is what a first trip learns about a consumer's event: whether its tenant has the order
// at all (a forged pair does not), and whether it was applied before. The row it moves is the
// consumer's lock on the order.
type inboxMark struct{ known, moved bool }

func (m *inboxMark) queue(b *pgx.Batch, t tenant.ID, i *app.InboxMark) {
	b.Queue(sqlOrderExists, uid(t), uid(i.Order)).QueryRow(func(r pgx.Row) error { return r.Scan(&m.known) })
	b.Queue(sqlInboxMove, uid(t), uid(i.Order), i.Consumer, i.Seq).Query(func(rows pgx.Rows) error {
		m.moved = rows.Next()
		return nil
	})
}

func (m *inboxMark) verdict() error {
	switch {
	case !m.known:
		return fault.Absent()
	case !m.moved:
		return app.ErrDuplicate
	}
	return nil
}
