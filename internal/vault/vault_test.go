package vault_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/vault"
)

const (
	tenantA = "01980f3a-0000-7000-8000-00000000000a"
	tenantB = "01980f3a-0000-7000-8000-00000000000b"
)

var itemAD = vault.AD{Tenant: tenantA, Order: "order-1", Item: "item-1", Kind: "credentials", Generation: 1}

// canary is a plaintext that must not appear in any error or sealed value.
const canary = `{"password":"canary-Zq7!vault"}`

func newKEK(t *testing.T) vault.KEK {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	kek, err := vault.NewKEK(key)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func newKeyset(t *testing.T, v *vault.Vault, tenant string) []byte {
	t.Helper()
	wrapped, err := v.NewKeyset(tenant)
	if err != nil {
		t.Fatalf("NewKeyset(%s): %v", tenant, err)
	}
	return wrapped
}

func seal(t *testing.T, v *vault.Vault, wrapped []byte, ad vault.AD, plaintext string) []byte {
	t.Helper()
	sealed, err := v.Seal(wrapped, ad, []byte(plaintext))
	if err != nil {
		t.Fatalf("Seal(%+v): %v", ad, err)
	}
	return sealed
}

// mustNotOpen requires that Open returns the error want, no bytes, and no plaintext in the error.
func mustNotOpen(t *testing.T, v *vault.Vault, wrapped []byte, ad vault.AD, sealed []byte, want error) {
	t.Helper()
	got, err := v.Open(wrapped, ad, sealed)
	if !errors.Is(err, want) || got != nil {
		t.Fatalf("Open(%+v) = %d bytes, %v; want %v", ad, len(got), err, want)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Fatalf("Open(%+v): the error contains the plaintext", ad)
	}
}

func TestASealedValueOpensWithItsAssociatedData(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	wrapped := newKeyset(t, v, tenantA)
	for _, plaintext := range []string{canary, "", strings.Repeat("k", 1<<20)} {
		sealed := seal(t, v, wrapped, itemAD, plaintext)
		got, err := v.Open(wrapped, itemAD, sealed)
		if err != nil || string(got) != plaintext {
			t.Fatalf("Open of %d sealed bytes: %d bytes, %v", len(plaintext), len(got), err)
		}
		if bytes.Contains(sealed, []byte("canary")) || bytes.Contains(wrapped, []byte("canary")) {
			t.Fatal("the sealed value or the keyset contains the plaintext")
		}
	}
}

func TestSealingTheSameTwiceGivesDifferentBytes(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	wrapped := newKeyset(t, v, tenantA)
	if bytes.Equal(seal(t, v, wrapped, itemAD, canary), seal(t, v, wrapped, itemAD, canary)) {
		t.Fatal("two seals of one value are equal: they show that a password did not change")
	}
}

func TestKeysetOfATenantTakesAtMost144Bytes(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	for range 50 { // the key's random id takes one to five bytes
		if got := len(newKeyset(t, v, tenantA)); got < 120 || got > 144 {
			t.Errorf("wrapped keyset has %d bytes, want about 144", got)
		}
	}
}

func TestAValueMovedToAnotherRowDoesNotOpen(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	wrapped := newKeyset(t, v, tenantA)
	sealed := seal(t, v, wrapped, itemAD, canary)
	moves := map[string]struct {
		change func(*vault.AD)
		want   error
	}{
		"tenant":     {func(ad *vault.AD) { ad.Tenant = tenantB }, vault.ErrKeyset},
		"order":      {func(ad *vault.AD) { ad.Order = "order-2" }, vault.ErrSealed},
		"item":       {func(ad *vault.AD) { ad.Item = "item-2" }, vault.ErrSealed},
		"kind":       {func(ad *vault.AD) { ad.Kind = "passphrase" }, vault.ErrSealed},
		"generation": {func(ad *vault.AD) { ad.Generation = 2 }, vault.ErrSealed},
	}
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ad := itemAD
			move.change(&ad)
			mustNotOpen(t, v, wrapped, ad, sealed, move.want)
		})
	}
}

