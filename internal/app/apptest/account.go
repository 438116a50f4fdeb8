package apptest

import (
	"context"
	"strings"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AddTenant adds a tenant. It has the settings of a new one, edited by change, which may be nil.
func (f *Fake) AddTenant(name string, change func(*app.Settings)) tenant.ID {
	s := app.Settings{
		Tenant: f.NewID(), Name: name, Currency: "EUR", TimeZone: "Europe/Ljubljana", PaymentMethod: payment.DefaultMethod,
		PaymentDueDays: 14, QuoteValidDays: 30, Version: 1,
	}
	if change != nil {
		change(&s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settings[s.Tenant] = s
	return s.Tenant
}

// AddMember adds a member with API keys to a tenant. A member without an ID gets one.
func (f *Fake) AddMember(t tenant.ID, m app.Member, keys ...string) tenant.Actor {
	if m.ID.IsZero() {
		m.ID = f.NewID()
	}
	a := tenant.Actor{Tenant: t, Kind: tenant.KindMember, Member: m.ID, Role: m.Role}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members[m.ID] = m
	for _, key := range keys {
		f.keys[key] = a
	}
	return a
}

// RemoveMember removes a member. The member's keys stay, like a session that outlives its user.
func (f *Fake) RemoveMember(m tenant.MemberID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.members, m)
}

// Me returns the caller's member.
func (f *Fake) Me(_ context.Context, c app.Caller) (app.Member, error) {
	return read(f, "Me", c, nil, func() (app.Member, error) {
		m, ok := f.members[c.Member]
		if !ok {
			return m, fault.Absent()
		}
		return m, nil
	})
}

// Brand returns all settings of the tenant.
func (f *Fake) Brand(_ context.Context, c app.Caller) (app.Settings, error) {
	return read(f, "Brand", c, nil, func() (app.Settings, error) { return f.settings[c.Tenant], nil })
}

// Settings returns the settings of the tenant.
func (f *Fake) Settings(_ context.Context, c app.Caller) (app.Settings, error) {
	return read(f, "Settings", c, nil, func() (app.Settings, error) { return f.settings[c.Tenant], nil })
}

// PutSettings replaces the settings. It requires the current version.
func (f *Fake) PutSettings(
	_ context.Context, c app.Caller, s app.Settings, pre app.Precondition,
) (app.Settings, error) {
	return write(f, "PutSettings", c, pre, func() (app.Settings, error) {
		current := f.settings[c.Tenant].Version
		if pre.Version == nil || *pre.Version != current {
			return s, fault.New(fault.KindConflict, fault.CodeVersionConflict, "The settings have changed since.")
		}
		s.Version = current + 1
		f.settings[c.Tenant] = s
		return s, nil
	})
}

// DeliveryKey returns the caller's delivery key.
func (f *Fake) DeliveryKey(_ context.Context, c app.Caller) (*app.KeyInfo, error) {
	return read(f, "DeliveryKey", c, nil, func() (*app.KeyInfo, error) { return f.pgp[c.Member], nil })
}

// PutDeliveryKey accepts whatever looks like a public key.
func (f *Fake) PutDeliveryKey(_ context.Context, c app.Caller, armored []byte) (*app.KeyInfo, error) {
	return write(f, "PutDeliveryKey", c, armored, func() (*app.KeyInfo, error) {
		if len(armored) == 0 {
			delete(f.pgp, c.Member)
			return nil, nil
		}
		if !strings.Contains(string(armored), "BEGIN PGP PUBLIC KEY") {
			return nil, fault.New(fault.KindInvalid, "key-unreadable", "This is no OpenPGP public key.")
		}
		expires := f.Now().AddDate(2, 0, 0)
		f.pgp[c.Member] = &app.KeyInfo{
			Fingerprint: "5d3e9a1c77f0b2468ace13579bdf02468ace1357", Expires: &expires,
			UserIDs: []string{f.members[c.Member].Email},
		}
		return f.pgp[c.Member], nil
	})
}
