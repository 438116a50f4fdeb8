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

type deliveryKeyView struct {
	DeliveryKey *deliveryKeyInfoView `json:"delivery_key" doc:"Null if there is none. Mails then have an attachment that is encrypted with a one-time passphrase, which the portal shows."`
}

// TransformSchema documents the members that may be null.
func (*deliveryKeyView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "delivery_key")
}

type deliveryKeyInfoView struct {
	Fingerprint string     `json:"fingerprint"`
	UserIDs     []string   `json:"user_ids" nullable:"false"`
	ExpiresAt   *time.Time `json:"expires_at"`
}

func showDeliveryKey(_ app.Caller, k *app.KeyInfo) reply[deliveryKeyView] {
	if k == nil {
		return plain(deliveryKeyView{})
	}
	return plain(deliveryKeyView{
		DeliveryKey: &deliveryKeyInfoView{Fingerprint: k.Fingerprint, UserIDs: k.UserIDs, ExpiresAt: stampOr(k.Expires)},
	})
}

// settingsBody holds the settings that an admin may change.
type settingsBody struct {
	Version        *int           `json:"version,omitempty" doc:"The version that you read. You may send If-Match instead." minimum:"0"`
	Name           string         `json:"name" maxLength:"80"`
	Currency       money.Currency `json:"currency" doc:"The currency of new orders." pattern:"^[A-Z]{3}$"`
	TimeZone       string         `json:"time_zone" example:"Europe/Ljubljana" maxLength:"64"`
	PaymentMethod  string         `json:"payment_method" doc:"Used if a submit names none." maxLength:"32"`
	SafetyWindow   int            `json:"safety_window" doc:"Seconds between payment and validation." minimum:"0" maximum:"604800"`
	PaymentDueDays int            `json:"payment_due_days" doc:"Days after which an unpaid order is cancelled." minimum:"1" maximum:"365"`
	QuoteValidDays int            `json:"quote_valid_days" doc:"Days after which the prices of a draft must be renewed." minimum:"1" maximum:"365"`
	SingleCycle    bool           `json:"single_cycle" doc:"All items of an order must have the same billing cycle."`
	RequireKey     bool           `json:"require_idempotency_key" doc:"Writes without an Idempotency-Key are refused."`
	Language       string         `json:"language,omitempty" doc:"The language of mails to customers and operators; en if it is not sent." enum:"en,de,sl"`
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

// showSettings answers in the form that PUT accepts, so that a client can send back what it read.
func showSettings(_ app.Caller, s app.Settings) reply[settingsBody] {
	return reply[settingsBody]{ETag: httpkit.ETag(s.Version), Body: settingsBody{
		Version: &s.Version, Name: s.Name, Currency: s.Currency, TimeZone: s.TimeZone, PaymentMethod: s.PaymentMethod,
		SafetyWindow: s.SafetyWindow, PaymentDueDays: s.PaymentDueDays,
		QuoteValidDays: s.QuoteValidDays, SingleCycle: s.SingleCycle, RequireKey: s.RequireKey, Language: s.Language,
		BrandColor: s.BrandColor, BrandContrast: s.BrandContrast,
	}}
}

type deliveryKeyBody struct {
	PublicKey string `json:"public_key" doc:"An OpenPGP public key, ASCII-armoured." minLength:"1" maxLength:"60000"`
}

type deliveryKeyInput struct{ Body deliveryKeyBody }

func (s *server) accountRoutes() {
	const tag = "account"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/me", ID: "get-me", Tag: tag, Summary: "Read your own member",
		Who:         "anyone with a key",
		Description: "The member that the API key belongs to.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Member, error) { return s.useCases.Me(ctx, c) },
		func(c app.Caller, m app.Member) reply[memberView] {
			return plain(memberView{
				ID: m.ID.String(), TenantID: c.Tenant.String(), Role: m.Role.String(), Email: orNull(m.Email),
			})
		})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/me/delivery-key", ID: "get-delivery-key", Tag: tag,
		Summary: "Read your OpenPGP key", Who: "customer",
		Description: "Compare the fingerprint with that of your key.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (*app.KeyInfo, error) {
		return s.useCases.DeliveryKey(ctx, c)
	}, showDeliveryKey)
	serve(s, route{
		Method: http.MethodPut, Path: "/v1/me/delivery-key", ID: "put-delivery-key", Tag: tag,
		Summary: "Set your OpenPGP key", Who: "customer", Key: true,
		Description: "From now on, deliveries are encrypted to this key. Send only the public key; it must be able to " +
			"encrypt and must not have expired.",
	}, func(ctx context.Context, c app.Caller, in *deliveryKeyInput) (*app.KeyInfo, error) {
		return s.useCases.PutDeliveryKey(ctx, c, []byte(in.Body.PublicKey))
	}, showDeliveryKey)
	serve(s, route{
		Method: http.MethodDelete, Path: "/v1/me/delivery-key", ID: "delete-delivery-key", Tag: tag,
		Summary: "Remove your OpenPGP key", Who: "customer", Key: true,
		Description: "From now on, deliveries have an attachment that is encrypted with a one-time passphrase.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (*app.KeyInfo, error) {
		return s.useCases.PutDeliveryKey(ctx, c, nil)
	}, showDeliveryKey)
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/settings", ID: "get-settings", Tag: tag,
		Summary:     "Read your organisation's settings",
		Who:         "admin, auditor",
		Description: "In the form that PUT accepts.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (app.Settings, error) {
		return s.useCases.Settings(ctx, c)
	}, showSettings)
	serve(s, route{
		Method: http.MethodPut, Path: "/v1/settings", ID: "put-settings", Tag: tag,
		Summary: "Replace your organisation's settings",
		Who:     "admin", Key: true, Versioned: true, Errors: []int{409},
		Description: "Replaces all settings at once.",
	}, func(ctx context.Context, c app.Caller, in *settingsInput) (app.Settings, error) {
		return s.useCases.PutSettings(ctx, c, in.Body.settings(), requestFrom(ctx).precondition(in.Body.Version))
	}, showSettings)
}
