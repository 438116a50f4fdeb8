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

// sealedValueAD returns the associated data of a sealed value (ADR 0014). A value that is copied to another
// row cannot be opened there.
func sealedValueAD(s app.Sealing) vault.AD {
	return vault.AD{
		Tenant: s.Tenant.String(), Order: s.Order.String(), Item: s.Item.String(), Kind: s.Kind, Generation: s.Generation,
	}
}

// passphraseKind begins the kind of a delivery's passphrase; the id of the delivery follows. So the
// passphrase of one delivery cannot be opened as that of another.
const passphraseKind = "passphrase:"

// credentialEncrypter seals what the worker stores: credentials under one key, passphrases under another, so
// that a process with one key cannot read both.
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
	sealed, err := v.Seal(keys.Wrapped, sealedValueAD(at), plaintext)
	if err != nil {
		return nil, fmt.Errorf("seal the %s of item %s: %w", purpose, at.Item, err)
	}
	return sealed, nil
}

// credentialDecrypter opens credentials for delivery, through the only login that may read them. The
// transaction that reads a credential also records the access.
type credentialDecrypter struct {
	db    *postgres.DB
	vault *vault.Vault
}

func (d credentialDecrypter) Open(ctx context.Context, at app.Sealing, why, recipient string) ([]byte, error) {
	s, err := d.db.SealedCredential(ctx, at.Tenant, at.Item, at.Generation, postgres.Access{
		Actor: "system:worker", Why: why, Recipient: recipient,
	})
	if err != nil {
		return nil, err
	}
	plain, err := d.vault.Open(s.Keyset.Wrapped, sealedValueAD(at), s.Value)
	if err != nil {
		return nil, fmt.Errorf("open the credentials of item %s: %w", at.Item, err)
	}
	return plain, nil
}

// passphraseStore takes one-time passphrases from the database for the portal. Each can be taken once.
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
	plain, err := p.vault.Open(s.Keyset.Wrapped, sealedValueAD(at), s.Value)
	if err != nil {
		return "", fmt.Errorf("open the passphrase of delivery %s: %w", d, err)
	}
	return string(plain), nil
}

// webhookSecretBox seals the signing secrets of webhooks, each under a keyset of its own. API and portal can
// seal without reading anything; only the worker reads what is sealed.
type webhookSecretBox struct{ vault *vault.Vault }

// newWebhookSecretBox returns nil for the zero key: then the installation has no webhooks.
func newWebhookSecretBox(k vault.KEK) app.SecretBox {
	if k.Fingerprint() == (vault.KEK{}).Fingerprint() {
		return nil
	}
	return webhookSecretBox{vault.New(k)}
}

// secretKind is the kind of a webhook's signing secret.
const secretKind = "webhook-secret"

// webhookSecretAD returns the associated data of a signing secret: its tenant, its endpoint and its own row.
func webhookSecretAD(t tenant.ID, e app.WebhookEndpointID, s id.Of[app.SealedSecret]) vault.AD {
	return vault.AD{Tenant: t.String(), Order: e.String(), Item: s.String(), Kind: secretKind}
}

func (b webhookSecretBox) SealSecret(
	t tenant.ID, e app.WebhookEndpointID, s id.Of[app.SealedSecret], secret string,
) (app.SealedSecret, error) {
	wrapped, err := b.vault.NewKeyset(t.String())
	if err != nil {
		return app.SealedSecret{}, err
	}
	sealed, err := b.vault.Seal(wrapped, webhookSecretAD(t, e, s), []byte(secret))
	return app.SealedSecret{ID: s, Wrapped: wrapped, Sealed: sealed}, err
}

func (b webhookSecretBox) OpenSecret(t tenant.ID, e app.WebhookEndpointID, s app.SealedSecret) (string, error) {
	plain, err := b.vault.Open(s.Wrapped, webhookSecretAD(t, e, s.ID), s.Sealed)
	return string(plain), err
}
