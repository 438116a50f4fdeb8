package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/money"
)

type memberView struct {
	ID       string  `json:"id" format:"uuid"`
	TenantID string  `json:"tenant_id" format:"uuid"`
	Role     string  `json:"role" enum:"customer,operator,admin,auditor"`
	Email    *string `json:"email"`
}

type keyView struct {
	DeliveryKey *keyInfoView `json:"delivery_key" doc:"Null when there is none: mails then carry an attachment encrypted with a one-time passphrase that the portal shows."`
}

// TransformSchema documents what may be null.
func (*keyView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "delivery_key")
}

type keyInfoView struct {
	Fingerprint string     `json:"fingerprint"`
	UserIDs     []string   `json:"user_ids" nullable:"false"`
	ExpiresAt   *time.Time `json:"expires_at"`
}

func showKey(_ app.Caller, k *app.KeyInfo) reply[keyView] {
	if k == nil {
		return plain(keyView{})
	}
	return plain(keyView{
		DeliveryKey: &keyInfoView{Fingerprint: k.Fingerprint, UserIDs: k.UserIDs, ExpiresAt: stampOr(k.Expires)},
	})
}

// settingsBody are the settings an admin may change.
type settingsBody struct {
	Version        *int           `json:"version,omitempty" doc:"The version you read; or send If-Match." minimum:"0"`
	Name           string         `json:"name" maxLength:"80"`
	Currency       money.Currency `json:"currency" doc:"Of new orders." pattern:"^[A-Z]{3}$"`
	TimeZone       string         `json:"time_zone" example:"Europe/Ljubljana" maxLength:"64"`
	PaymentMethod  string         `json:"payment_method" doc:"Used when a submit names none." maxLength:"32"`
	SafetyWindow   int            `json:"safety_window" doc:"Seconds between payment and validation." minimum:"0" maximum:"604800"`
	PaymentDueDays int            `json:"payment_due_days" doc:"After which an unpaid order is cancelled." minimum:"1" maximum:"365"`
	QuoteValidDays int            `json:"quote_valid_days" doc:"After which a draft's prices must be renewed." minimum:"1" maximum:"365"`
	SingleCycle    bool           `json:"single_cycle" doc:"All items of an order share a billing cycle."`
	RequireKey     bool           `json:"require_idempotency_key" doc:"Writes without an Idempotency-Key are refused."`
	Language       string         `json:"language,omitempty" doc:"Of mails to customers and operators; en where none is sent." enum:"en,de,sl"`
	BrandColor     string         `json:"brand_color" example:"#0b5fff" maxLength:"7"`
	BrandContrast  string         `json:"brand_contrast" example:"#ffffff" maxLength:"7"`
}

type settingsInput struct{ Body settingsBody }

func (b settingsBody) settings() app.Settings {
	return app.Settings{
		Name: b.Name, Currency: b.Currency, TimeZone: b.TimeZone, PaymentMethod: b.PaymentMethod,
		SafetyWindow: b.SafetyWindow, PaymentDueDays: b.PaymentDueDays,
		QuoteValidDays: b.QuoteValidDays, SingleCycle: b.SingleCycle, RequireKey: b.RequireKey, Language: b.Language,
		BrandColor: b.BrandColor, BrandContrast: b.BrandContrast,
	}
}

// showSettings answers in the shape that a PUT takes, so that what was read can be sent back.
func showSettings(_ app.Caller, s app.Settings) reply[settingsBody] {
	return reply[settingsBody]{ETag: httpkit.ETag(s.Version), Body: settingsBody{
		Version: &s.Version, Name: s.Name, Currency: s.Currency, TimeZone: s.TimeZone, PaymentMethod: s.PaymentMethod,
		SafetyWindow: s.SafetyWindow, PaymentDueDays: s.PaymentDueDays,
		QuoteValidDays: s.QuoteValidDays, SingleCycle: s.SingleCycle, RequireKey: s.RequireKey, Language: s.Language,
		BrandColor: s.BrandColor, BrandContrast: s.BrandContrast,
	}}
}

type keyBody struct {
	PublicKey string `json:"public_key" doc:"OpenPGP public key, ASCII-armoured." minLength:"1" maxLength:"60000"`
}

type keyInput struct{ Body keyBody }

func (s *server) accountRoutes() {
	const tag = "account"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/me", ID: "get-me", Tag: tag, Summary: "Who you are", Who: "anyone with a key",
		Description: "The member behind the API key.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Member, error) { return s.useCases.Me(ctx, c) },
		func(c app.Caller, m app.Member) reply[memberView] {
			return plain(memberView{
				ID: m.ID.String(), TenantID: c.Tenant.String(), Role: m.Role.String(), Email: orNull(m.Email),
			})
		})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/me/delivery-key", ID: "get-delivery-key", Tag: tag,
		Summary: "Your OpenPGP key on file", Who: "customer",
		Description: "Compare the fingerprint with your own.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (*app.KeyInfo, error) {
		return s.useCases.DeliveryKey(ctx, c)
	}, showKey)
	serve(s, route{
		Method: http.MethodPut, Path: "/v1/me/delivery-key", ID: "put-delivery-key", Tag: tag,
		Summary: "Put an OpenPGP key on file", Who: "customer", Key: true,
		Description: "Deliveries from now on are encrypted to it. The public part only; it must be able to encrypt and " +
			"must not have expired.",
	}, func(ctx context.Context, c app.Caller, in *keyInput) (*app.KeyInfo, error) {
		return s.useCases.PutDeliveryKey(ctx, c, []byte(in.Body.PublicKey))
	}, showKey)
	serve(s, route{
		Method: http.MethodDelete, Path: "/v1/me/delivery-key", ID: "delete-delivery-key", Tag: tag,
		Summary: "Remove your OpenPGP key", Who: "customer", Key: true,
		Description: "Deliveries from now on carry an attachment encrypted with a one-time passphrase.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (*app.KeyInfo, error) {
		return s.useCases.PutDeliveryKey(ctx, c, nil)
	}, showKey)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/settings", ID: "get-settings", Tag: tag, Summary: "Your organisation's settings",
		Who:         "admin, auditor",
		Description: "In the shape that PUT takes.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Settings, error) {
		return s.useCases.Settings(ctx, c)
	}, showSettings)
	serve(s, route{
		Method: http.MethodPut, Path: "/v1/settings", ID: "put-settings", Tag: tag, Summary: "Replace the settings",
		Who: "admin", Key: true, Versioned: true, Errors: []int{409},
		Description: "All of them at once.",
	}, func(ctx context.Context, c app.Caller, in *settingsInput) (app.Settings, error) {
		return s.useCases.PutSettings(ctx, c, in.Body.settings(), requestFrom(ctx).precondition(in.Body.Version))
	}, showSettings)
}