func TestRowOfAnotherTenantDoesNotOpenWithItsOwnKeysetEither(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	wrappedA, wrappedB := newKeyset(t, v, tenantA), newKeyset(t, v, tenantB)
	sealed := seal(t, v, wrappedA, itemAD, canary)
	inB := itemAD
	inB.Tenant = tenantB
	mustNotOpen(t, v, wrappedB, inB, sealed, vault.ErrSealed)
	mustNotOpen(t, v, wrappedB, itemAD, sealed, vault.ErrKeyset)
	mustNotOpen(t, v, wrappedA, inB, sealed, vault.ErrKeyset)
}

func TestAmbiguousOrIncompleteAssociatedDataIsRefused(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	wrapped := newKeyset(t, v, tenantA)
	for name, change := range map[string]func(*vault.AD){
		"no order":            func(ad *vault.AD) { ad.Order = "" },
		"no item":             func(ad *vault.AD) { ad.Item = "" },
		"no kind":             func(ad *vault.AD) { ad.Kind = "" },
		"no tenant":           func(ad *vault.AD) { ad.Tenant = "" },
		"separator in a name": func(ad *vault.AD) { ad.Order, ad.Item = "order-1|item-1", "credentials" },
		"negative generation": func(ad *vault.AD) { ad.Generation = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ad := itemAD
			change(&ad)
			if _, err := v.Seal(wrapped, ad, []byte(canary)); !errors.Is(err, vault.ErrAD) {
				t.Errorf("Seal(%+v): %v, want ErrAD", ad, err)
			}
			mustNotOpen(t, v, wrapped, ad, []byte("x"), vault.ErrAD)
		})
	}
	if _, err := v.NewKeyset(""); !errors.Is(err, vault.ErrAD) {
		t.Errorf("NewKeyset of no tenant: %v, want ErrAD", err)
	}
}

func TestEveryFlippedByteIsNoticed(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	wrapped := newKeyset(t, v, tenantA)
	sealed := seal(t, v, wrapped, itemAD, canary)
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		mustNotOpen(t, v, wrapped, itemAD, bad, vault.ErrSealed)
	}
	for n := range len(sealed) {
		mustNotOpen(t, v, wrapped, itemAD, sealed[:n], vault.ErrSealed)
	}
	for n := range len(wrapped) {
		// The last bytes only repeat key ids in plaintext, for tools; the encrypted keyset comes before them.
		if _, err := v.Open(wrapped[:n], itemAD, sealed); err == nil && n < 100 {
			t.Fatalf("a keyset cut to %d of %d bytes opens", n, len(wrapped))
		}
	}
	mustNotOpen(t, v, nil, itemAD, sealed, vault.ErrKeyset)
}

func TestRotatedKeysetStillOpensOldValuesUntilRetired(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	first := newKeyset(t, v, tenantA)
	old := seal(t, v, first, itemAD, canary)
	second, err := v.Rotate(first, tenantA)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	newer := seal(t, v, second, itemAD, canary)
	for name, sealed := range map[string][]byte{"old": old, "new": newer} {
		if got, err := v.Open(second, itemAD, sealed); err != nil || string(got) != canary {
			t.Errorf("after Rotate the %s value gives %d bytes, %v", name, len(got), err)
		}
	}
	mustNotOpen(t, v, first, itemAD, newer, vault.ErrSealed)

	retired, err := v.Retire(second, tenantA)
	if err != nil {
		t.Fatalf("Retire: %v", err)
	}
	mustNotOpen(t, v, retired, itemAD, old, vault.ErrSealed)
	if got, err := v.Open(retired, itemAD, newer); err != nil || string(got) != canary {
		t.Errorf("after Retire the new value gives %d bytes, %v", len(got), err)
	}
	if len(retired) > 144 {
		t.Errorf("retired keyset has %d bytes, more than one key takes: an old key is still in it", len(retired))
	}
	if _, err := v.Rotate(first, tenantB); !errors.Is(err, vault.ErrKeyset) {
		t.Errorf("Rotate for another tenant: %v, want ErrKeyset", err)
	}
}

