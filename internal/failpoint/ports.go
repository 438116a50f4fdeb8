package failpoint

import (
	"context"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Ports puts the trap between a login's use cases and everything they reach.
func (t *Failpoint) Ports(d *app.Deps) {
	d.Store = store{d.Store, t}
	if d.Mailer != nil {
		d.Mailer = mailer{d.Mailer, t}
	}
	if d.Sealer != nil {
		d.Sealer = sealer{d.Sealer, t}
	}
	clouds := map[string]provider.Provider{}
	for name, p := range d.Providers {
		clouds[name] = cloud{p, t}
	}
	d.Providers = clouds
	gateways := map[string]payment.Provider{}
	for name, p := range d.Payments {
		gateways[name] = gateway{p, t}
	}
	d.Payments = gateways
}

// Effect puts the trap around a consumer's effect.
func (t *Failpoint) Effect(apply app.Effect) app.Effect {
	return func(ctx context.Context, ev event.Event) error {
		return t.around(EffectApplied, func() error { return apply(ctx, ev) })
	}
}

// Outbox puts the trap between a relay and its outbox: before the events that it read stand on the
// topic, and after, while their rows are still there.
func (t *Failpoint) Outbox(o app.Outbox) app.Outbox { return outbox{o, t} }

// store meets the points that are commits.
type store struct {
	app.Store
	trap *Failpoint
}

// InTenant meets what a transaction is about to make durable, and what it has.
func (s store) InTenant(ctx context.Context, t tenant.ID, with app.With, fn func(tx app.Tx) error) error {
	var points []Point
	err := s.Store.InTenant(ctx, t, with, func(x app.Tx) error {
		w := &watched{Tx: x, read: map[*app.Aggregate]picture{}}
		if err := fn(w); err != nil {
			return err
		}
		points = w.points
		for _, p := range points {
			s.trap.hit(p, Before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range points {
		s.trap.hit(p, After)
	}
	return nil
}

type mailer struct {
	app.Mailer
	trap *Failpoint
}

// SendDelivery is where the mail server takes a delivery.
func (m mailer) SendDelivery(ctx context.Context, mail app.DeliveryMail) error {
	return m.trap.around(MailAccepted, func() error { return m.Mailer.SendDelivery(ctx, mail) })
}

type sealer struct {
	app.Sealer
	trap *Failpoint
}

// Seal is where an item's access is sealed; a passphrase is not an item's access.
func (s sealer) Seal(ctx context.Context, what app.Sealing, plaintext []byte) (sealed []byte, err error) {
	if what.Kind != "credential" {
		return s.Sealer.Seal(ctx, what, plaintext)
	}
	err = s.trap.around(Sealed, func() error { sealed, err = s.Sealer.Seal(ctx, what, plaintext); return err })
	return sealed, err
}

type cloud struct {
	provider.Provider
	trap *Failpoint
}

// Create is the provider's create.
func (c cloud) Create(ctx context.Context, s provider.Step, j provider.Journal) (r provider.Ref, err error) {
	err = c.trap.around(ProviderCreate, func() error { r, err = c.Provider.Create(ctx, s, j); return err })
	return r, err
}

// Delete is the provider's delete.
func (c cloud) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	return c.trap.around(ProviderDelete, func() error { return c.Provider.Delete(ctx, s, r) })
}

type gateway struct {
	payment.Provider
	trap *Failpoint
}

// Checkout is the payment provider's call.
func (g gateway) Checkout(ctx context.Context, c payment.Checkout) error {
	return g.trap.around(GatewayCall, func() error { return g.Provider.Checkout(ctx, c) })
}

// Refund is the payment provider's refund.
func (g gateway) Refund(ctx context.Context, r payment.Refund) (receipt payment.Receipt, err error) {
	err = g.trap.around(RefundCall, func() error { receipt, err = g.Provider.Refund(ctx, r); return err })
	return receipt, err
}

type outbox struct {
	app.Outbox
	trap *Failpoint
}

// TryLease gives a lease that meets the topic's point.
func (o outbox) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
	l, ok, err := o.Outbox.TryLease(ctx, shard)
	if err != nil || !ok {
		return nil, ok, err
	}
	return lease{l, o.trap}, true, nil
}

type lease struct {
	app.OutboxLease
	trap *Failpoint
}

// Pending is the last moment before a batch is published.
func (l lease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := l.OutboxLease.Pending(ctx, limit)
	if err == nil && len(rows) > 0 {
		l.trap.hit(OnTopic, Before)
	}
	return rows, err
}

// Done is the first moment after a batch was published.
func (l lease) Done(ctx context.Context, p app.RelayPosition) error {
	if len(p.IDs) > 0 {
		l.trap.hit(OnTopic, After)
	}
	return l.OutboxLease.Done(ctx, p)
}
