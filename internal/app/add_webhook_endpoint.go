package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// The limits of a tenant's webhooks. Each event is one call per endpoint.
const (
	maxWebhookEndpoints       = 20
	maxWebhookEndpointURL     = 2048
	maxWebhookEndpointComment = 200
)

// secretBytes is the length of a signing secret. Standard Webhooks asks for 24 to 64 bytes.
const secretBytes = 32

// IssuedSecret is an endpoint with its new signing secret, which is never shown again.
type IssuedSecret struct {
	WebhookEndpoint
	Secret string // "" in a replayed answer
}

// Kept returns what an idempotency key stores: everything but the secret (D21).
func (s IssuedSecret) Kept() IssuedSecret {
	s.Secret = ""
	return s
}

// AddWebhookEndpoint describes a new endpoint.
type AddWebhookEndpoint struct {
	URL         string
	Description string
	Types       []event.Type // none: all
}

// AddWebhookEndpoint creates an endpoint with its first secret. It receives events from now on.
func (a *App) AddWebhookEndpoint(ctx context.Context, c Caller, in AddWebhookEndpoint) (IssuedSecret, error) {
	if err := a.may(c.Actor, WriteWebhooks); err != nil {
		return IssuedSecret{}, err
	}
	return write(ctx, a, c, func(tx Tx) (IssuedSecret, error) {
		existing, settings, err := tx.ListWebhookEndpoints(ctx)
		if err != nil {
			return IssuedSecret{}, err
		}
		if err := c.requireKey(settings); err != nil {
			return IssuedSecret{}, err
		}
		now := tx.Now()
		e := WebhookEndpoint{
			ID: newID[WebhookEndpoint](a), Version: 1, URL: in.URL, Description: in.Description, Types: sortedTypes(in.Types),
			State: WebhookEndpointActive, Since: now, CreatedAt: now, UpdatedAt: now,
		}
		if faults := a.checkWebhookEndpoint(e); len(faults) > 0 {
			return IssuedSecret{}, fault.Violated(faults)
		}
		if len(existing) >= maxWebhookEndpoints {
			return IssuedSecret{}, fault.New(fault.KindConflict, "too-many-webhooks",
				"An organisation has at most %d webhooks. Delete one that is no longer needed.", maxWebhookEndpoints)
		}
		tx.PutWebhookEndpoint(e)
		return a.issueSecret(tx, c.Tenant, e, now)
	})
}

func (a *App) checkWebhookEndpoint(e WebhookEndpoint) []fault.Violation {
	faults := textFaults("/description", e.Description, maxWebhookEndpointComment)
	if utf8.RuneCountInString(e.URL) > maxWebhookEndpointURL {
		faults = append(faults, fault.Violation{
			Pointer: "/url", Code: "too-long", Message: fmt.Sprintf("At most %d characters.", maxWebhookEndpointURL),
			Allowed: []any{maxWebhookEndpointURL},
		})
	} else if v := a.WebhookSender.CheckURL(e.URL); v != nil {
		v.Pointer = "/url"
		faults = append(faults, *v)
	}
	for i, t := range e.Types {
		if !slices.Contains(event.Types(), t) {
			faults = append(faults, fault.Violation{
				Pointer: fmt.Sprintf("/types/%d", i), Code: "unknown-event", Message: "There is no such event.",
				Allowed: allowedTypes(),
			})
		}
	}
	return faults
}

func allowedTypes() []any {
	var all []any
	for _, t := range event.Types() {
		all = append(all, string(t))
	}
	return all
}

// sortedTypes returns the types without duplicates, sorted as event.Types lists them. Unknown types come last;
// checkWebhookEndpoint refuses them.
func sortedTypes(types []event.Type) []event.Type {
	known := event.Types()
	rank := func(t event.Type) int {
		if i := slices.Index(known, t); i >= 0 {
			return i
		}
		return len(known)
	}
	sorted := slices.Clone(types)
	slices.SortStableFunc(sorted, func(x, y event.Type) int { return rank(x) - rank(y) })
	return slices.Compact(sorted)
}

// issueSecret draws an endpoint's new secret and queues it, sealed. The previous one stays valid until then.
func (a *App) issueSecret(tx Tx, t tenant.ID, e WebhookEndpoint, until time.Time) (IssuedSecret, error) {
	if a.Secrets == nil {
		return IssuedSecret{}, fault.New(fault.KindConflict, "webhooks-not-set-up",
			"This installation has no key to keep webhook secrets with. Its operator sets one (--webhook-kek).")
	}
	raw := make([]byte, secretBytes)
	if _, err := io.ReadFull(a.Random, raw); err != nil {
		return IssuedSecret{}, fmt.Errorf("draw a webhook secret: %w", err)
	}
	secret := "whsec_" + base64.StdEncoding.EncodeToString(raw)
	sealed, err := a.Secrets.SealSecret(t, e.ID, id.Of[SealedSecret](a.NewID()), secret)
	if err != nil {
		return IssuedSecret{}, fmt.Errorf("seal the secret of endpoint %s: %w", e.ID, err)
	}
	tx.AddSecret(e.ID, sealed, until)
	e.Secrets = append([]SecretInfo{{CreatedAt: tx.Now()}}, stillValid(e.Secrets, tx.Now(), until)...)
	return IssuedSecret{WebhookEndpoint: e, Secret: secret}, nil
}

// stillValid returns the secrets that stay valid beside a new one: the current one, until it expires.
func stillValid(secrets []SecretInfo, now, until time.Time) []SecretInfo {
	var stay []SecretInfo
	for _, s := range secrets {
		if s.ExpiresAt.IsZero() && until.After(now) {
			stay = append(stay, SecretInfo{CreatedAt: s.CreatedAt, ExpiresAt: until})
		}
	}
	return stay
}
