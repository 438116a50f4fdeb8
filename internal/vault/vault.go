// Package vault seals what the module may never show: the credentials of delivered services and the
// one-time passphrases of their mails. A key encryption key (KEK) wraps one keyset per tenant; the
// keyset seals the values, each bound to its place by associated data (security: envelope). The
// package takes and gives bytes: it knows no table, no mail and no provider, keeps no keyset between
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

// Errors of reading. Both say only that the pieces do not belong together: which piece is wrong
// cannot be told, by design of the cipher.
var (
	// ErrKeyset: the wrapped keyset is damaged, another tenant's, or wrapped by another KEK.
	ErrKeyset = errors.New("keyset does not open with this key encryption key for this tenant")
	// ErrSealed: the value is damaged, sealed by another keyset, or belongs to another place.
	ErrSealed = errors.New("sealed value does not open with this keyset at this place")
	// ErrPlace: the associated data cannot be written unambiguously.
	ErrPlace = errors.New("associated data needs every field, without '|', and a generation of 0 or more")
)

// AD is the place a sealed value belongs to. A value copied to another tenant, order, item, kind or
// generation does not open there.
type AD struct {
	Tenant     string
	Order      string
	Item       string
	Kind       string // what is sealed, such as "credentials" or "passphrase"
	Generation int    // of the item (credentials) or the delivery (passphrase)
}

// bytes renders tenant|order|item|kind|generation. Fields are refused rather than escaped: all are
// ids and names of ours.
func (ad AD) bytes() ([]byte, error) {
	for _, field := range []string{ad.Tenant, ad.Order, ad.Item, ad.Kind} {
		if field == "" || strings.Contains(field, "|") {
			return nil, ErrPlace
		}
	}
	if ad.Generation < 0 {
		return nil, ErrPlace
	}
	return []byte(strings.Join([]string{ad.Tenant, ad.Order, ad.Item, ad.Kind, strconv.Itoa(ad.Generation)}, "|")), nil
}

// Vault seals and opens under one KEK. The product has two: one for credentials, one for
// passphrases, so that who reads the one cannot read the other. Safe for concurrent use.
type Vault struct {
	kek KEK
}

// New makes a vault on a KEK.
func New(kek KEK) *Vault { return &Vault{kek: kek} }

// NewKeyset makes a tenant's keyset with one AES-256-GCM key and wraps it, with the tenant as
// associated data. It takes about 140 bytes; each Rotate adds about 100 until Retire.
func (v *Vault) NewKeyset(tenant string) ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make keyset of tenant %s: %w", tenant, err)
	}
	return v.wrap(handle, tenant)
}

// Seal encrypts plaintext with the primary key of the tenant's keyset and binds it to its place.
// Sealing the same twice gives different bytes.
func (v *Vault) Seal(wrapped []byte, ad AD, plaintext []byte) ([]byte, error) {
	place, err := ad.bytes()
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
	sealed, err := cipher.Encrypt(plaintext, place)
	if err != nil {
		return nil, fmt.Errorf("seal %s of item %s: %w", ad.Kind, ad.Item, err)
	}
	return sealed, nil
}

// Open gives the plaintext back, whichever key of the keyset sealed it: ErrKeyset, ErrSealed or
// ErrPlace otherwise. The caller keeps the bytes as short as it can.
func (v *Vault) Open(wrapped []byte, ad AD, sealed []byte) ([]byte, error) {
	place, err := ad.bytes()
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
	plaintext, err := cipher.Decrypt(sealed, place)
	if err != nil {
		return nil, fmt.Errorf("open %s of item %s: %w", ad.Kind, ad.Item, ErrSealed)
	}
	return plaintext, nil
}

// Rotate adds a new key to the keyset and seals with it from now on. What the older keys sealed
// still opens.
func (v *Vault) Rotate(wrapped []byte, tenant string) ([]byte, error) {
	handle, err := v.unwrap(wrapped, tenant)
	if err != nil {
		return nil, err
	}
	manager := keyset.NewManagerFromHandle(handle)
	fresh, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("add key to keyset of tenant %s: %w", tenant, err)
	}
	if err := manager.SetPrimary(fresh); err != nil {
		return nil, fmt.Errorf("rotate keyset of tenant %s: %w", tenant, err)
	}
	return v.wrapManaged(manager, tenant)
}

// Retire removes every key but the primary one: what the older keys sealed is lost for good, so
// every value must have been sealed anew after the last Rotate.
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

// Rewrap moves a keyset from this vault's KEK to another's. Sealed values stay as they are.
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
		return nil, ErrPlace
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
