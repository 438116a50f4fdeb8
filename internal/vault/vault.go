// Package vault seals secrets by envelope encryption (ADR 0014): the credentials of delivered services, the
// one-time passphrases of their mails and the signing secrets of webhooks. A key-encryption key (KEK) wraps a
// tenant's keyset, and the keyset seals the values. Associated data binds each value to the row that it
// belongs to. The package works on bytes: it knows no table, no mail and no provider, keeps no keyset between
// calls, and never puts a plaintext or a key into an error.
package vault

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Errors of Seal and Open. ErrKeyset and ErrSealed cannot say which of the pieces is wrong: an authenticated
// cipher does not tell.
var (
	// ErrKeyset means that the wrapped keyset is damaged, of another tenant, or wrapped by another KEK.
	ErrKeyset = errors.New("keyset does not open with this key-encryption key for this tenant")
	// ErrSealed means that the value is damaged, was sealed by another keyset, or with other associated data.
	ErrSealed = errors.New("sealed value does not open with this keyset and this associated data")
	// ErrAD means that the associated data cannot be written unambiguously.
	ErrAD = errors.New("associated data needs every field, without '|', and a generation of 0 or more")
)

// AD is the associated data of a sealed value: it says where the value belongs. A value that is copied to
// another tenant, order, item, kind or generation does not open there.
type AD struct {
	Tenant     string
	Order      string
	Item       string
	Kind       string // what is sealed, such as "credentials" or "passphrase"
	Generation int    // of the item (credentials) or of the delivery (passphrase)
}

// bytes returns tenant|order|item|kind|generation. A field that contains the separator is refused, not
// escaped: all fields are our own ids and names.
func (ad AD) bytes() ([]byte, error) {
	for _, field := range []string{ad.Tenant, ad.Order, ad.Item, ad.Kind} {
		if field == "" || strings.Contains(field, "|") {
			return nil, ErrAD
		}
	}
	if ad.Generation < 0 {
		return nil, ErrAD
	}
	return []byte(strings.Join([]string{ad.Tenant, ad.Order, ad.Item, ad.Kind, strconv.Itoa(ad.Generation)}, "|")), nil
}

// Vault seals and opens values under one KEK. The product uses separate KEKs for credentials, passphrases and
// webhook secrets, so that whoever has one of them cannot read the rest. A Vault is safe for concurrent use.
type Vault struct {
	kek KEK
}

// New returns a vault with a KEK.
func New(kek KEK) *Vault { return &Vault{kek: kek} }

// NewKeyset makes a keyset with one AES-256-GCM key for a tenant and returns it wrapped, with the tenant as
// associated data. It has about 140 bytes; each Rotate adds about 100 until Retire.
func (v *Vault) NewKeyset(tenant string) ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset of tenant %s: %w", tenant, err)
	}
	return v.wrap(handle, tenant)
}

// Seal encrypts plaintext with the primary key of the tenant's keyset and binds it to the associated data.
// Sealing the same value twice gives different bytes.
func (v *Vault) Seal(wrapped []byte, ad AD, plaintext []byte) ([]byte, error) {
	associated, err := ad.bytes()
	if err != nil {
		return nil, err
	}
	handle, err := v.unwrap(wrapped, ad.Tenant)
	if err != nil {
		return nil, err
	}
	cipher, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("use keyset of tenant %s: %w", ad.Tenant, err)
	}
	sealed, err := cipher.Encrypt(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("seal %s of item %s: %w", ad.Kind, ad.Item, err)
	}
	return sealed, nil
}

// Open returns the plaintext, whichever key of the keyset sealed it. Its error is ErrKeyset, ErrSealed or
// ErrAD. The caller should keep the plaintext no longer than it needs it.
func (v *Vault) Open(wrapped []byte, ad AD, sealed []byte) ([]byte, error) {
	associated, err := ad.bytes()
	if err != nil {
		return nil, err
	}
	handle, err := v.unwrap(wrapped, ad.Tenant)
	if err != nil {
		return nil, err
	}
	cipher, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("use keyset of tenant %s: %w", ad.Tenant, err)
	}
	plaintext, err := cipher.Decrypt(sealed, associated)
	if err != nil {
		return nil, fmt.Errorf("open %s of item %s: %w", ad.Kind, ad.Item, ErrSealed)
	}
	return plaintext, nil
}

// Rotate adds a new key to the keyset and makes it the primary one, which seals. Values that older keys sealed
// still open.
func (v *Vault) Rotate(wrapped []byte, tenant string) ([]byte, error) {
	handle, err := v.unwrap(wrapped, tenant)
	if err != nil {
		return nil, err
	}
	manager := keyset.NewManagerFromHandle(handle)
	newKey, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("add key to keyset of tenant %s: %w", tenant, err)
	}
	if err := manager.SetPrimary(newKey); err != nil {
		return nil, fmt.Errorf("rotate keyset of tenant %s: %w", tenant, err)
	}
	return v.wrapManaged(manager, tenant)
}

// Retire removes every key but the primary one. Values that the older keys sealed are lost for good, so every
// value must have been sealed again after the last Rotate.
func (v *Vault) Retire(wrapped []byte, tenant string) ([]byte, error) {
	handle, err := v.unwrap(wrapped, tenant)
	if err != nil {
		return nil, err
	}
	info := handle.KeysetInfo()
	manager := keyset.NewManagerFromHandle(handle)
	for _, key := range info.GetKeyInfo() {
		if key.GetKeyId() == info.GetPrimaryKeyId() {
			continue
		}
		if err := manager.Delete(key.GetKeyId()); err != nil {
			return nil, fmt.Errorf("retire key of tenant %s: %w", tenant, err)
		}
	}
	return v.wrapManaged(manager, tenant)
}

// Rewrap wraps a keyset of this vault with the KEK of another one. Sealed values do not change.
func (v *Vault) Rewrap(wrapped []byte, tenant string, to *Vault) ([]byte, error) {
	handle, err := v.unwrap(wrapped, tenant)
	if err != nil {
		return nil, err
	}
	return to.wrap(handle, tenant)
}

func (v *Vault) wrapManaged(manager *keyset.Manager, tenant string) ([]byte, error) {
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("read changed keyset of tenant %s: %w", tenant, err)
	}
	return v.wrap(handle, tenant)
}

func (v *Vault) wrap(handle *keyset.Handle, tenant string) ([]byte, error) {
	if v.kek.aead == nil {
		return nil, ErrNoKEK
	}
	if tenant == "" {
		return nil, ErrAD
	}
	var out bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&out), v.kek.aead, []byte(tenant)); err != nil {
		return nil, fmt.Errorf("wrap keyset of tenant %s: %w", tenant, err)
	}
	return out.Bytes(), nil
}

func (v *Vault) unwrap(wrapped []byte, tenant string) (*keyset.Handle, error) {
	if v.kek.aead == nil {
		return nil, ErrNoKEK
	}
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)),
		v.kek.aead, []byte(tenant))
	if err != nil {
		return nil, fmt.Errorf("tenant %s: %w", tenant, ErrKeyset)
	}
	return handle, nil
}