func TestRewrappedKeysetOpensUnderTheNewKEKOnly(t *testing.T) {
	t.Parallel()
	from, to := vault.New(newKEK(t)), vault.New(newKEK(t))
	wrapped := newKeyset(t, from, tenantA)
	sealed := seal(t, from, wrapped, itemAD, canary)
	rewrapped, err := from.Rewrap(wrapped, tenantA, to)
	if err != nil {
		t.Fatalf("Rewrap: %v", err)
	}
	if got, err := to.Open(rewrapped, itemAD, sealed); err != nil || string(got) != canary {
		t.Errorf("under the new KEK: %d bytes, %v", len(got), err)
	}
	mustNotOpen(t, from, rewrapped, itemAD, sealed, vault.ErrKeyset)
	mustNotOpen(t, to, wrapped, itemAD, sealed, vault.ErrKeyset)
	if _, err := from.Rewrap(wrapped, tenantB, to); !errors.Is(err, vault.ErrKeyset) {
		t.Errorf("Rewrap for another tenant: %v, want ErrKeyset", err)
	}
}

func TestVaultOfPassphrasesCannotOpenCredentials(t *testing.T) {
	t.Parallel()
	credentials, passphrases := vault.New(newKEK(t)), vault.New(newKEK(t))
	wrapped := newKeyset(t, credentials, tenantA)
	mustNotOpen(t, passphrases, wrapped, itemAD, seal(t, credentials, wrapped, itemAD, canary), vault.ErrKeyset)
	own := newKeyset(t, passphrases, tenantA)
	mustNotOpen(t, passphrases, own, itemAD, seal(t, credentials, wrapped, itemAD, canary), vault.ErrSealed)
}

func TestVaultWithoutKEKSealsNothing(t *testing.T) {
	t.Parallel()
	v := vault.New(vault.KEK{})
	if _, err := v.NewKeyset(tenantA); !errors.Is(err, vault.ErrNoKEK) {
		t.Errorf("NewKeyset: %v, want ErrNoKEK", err)
	}
	if _, err := v.Seal([]byte("x"), itemAD, []byte(canary)); !errors.Is(err, vault.ErrNoKEK) {
		t.Errorf("Seal: %v, want ErrNoKEK", err)
	}
}

func TestRotationUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	v := vault.New(newKEK(t))
	var mu sync.Mutex // guards wrapped, as a row lock would
	wrapped := newKeyset(t, v, tenantA)
	current := func() []byte { mu.Lock(); defer mu.Unlock(); return wrapped }
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 50 {
				ad := itemAD
				ad.Item = fmt.Sprintf("item-%d-%d", worker, i)
				sealed, err := v.Seal(current(), ad, []byte(ad.Item))
				if err != nil {
					t.Errorf("Seal during rotation: %v", err)
					return
				}
				if got, err := v.Open(current(), ad, sealed); err != nil || string(got) != ad.Item {
					t.Errorf("Open during rotation: %q, %v", got, err)
				}
			}
		})
	}
	for range 5 {
		next, err := v.Rotate(current(), tenantA)
		if err != nil {
			t.Fatalf("Rotate: %v", err)
		}
		mu.Lock()
		wrapped = next
		mu.Unlock()
	}
	wg.Wait()
}

func TestKEKPrintsRedacted(t *testing.T) {
	t.Parallel()
	kek := newKEK(t)
	want := []string{"[redacted]", "[redacted]", "[redacted]", "[redacted]"}
	got := []string{fmt.Sprint(kek), fmt.Sprintf("%+v", kek), fmt.Sprintf("%#v", kek), kek.LogValue().String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("KEK printed (-want +got):\n%s", diff)
	}
	if a, b := kek.Fingerprint(), newKEK(t).Fingerprint(); a == b || len(a) != 16 {
		t.Errorf("fingerprints %q and %q of two KEKs", a, b)
	}
}

func BenchmarkSeal(b *testing.B) {
	key := make([]byte, 32)
	kek, err := vault.NewKEK(key)
	if err != nil {
		b.Fatal(err)
	}
	v := vault.New(kek)
	wrapped, err := v.NewKeyset(tenantA)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := v.Seal(wrapped, itemAD, []byte(canary)); err != nil {
			b.Fatal(err)
		}
	}
}
