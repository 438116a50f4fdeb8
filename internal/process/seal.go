package process

import (
	"context"
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/vault"
)

// place is the associated data of what is sealed (ADR 0014): a row that is copied elsewhere does
// not open there.
func place(s app.Sealing) vault.AD {
	return vault.AD{
		Tenant: s.Tenant.String(), Order: s.Order.String(), Item: s.Item.String(), Kind: s.Kind, Generation: s.Generation,
	}
}

// passphraseKind is the kind of a delivery's passphrase; it names the delivery, so that one delivery's
// passphrase does not open in another's place.
const passphraseKind = "passphrase:"

// sealer seals for the worker: credentials under one key, passphrases under another, so that who reads
// the one cannot read the other.
type credentialEncrypter struct {
	db                       *postgres.DB
	credentials, passphrases *vault.Vault
}

func (s credentialEncrypter) Seal(ctx context.Context, at app.Sealing, plaintext []byte) ([]byte, error) {
	v, purpose := s.credentials, postgres.ForCredentials
	if strings.HasPrefix(at.Kind, passphraseKind) {
		v, purpose = s.passphrases, postgres.ForPassphrases
	}
	keys, err := s.db.Keyset(ctx, at.Tenant, purpose, func() (postgres.Keyset, error) {
		wrapped, err := v.NewKeyset(at.Tenant.String())
		return postgres.Keyset{Wrapped: wrapped, KEK: string(purpose)}, err
	})
	if err != nil {
		return nil, err
	}
	sealed, err := v.Seal(keys.Wrapped, place(at), plaintext)
	if err != nil {
		return nil, fmt.Errorf("seal the %s of item %s: %w", purpose, at.Item, err)
	}
	return sealed, nil
}

// opener opens credentials for delivery, through the one login that may read them; every opening is
// written down in the transaction that reads.
type credentialDecrypter struct {
	db    *postgres.DB
	vault *vault.Vault
}

func (o credentialDecrypter) Open(ctx context.Context, at app.Sealing, why, recipient string) ([]byte, error) {
	s, err := o.db.SealedCredential(ctx, at.Tenant, at.Item, at.Generation, postgres.Access{
		Actor: "system:worker", Why: why, Recipient: recipient,
	})
	if err != nil {
		return nil, err
	}
	plain, err := o.vault.Open(s.Keyset.Wrapped, place(at), s.Value)
	if err != nil {
		return nil, fmt.Errorf("open the credentials of item %s: %w", at.Item, err)
	}
	return plain, nil
}

// taker takes one-time passphrases for the portal.
type passphraseStore struct {
	db    *postgres.DB
	vault *vault.Vault
}

func (p passphraseStore) TakePassphrase(
	ctx context.Context, t tenant.ID, o order.ID, d id.Of[app.Delivery],
) (string, error) {
	s, err := p.db.TakePassphrase(ctx, t, o, d)
	if err != nil {
		return "", err
	}
	at := app.Sealing{Tenant: t, Order: o, Item: s.Item, Kind: passphraseKind + d.String(), Generation: s.Generation}
	plain, err := p.vault.Open(s.Keyset.Wrapped, place(at), s.Value)
	if err != nil {
		return "", fmt.Errorf("open the passphrase of delivery %s: %w", d, err)
	}
	return string(plain), nil
}

// box keeps the signing secrets of webhooks, each under a keyset of its own: API and portal seal without
// reading anything, and the worker alone reads what is sealed.
type webhookSecretBox struct{ vault *vault.Vault }

// webhookSecretBoxOf is nil where there is no key.
func webhookSecretBoxOf(k vault.KEK) app.SecretBox {
	if k.Fingerprint() == (vault.KEK{}).Fingerprint() {
		return nil
	}
	return webhookSecretBox{vault.New(k)}
}

// secretKind is the kind of a webhook's secret.
const secretKind = "webhook-secret"

// secretPlace is where a secret belongs: to this endpoint, as this row.
func secretPlace(t tenant.ID, e app.WebhookEndpointID, s id.Of[app.SealedSecret]) vault.AD {
	return vault.AD{Tenant: t.String(), Order: e.String(), Item: s.String(), Kind: secretKind}
}

func (b webhookSecretBox) SealSecret(
	t tenant.ID, e app.WebhookEndpointID, s id.Of[app.SealedSecret], secret string,
) (app.SealedSecret, error) {
	wrapped, err := b.vault.NewKeyset(t.String())
	if err != nil {
		return app.SealedSecret{}, err
	}
	sealed, err := b.vault.Seal(wrapped, secretPlace(t, e, s), []byte(secret))
	return app.SealedSecret{ID: s, Wrapped: wrapped, Sealed: sealed}, err
}

func (b webhookSecretBox) OpenSecret(t tenant.ID, e app.WebhookEndpointID, s app.SealedSecret) (string, error) {
	plain, err := b.vault.Open(s.Wrapped, secretPlace(t, e, s.ID), s.Sealed)
	return string(plain), err
}
