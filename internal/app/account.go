package app

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/platforma-cloud/orders/internal/brand"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/notice"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Authenticate returns the actor of an API key. Every invalid key gets the same answer.
func (a *App) Authenticate(ctx context.Context, bearer string) (tenant.Actor, error) {
	if len(bearer) < 16 || len(bearer) > 256 {
		return tenant.Actor{}, fault.New(fault.KindUnauthenticated, "unauthenticated",
			"Send a valid API key as: Authorization: Bearer KEY.")
	}
	return a.Accounts.FindActor(ctx, sha256.Sum256([]byte(bearer)))
}

// Me returns the caller's member.
func (a *App) Me(ctx context.Context, c Caller) (Member, error) {
	return a.Store.Member(ctx, c.Tenant, c.Member)
}

// DeliveryKey describes the caller's OpenPGP key, or returns nil when there is none.
func (a *App) DeliveryKey(ctx context.Context, c Caller) (*KeyInfo, error) {
	if err := a.may(c.Actor, OwnDeliveryKey); err != nil {
		return nil, err
	}
	m, err := a.Store.Member(ctx, c.Tenant, c.Member)
	if err != nil || len(m.DeliveryKey) == 0 {
		return nil, err
	}
	info, err := a.Mailer.CheckKey(m.DeliveryKey, a.Clock.Now())
	if err != nil {
		return &KeyInfo{Binary: m.DeliveryKey}, nil //nolint:nilerr // a key that has expired is still on file
	}
	return &info, nil
}

// PutDeliveryKey replaces the caller's OpenPGP public key; an empty one removes it. Later deliveries are encrypted
// to it.
func (a *App) PutDeliveryKey(ctx context.Context, c Caller, armored []byte) (*KeyInfo, error) {
	if err := a.may(c.Actor, OwnDeliveryKey); err != nil {
		return nil, err
	}
	var info *KeyInfo
	if len(armored) > 0 {
		checked, err := a.Mailer.CheckKey(armored, a.Clock.Now())
		if err != nil {
			return nil, err
		}
		info = &checked
	}
	return write(ctx, a, c, func(tx Tx) (*KeyInfo, error) {
		known, err := tx.Prepare(ctx, NewOrder{Customer: c.Member})
		if err != nil {
			return nil, err
		}
		if err := c.requireKey(known.Settings); err != nil {
			return nil, err
		}
		if info == nil {
			tx.PutDeliveryKey(c.Member, nil)
			return nil, nil
		}
		tx.PutDeliveryKey(c.Member, info.Binary)
		return info, nil
	})
}

// Settings returns the tenant's settings.
func (a *App) Settings(ctx context.Context, c Caller) (Settings, error) {
	if err := a.may(c.Actor, ReadSettings); err != nil {
		return Settings{}, err
	}
	return a.Store.Settings(ctx, c.Tenant)
}

// Brand returns the settings that every member may see, such as the name and the colours.
func (a *App) Brand(ctx context.Context, c Caller) (Settings, error) {
	s, err := a.Store.Settings(ctx, c.Tenant)
	return Settings{
		Slug: s.Slug, Name: s.Name, Currency: s.Currency, TimeZone: s.TimeZone, PaymentMethod: s.PaymentMethod,
		Language: s.Language, BrandColor: s.BrandColor, BrandContrast: s.BrandContrast,
	}, err
}

// PutSettings replaces the tenant's settings as a whole.
func (a *App) PutSettings(ctx context.Context, c Caller, s Settings, pre Precondition) (Settings, error) {
	if err := a.may(c.Actor, WriteSettings); err != nil {
		return Settings{}, err
	}
	if s.Language == "" { // from a client that does not know the field yet
		s.Language = string(notice.English)
	}
	if faults := a.checkSettings(s); len(faults) > 0 {
		return Settings{}, fault.Violated(faults)
	}
	return write(ctx, a, c, func(tx Tx) (Settings, error) {
		known, err := tx.Prepare(ctx, NewOrder{Customer: c.Member})
		if err != nil {
			return Settings{}, err
		}
		if err := c.requireKey(known.Settings); err != nil {
			return Settings{}, err
		}
		if err := pre.check(known.Settings.Version); err != nil {
			return Settings{}, err
		}
		s.Tenant, s.Slug, s.Version = known.Settings.Tenant, known.Settings.Slug, known.Settings.Version+1
		tx.PutSettings(s)
		return s, nil
	})
}

func (a *App) checkSettings(s Settings) []fault.Violation {
	var faults []fault.Violation
	bound := func(pointer string, n, low, high int) {
		if n < low || n > high {
			faults = append(faults, fault.Violation{
				Pointer: pointer, Code: "out-of-range", Message: "Not between the bounds.", Allowed: []any{low, high},
			})
		}
	}
	bound("/safety_window", s.SafetyWindow, 0, 7*24*3600)
	bound("/payment_due_days", s.PaymentDueDays, 1, 365)
	bound("/quote_valid_days", s.QuoteValidDays, 1, 365)
	if _, err := money.ParseCurrency(string(s.Currency)); err != nil {
		faults = append(faults, fault.Violation{
			Pointer: "/currency", Code: "unknown-currency", Message: "Use an ISO 4217 code such as EUR.",
		})
	}
	if !validZone(s.TimeZone) {
		faults = append(faults, fault.Violation{
			Pointer: "/time_zone", Code: "unknown-time-zone",
			Message: "Use a name of the time zone database such as Europe/Ljubljana.",
		})
	}
	if _, ok := a.Payments[s.PaymentMethod]; !ok {
		faults = append(faults, fault.Violation{
			Pointer: "/payment_method", Code: "unknown-payment-method", Message: "This payment method is not offered here.",
			Allowed: a.paymentMethods(),
		})
	}
	if _, ok := notice.LanguageOf(s.Language); !ok {
		faults = append(faults, fault.Violation{
			Pointer: "/language", Code: "unknown-language", Message: "Mails are written in these languages.",
			Allowed: languages(),
		})
	}
	for pointer, colour := range map[string]string{"/brand_color": s.BrandColor, "/brand_contrast": s.BrandContrast} {
		if _, ok := brand.Parse(colour); !ok && colour != "" {
			faults = append(faults, fault.Violation{Pointer: pointer, Code: "not-a-colour", Message: "Write it as #rrggbb."})
		}
	}
	return append(faults, textFaults("/name", s.Name, 80)...)
}

func languages() []any {
	var all []any
	for _, l := range notice.Languages() {
		all = append(all, string(l))
	}
	return all
}

// ShowPassphrase returns a delivery's one-time passphrase to the order's customer and deletes it (D21). The API
// cannot call it: only the portal has the login for it.
func (a *App) ShowPassphrase(ctx context.Context, c Caller, o order.ID, del id.Of[Delivery]) (string, error) {
	agg, err := a.Order(ctx, c, o)
	if err != nil {
		return "", err
	}
	if agg.Order.Customer != c.Member || a.Passphrases == nil {
		return "", fault.New(fault.KindForbidden, fault.CodeForbidden,
			"Only the customer of this order may see its passphrases.")
	}
	return a.Passphrases.TakePassphrase(ctx, c.Tenant, o, del)
}

func validZone(name string) bool {
	if name == "" || name == "Local" {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}
