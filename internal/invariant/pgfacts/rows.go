package pgfacts

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/invariant"
)

// readers returns one query for each table. No query joins tables that the checker can join itself, so that a row
// without its counterpart is found.
func readers() []reader {
	return []reader{
		rows("orders", `
			SELECT tenant_id::text, id::text, number, state, outcome, settlement, policy, closing, version, last_seq,
			       currency::text, due_cents, held_at IS NOT NULL, expires_at IS NOT NULL, delivery_stuck,
			       created_at, updated_at
			FROM orders
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.Order { return &f.Orders }, scanOrder),
		rows("items", `
			SELECT tenant_id::text, order_id::text, id::text, state, product, generation, snapshot::text, price_cents,
			       removed_at IS NOT NULL
			FROM order_items
			ORDER BY order_id, line`,
			func(f *invariant.Facts) *[]invariant.Item { return &f.Items },
			func(r pgx.Rows, i *invariant.Item) error {
				var state int
				var snapshot string
				err := r.Scan(&i.Tenant, &i.Order, &i.ID, &state, &i.Product, &i.Generation, &snapshot, &i.PriceCents, &i.Removed)
				i.State, i.Snapshot = itemState(state), []byte(snapshot)
				return err
			}),
		rows("events", `
			SELECT tenant_id::text, order_id::text, seq, event_id::text, type, actor, at,
			       coalesce(causation_id::text, ''), coalesce(correlation_id::text, ''), traceparent, data::text
			FROM order_event
			ORDER BY order_id, seq`,
			func(f *invariant.Facts) *[]invariant.Event { return &f.Events },
			func(r pgx.Rows, e *invariant.Event) error {
				var data string
				err := r.Scan(&e.Tenant, &e.Order, &e.Seq, &e.ID, &e.Type, &e.Actor, &e.At, &e.Causation,
					&e.Correlation, &e.Traceparent, &data)
				e.At, e.Data = e.At.UTC(), []byte(data)
				return err
			}),
		rows("outbox", `
			SELECT tenant_id::text, order_id::text, coalesce(seq, 0), coalesce(dead_letter_id::text, '')
			FROM outbox
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.Outbox { return &f.Outbox },
			func(r pgx.Rows, o *invariant.Outbox) error { return r.Scan(&o.Tenant, &o.Order, &o.Seq, &o.DeadLetter) }),
		rows("receipts", `
			SELECT tenant_id::text, order_id::text, seq, event_id::text, type, coalesce(subject_id::text, ''), cents,
			       moved_cents, currency::text
			FROM billing_receipts
			ORDER BY order_id, seq`,
			func(f *invariant.Facts) *[]invariant.Receipt { return &f.Receipts },
			func(r pgx.Rows, x *invariant.Receipt) error {
				return r.Scan(&x.Tenant, &x.Order, &x.Seq, &x.Event, &x.Type, &x.Subject, &x.Cents, &x.Moved, &x.Currency)
			}),
		rows("findings of Billing", `
			SELECT tenant_id::text, order_id::text, seq, left_cents
			FROM billing_finding
			ORDER BY order_id, seq`,
			func(f *invariant.Facts) *[]invariant.BillingFinding { return &f.BillingFindings },
			func(r pgx.Rows, x *invariant.BillingFinding) error {
				return r.Scan(&x.Tenant, &x.Order, &x.Seq, &x.Cents)
			}),
		rows("payments", `
			SELECT tenant_id::text, id::text, order_id::text, state, provider, reference, due_cents, paid_cents,
			       currency::text, paid_at
			FROM payments
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.Payment { return &f.Payments },
			func(r pgx.Rows, p *invariant.Payment) error {
				var state int
				err := r.Scan(&p.Tenant, &p.ID, &p.Order, &state, &p.Provider, &p.Reference, &p.DueCents,
					&p.PaidCents, &p.Currency, &p.PaidAt)
				p.State, p.PaidAt = named(state, "-", "confirmed", "reverted", "refunded"), p.PaidAt.UTC()
				return err
			}),
		rows("allocations", `
			SELECT tenant_id::text, payment_id::text, item_id::text, cents
			FROM allocations
			ORDER BY payment_id, item_id`,
			func(f *invariant.Facts) *[]invariant.Allocation { return &f.Allocations },
			func(r pgx.Rows, a *invariant.Allocation) error {
				return r.Scan(&a.Tenant, &a.Payment, &a.Item, &a.Cents)
			}),
		rows("refunds", `
			SELECT tenant_id::text, id::text, order_id::text, payment_id::text, item_id::text, state, cents,
			       currency::text, accepted_at
			FROM refunds
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.Refund { return &f.Refunds },
			func(r pgx.Rows, x *invariant.Refund) error {
				var state int
				var accepted *time.Time
				err := r.Scan(&x.Tenant, &x.ID, &x.Order, &x.Payment, &x.Item, &state, &x.Cents, &x.Currency, &accepted)
				x.State, x.AcceptedAt = named(state, "-", "requested", "accepted", "completed", "stuck"), moment(accepted)
				return err
			}),
		rows("tasks", `
			SELECT tenant_id::text, id::text, order_id::text, coalesce(item_id::text, ''),
			       coalesce(payment_id::text, ''), coalesce(subject_id::text, ''),
			       kind, state, compensating, epoch, next_at
			FROM saga_tasks
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.Task { return &f.Tasks }, scanTask),
		rows("the journal", `
			SELECT tenant_id::text, task_id::text, step, generation, key, phase, refs
			FROM saga_resources
			ORDER BY task_id, generation, step`,
			func(f *invariant.Facts) *[]invariant.JournalEntry { return &f.Journal },
			func(r pgx.Rows, p *invariant.JournalEntry) error {
				var phase int
				err := r.Scan(&p.Tenant, &p.Task, &p.Step, &p.Generation, &p.Key, &phase, &p.Refs)
				p.Phase = named(phase, "-", "intent", "created", "ready", "deleting", "gone")
				return err
			}),
		rows("the saga log", `
			SELECT tenant_id::text, order_id::text, task_id::text, at, step, what, class, key, note
			FROM saga_log
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.LogLine { return &f.Log },
			func(r pgx.Rows, l *invariant.LogLine) error {
				var what int
				err := r.Scan(&l.Tenant, &l.Order, &l.Task, &l.At, &l.Step, &what, &l.Class, &l.Key, &l.Note)
				l.At, l.What = l.At.UTC(), named(what, "-", "intent", "answer", "compensating", "decision")
				return err
			}),
		rows("the roll-ups", `
			SELECT tenant_id::text, time_zone
			FROM rollup
			ORDER BY tenant_id`,
			func(f *invariant.Facts) *[]invariant.Rollup { return &f.Rollups },
			func(r pgx.Rows, x *invariant.Rollup) error { return r.Scan(&x.Tenant, &x.Zone) }),
		rows("the days", `
			SELECT tenant_id::text, day::text, state::int, currency::text, orders, paid, paid_due_cents
			FROM order_daily
			UNION ALL
			SELECT tenant_id::text, day::text, 0, currency::text, captured_cents, refunded_cents, 0
			FROM revenue_daily
			ORDER BY 1, 2, 3, 4`,
			func(f *invariant.Facts) *[]invariant.Day { return &f.Days },
			func(r pgx.Rows, d *invariant.Day) error {
				var state int
				err := r.Scan(&d.Tenant, &d.Day, &state, &d.Currency, &d.Amounts[0], &d.Amounts[1], &d.Amounts[2])
				if state != 0 {
					d.State = orderState(state)
				}
				return err
			}),
		rows("dead letters", `
			SELECT tenant_id::text, id::text, order_id::text, coalesce(item_id::text, ''), coalesce(task_id::text, ''),
			       source, class, error_code, detail, step, attempts, payload_sha256, state, at, closed_at, reason,
			       abandon_reason, proof, coalesce(first_by::text, ''), coalesce(second_by::text, ''),
			       coalesce(consumer, ''), coalesce(seq, 0)
			FROM dead_letters
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.DeadLetter { return &f.DeadLetters }, scanDeadLetter),
		rows("deliveries", `
			SELECT tenant_id::text, id::text, item_id::text, message_id, state
			FROM deliveries
			ORDER BY id`,
			func(f *invariant.Facts) *[]invariant.Delivery { return &f.Deliveries },
			func(r pgx.Rows, d *invariant.Delivery) error {
				var state int
				err := r.Scan(&d.Tenant, &d.ID, &d.Item, &d.MessageID, &state)
				d.State = named(state, "-", "asked", "accepted", "failed")
				return err
			}),
		rows("consumers' checkpoints", `
			SELECT tenant_id::text, order_id::text, consumer, seq, coalesce(parked_seq, 0), coalesce(blocked_to, 0)
			FROM inbox
			ORDER BY order_id, consumer`,
			func(f *invariant.Facts) *[]invariant.Checkpoint { return &f.Checkpoints },
			func(r pgx.Rows, m *invariant.Checkpoint) error {
				return r.Scan(&m.Tenant, &m.Order, &m.Consumer, &m.Seq, &m.Parked, &m.BlockedTo)
			}),
		rows("the audit log", `
			SELECT tenant_id::text, n, order_id::text, seq, event_id::text, type, at, seen_at, data_sha256,
			       topic_id::text, part, off, prev_hash, hash
			FROM audit_log
			ORDER BY tenant_id, n`,
			func(f *invariant.Facts) *[]invariant.AuditEntry { return &f.AuditLog },
			func(r pgx.Rows, w *invariant.AuditEntry) error {
				err := r.Scan(&w.Tenant, &w.N, &w.Order, &w.Seq, &w.Event, &w.Type, &w.At, &w.SeenAt, &w.Hash, &w.Topic,
					&w.Partition, &w.Offset, &w.Before, &w.Chain)
				w.At, w.SeenAt = w.At.UTC(), w.SeenAt.UTC()
				return err
			}),
		rows("the audit findings", `
			SELECT tenant_id::text, kind, coalesce(order_id::text, ''), detail, part, off
			FROM audit_finding
			ORDER BY at, part, off`,
			func(f *invariant.Facts) *[]invariant.Finding { return &f.Findings },
			func(r pgx.Rows, x *invariant.Finding) error {
				return r.Scan(&x.Tenant, &x.Kind, &x.Order, &x.Detail, &x.Partition, &x.Offset)
			}),
		rows("credentials", `
			SELECT tenant_id::text, item_id::text, generation, sealed IS NOT NULL
			FROM credentials
			ORDER BY item_id, generation`,
			func(f *invariant.Facts) *[]invariant.Credential { return &f.Credentials },
			func(r pgx.Rows, c *invariant.Credential) error {
				return r.Scan(&c.Tenant, &c.Item, &c.Generation, &c.Sealed)
			}),
		rows("idempotency keys", `
			SELECT tenant_id::text, key, status, body
			FROM idempotency
			ORDER BY tenant_id, key`,
			func(f *invariant.Facts) *[]invariant.Answer { return &f.Answers },
			func(r pgx.Rows, a *invariant.Answer) error { return r.Scan(&a.Tenant, &a.Key, &a.Status, &a.Body) }),
		rows("grants", sqlGrants,
			func(f *invariant.Facts) *[]invariant.Grant { return &f.Grants },
			func(r pgx.Rows, g *invariant.Grant) error { return r.Scan(&g.Login, &g.Table, &g.Privilege) }),
	}
}

// sqlGrants lists the effective privileges of each login, including those through its roles and PUBLIC. The
// privilege to update one column counts as UPDATE.
const sqlGrants = `
	SELECT r.rolname::text, c.relname::text, p.name
	FROM pg_roles r
	CROSS JOIN pg_class c
	CROSS JOIN (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS p(name)
	WHERE r.rolname LIKE 'platforma\_%'
	  AND r.rolcanlogin
	  AND c.relnamespace = 'platforma'::regnamespace
	  AND c.relkind IN ('r', 'p')
	  AND (has_table_privilege(r.oid, c.oid, p.name)
	       OR p.name = 'UPDATE' AND has_any_column_privilege(r.oid, c.oid, 'UPDATE'))
	ORDER BY 1, 2, 3`

func scanOrder(r pgx.Rows, o *invariant.Order) error {
	var state, outcome, settlement, policy, closing int
	err := r.Scan(&o.Tenant, &o.ID, &o.Number, &state, &outcome, &settlement, &policy, &closing, &o.Version, &o.LastSeq,
		&o.Currency, &o.DueCents, &o.Held, &o.Expires, &o.DeliveryStuck, &o.CreatedAt, &o.UpdatedAt)
	o.State, o.Outcome = orderState(state), named(outcome, "none", "partial", "full")
	o.Settlement = named(settlement, "open", "compensating", "settled", "stuck")
	o.Policy, o.Closing = named(policy, "per_item", "all_or_nothing"), named(closing, "", "cancel", "rejected")
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	return err
}

func scanTask(r pgx.Rows, u *invariant.Task) error {
	var kind, state int
	var next *time.Time
	err := r.Scan(&u.Tenant, &u.ID, &u.Order, &u.Item, &u.Payment, &u.Subject, &kind, &state,
		&u.Compensating, &u.Epoch, &next)
	u.Kind = named(kind, "-", "validate", "provision", "refund", "deliver", "notify", "webhook", "redrive", "checkout")
	u.State, u.NextAt = named(state, "queued", "open", "stuck", "closed"), moment(next)
	return err
}

func scanDeadLetter(r pgx.Rows, d *invariant.DeadLetter) error {
	var state int
	var closed *time.Time
	err := r.Scan(&d.Tenant, &d.ID, &d.Order, &d.Item, &d.Task, &d.Source, &d.Class, &d.Code, &d.Detail, &d.Step,
		&d.Attempts, &d.Hash, &state, &d.At, &closed, &d.Reason,
		&d.AbandonReason, &d.Proof, &d.FirstBy, &d.SecondBy, &d.Consumer, &d.Seq)
	d.State, d.At, d.ClosedAt = named(state, "open", "parked", "redriven", "abandoned", "closed"),
		d.At.UTC(), moment(closed)
	return err
}
