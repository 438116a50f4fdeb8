package mail_test

import (
	"bytes"
	"crypto/rand"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ProtonMail/gopenpgp/v3/crypto"
	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	ours "github.com/platforma-cloud/orders/internal/mail"
)

type testKey struct{ public, private, armored []byte }

func newTestKey(t *testing.T) testKey { return newTestKeyWith(t, "Ana Novak", 0, sentAt) }

func newTestKeyWith(t *testing.T, name string, lifetime int32, made time.Time) testKey {
	t.Helper()
	key, err := crypto.PGP().KeyGeneration().AddUserId(name, recipient).
		Lifetime(lifetime).GenerationTime(made.Unix()).New().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := key.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.GetPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	armored, err := key.GetArmoredPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return testKey{public: public, private: private, armored: []byte(armored)}
}

func TestPublicKeyIsReadInBothForms(t *testing.T) {
	t.Parallel()
	made := sentAt.Add(-time.Hour)
	key := newTestKeyWith(t, "Ana Novak", 86400, made)
	parsed, err := crypto.NewKey(key.public)
	if err != nil {
		t.Fatal(err)
	}
	want := ours.KeyInfo{
		Fingerprint: strings.ToUpper(parsed.GetFingerprint()), UserIDs: []string{"Ana Novak <" + recipient + ">"},
		Expires: made.Add(24 * time.Hour), Public: key.public,
	}
	for form, raw := range map[string][]byte{"binary": key.public, "armored": key.armored} {
		got, err := ours.CheckPublicKey(raw, sentAt)
		if err != nil {
			t.Fatalf("%s key: %v", form, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s key (-want +got):\n%s", form, diff)
		}
	}
	if got, err := ours.CheckPublicKey(newTestKey(t).public, sentAt); err != nil || !got.Expires.IsZero() ||
		!regexp.MustCompile(`^[0-9A-F]{40}$`).MatchString(got.Fingerprint) {
		t.Errorf("key without an end: %v, %v", got, err)
	}
}

func TestUnusableKeysAreRefusedByCode(t *testing.T) {
	t.Parallel()
	key := newTestKey(t)
	expired := newTestKeyWith(t, "Ana", 60, sentAt.Add(-time.Hour))
	signOnly := signingOnly(t)
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"private":            {key.private, "key-private"},
		"two keys":           {append(bytes.Clone(key.public), newTestKey(t).public...), "key-unreadable"},
		"public and private": {append(bytes.Clone(key.public), key.private...), "key-unreadable"},
		"expired":            {expired.public, "key-expired"},
		"revoked":            {revoked(t), "key-revoked"},
		"only signs":         {signOnly, "key-cannot-encrypt"},
		"nothing":            {nil, "key-unreadable"},
		"nonsense":           {[]byte(canary), "key-unreadable"},
		"cut":                {key.public[:len(key.public)/2], "key-"},
		"too large":          {make([]byte, ours.MaxPublicKey+1), "key-too-large"},
		"empty armor": {
			[]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n"),
			"key-unreadable",
		},
	} {
		info, err := ours.CheckPublicKey(c.raw, sentAt.Add(time.Minute)) // the revocation carries the time of this run
		f := fault.Of(err)
		if f == nil || f.Kind != fault.KindInvalid || !strings.HasPrefix(f.Code, c.want) || info.Fingerprint != "" {
			t.Errorf("%s: %+v, %v; want %s", name, info, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error repeats the input", name)
		}
	}
}

// signingOnly returns a key without a subkey for encryption.
func signingOnly(t *testing.T) []byte {
	t.Helper()
	key, err := crypto.NewKey(newTestKey(t).private)
	if err != nil {
		t.Fatal(err)
	}
	entity := key.GetEntity()
	entity.Subkeys = nil
	return serialized(t, key)
}

// revoked returns a revoked key.
func revoked(t *testing.T) []byte {
	t.Helper()
	key, err := crypto.NewKey(newTestKeyWith(t, "Ana", 0, sentAt.Add(-time.Hour)).private)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.GetEntity().Revoke(3, "retired", nil); err != nil {
		t.Fatal(err)
	}
	return serialized(t, key)
}

func serialized(t *testing.T, key *crypto.Key) []byte {
	t.Helper()
	public, err := key.GetPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestDirectionCharactersInUserIDsAreReplaced(t *testing.T) {
	t.Parallel()
	key := newTestKeyWith(t, "Ana\u202eNovak", 0, sentAt)
	got, err := ours.CheckPublicKey(key.public, sentAt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Ana\uFFFDNovak <" + recipient + ">"}, got.UserIDs); diff != "" {
		t.Errorf("user ids (-want +got):\n%s", diff)
	}
}

func TestKeyThatExpiredSinceItsUploadStopsTheMail(t *testing.T) {
	t.Parallel()
	r := (&relay{}).start(t)
	m := delivery()
	m.PublicKey = newTestKeyWith(t, "Ana", 60, sentAt.Add(-time.Hour)).public
	err := r.sender(t).SendDelivery(t.Context(), m)
	if f := fault.Of(err); f == nil || f.Code != "key-expired" || ours.Classify(err) != fault.Invalid {
		t.Errorf("SendDelivery: %v, want key-expired, class invalid", err)
	}
	if n := len(r.received()); n != 0 {
		t.Errorf("%d mails arrived: a delivery must use the stored key or fail", n)
	}
}

func TestPassphraseSpellsEveryBitOf128(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bits []byte
		want string
	}{
		"zeroes": {make([]byte, 16), "babab-babab-babab-babab-babab-babab-babab-babab"},
		"ones":   {bytes.Repeat([]byte{0xff}, 16), "zuzuz-zuzuz-zuzuz-zuzuz-zuzuz-zuzuz-zuzuz-zuzuz"},
		// The examples of arXiv:0901.4016: 127.0.0.1, 63.84.220.193, 140.98.193.141 and 64.255.6.200.
		"published": {
			[]byte{127, 0, 0, 1, 63, 84, 220, 193, 140, 98, 193, 141, 64, 255, 6, 200},
			"lusab-babad-gutih-tugad-mudof-sakat-haguz-biram",
		},
	} {
		if got, err := ours.NewPassphrase(bytes.NewReader(c.bits)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	seen := map[string]bool{}
	for bit := range 128 {
		bits := make([]byte, 16)
		bits[bit/8] = 1 << (bit % 8)
		got, err := ours.NewPassphrase(bytes.NewReader(bits))
		if err != nil || seen[got] {
			t.Fatalf("bit %d: %q, %v; want a passphrase that no other bit gives", bit, got, err)
		}
		seen[got] = true
	}
	form := regexp.MustCompile(`^([bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz](-|$)){8}$`)
	if got, err := ours.NewPassphrase(rand.Reader); err != nil || !form.MatchString(got) {
		t.Errorf("passphrase of form %q, %v", got, err)
	}
}

func TestShortRandomnessGivesNoPassphrase(t *testing.T) {
	t.Parallel()
	for _, random := range []*bytes.Reader{bytes.NewReader(nil), bytes.NewReader(make([]byte, 15))} {
		if got, err := ours.NewPassphrase(random); err == nil || got != "" {
			t.Errorf("passphrase %q, %v", got, err)
		}
	}
	if _, err := ours.NewPassphrase(iotest.ErrReader(iotest.ErrTimeout)); err == nil {
		t.Error("a passphrase was made without random bytes")
	}
}
