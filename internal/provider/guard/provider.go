package guard

import (
	"context"

	"github.com/platforma-cloud/orders/internal/provider"
)

// Wrap returns a provider whose calls are guarded. Reads count as well, because a budget counts requests.
func (g *Guard) Wrap(name string, p provider.Provider) provider.Provider {
	return guarded{Provider: p, guard: g, name: name}
}

type guarded struct {
	provider.Provider
	guard *Guard
	name  string
}

// do admits a call, makes it and records its outcome.
func (p guarded) do(ctx context.Context, region string, call func() error) error {
	a := Account{Provider: p.name, Region: region}
	if err := p.guard.Admit(ctx, a, p.Capabilities().Rate); err != nil {
		return err
	}
	err := call()
	p.guard.Record(ctx, a, provider.ClassOf(err))
	return err
}

func (p guarded) Validate(ctx context.Context, s provider.Spec) (v []provider.Violation, err error) {
	err = p.do(ctx, s.Region, func() error { v, err = p.Provider.Validate(ctx, s); return err })
	return v, err
}

func (p guarded) Create(ctx context.Context, s provider.Step, j provider.Journal) (r provider.Ref, err error) {
	err = p.do(ctx, s.Spec.Region, func() error { r, err = p.Provider.Create(ctx, s, j); return err })
	return r, err
}

func (p guarded) Observe(ctx context.Context, s provider.Step, r provider.Ref) (o provider.Observation, err error) {
	err = p.do(ctx, s.Spec.Region, func() error { o, err = p.Provider.Observe(ctx, s, r); return err })
	return o, err
}

func (p guarded) Delete(ctx context.Context, s provider.Step, r provider.Ref) error {
	return p.do(ctx, s.Spec.Region, func() error { return p.Provider.Delete(ctx, s, r) })
}

func (p guarded) Credentials(ctx context.Context, refs []provider.Ref) (s provider.Secret, err error) {
	err = p.do(ctx, "", func() error { s, err = p.Provider.Credentials(ctx, refs); return err })
	return s, err
}
