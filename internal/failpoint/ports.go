package failpoint

import (
	"context"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Ports wraps the ports of a login's use cases.
func (f *Failpoint) Ports(d *app.Deps) {
	d.Store = store{d.Store, f}
	if d.Mailer != nil {
		d.Mailer = mailer{d.Mailer, f}
	}
	if d.Sealer != nil {
		d.Sealer = sealer{d.Sealer, f}
	}
	clouds := map[string]provider.Provider{}
	for name, p := range d.Providers {
		clouds[name] = cloud{p, f}
	}
	d.Providers = clouds
	gateways := map[string]payment.Provider{}
	for name, p := range d.Payments {
		gateways[name] = gateway{p, f}
	}
	d.Payments = gateways
}

// Effect wraps a consumer's effect.
func (f *Failpoint) Effect(apply app.Effect) app.Effect {
	return func(ctx context.Context, ev event.Event) error {
		return f.around(EffectApplied, func() error { return apply(ctx, ev) })
	}
}

// Outbox wraps a relay's outbox. The point is hit before the events that the relay read are on the topic, and after
// that, while their rows are still there.
func (f *Failpoint) Outbox(o app.Outbox) app.Outbox { return outbox{o, f} }

// store hits the points that are commits.
type store struct {
	app.Store
	failpoint *Failpoint
}

// InTenant hits the points of a transaction right before and right after its commit.
func (s store) InTenant(ctx context.Context, t tenant.ID, with app.With, fn func(tx app.Tx) error) error {
	var points []Point
	err := s.Store.InTenant(ctx, t, with, func(x app.Tx) error {
		w := &watchedTx{Tx: x, snapshots: map[*app.Aggregate]snapshot{}}
		if err := fn(w); err != nil {
			return err
		}
		points = w.points
		for _, p := range points {
			s.failpoint.hit(p, Before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range points {
		s.failpoint.hit(p, After)
	}
	return nil
}

type mailer struct {
	app.Mailer
	failpoint *Failpoint
}

// SendDelivery hits MailAccepted.
func (m mailer) SendDelivery(ctx context.Context, mail app.DeliveryMail) error {
	return m.failpoint.around(MailAccepted, func() error { return m.Mailer.SendDelivery(ctx, mail) })
}

type sealer struct {
	app.Sealer
	failpoint *Failpoint
}

// Seal hits Sealed for the credentials of an item, and for nothing else, such as a passphrase.
func (s sealer) Seal(ctx context.Context, what app.Sealing, plaintext []byte) (sealed []byte, err error) {
	if what.Kind != "credential" {
		return s.Sealer.Seal(ctx, what, plaintext)
	}
	err = s.failpoint.around(Sealed, func() error { sealed, err = s.Sealer.Seal(ctx, what, plaintext); return err })
	return sealed, err
}

type cloud struct {
	provider.Provider
	failpoint *Failpoint
}

// Create hits ProviderCreate.
func (c cloud) Create(ctx context.Context, s provider.Step, j provider.Journal) (r provider.Ref, err error) {
	err = c.failpoint.around(ProviderCreate, func() error { r, err = c.Provider.Create(ctx, s, j); return err })
	return r, err
}

// Delete hits ProviderDelete.
func (c cloud) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	return c.failpoint.around(ProviderDelete, func() error { return c.Provider.Delete(ctx, s, r) })
}

type gateway struct {
	payment.Provider
	failpoint *Failpoint
}

// Checkout hits GatewayCall.
func (g gateway) Checkout(ctx context.Context, c payment.Checkout) error {
	return g.failpoint.around(GatewayCall, func() error { return g.Provider.Checkout(ctx, c) })
}

// Refund hits RefundCall.
func (g gateway) Refund(ctx context.Context, r payment.Refund) (receipt payment.Receipt, err error) {
	err = g.failpoint.around(RefundCall, func() error { receipt, err = g.Provider.Refund(ctx, r); return err })
	return receipt, err
}

type outbox struct {
	app.Outbox
	failpoint *Failpoint
}

// TryLease returns a lease that hits OnTopic.
func (o outbox) TryLease(ctx context.Context, shard int) (app.OutboxLease, bool, error) {
	l, ok, err := o.Outbox.TryLease(ctx, shard)
	if err != nil || !ok {
		return nil, ok, err
	}
	return lease{l, o.failpoint}, true, nil
}

type lease struct {
	app.OutboxLease
	failpoint *Failpoint
}

// Pending hits OnTopic before a batch is published.
func (l lease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := l.OutboxLease.Pending(ctx, limit)
	if err == nil && len(rows) > 0 {
		l.failpoint.hit(OnTopic, Before)
	}
	return rows, err
}

// Done hits OnTopic after a batch was published.
func (l lease) Done(ctx context.Context, p app.RelayPosition) error {
	if len(p.IDs) > 0 {
		l.failpoint.hit(OnTopic, After)
	}
	return l.OutboxLease.Done(ctx, p)
}
