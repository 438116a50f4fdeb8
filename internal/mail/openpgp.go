package mail

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/gopenpgp/v3/crypto"
	"github.com/ProtonMail/gopenpgp/v3/profile"

	"github.com/platforma-cloud/orders/internal/fault"
)

// MaxPublicKey is the largest key in bytes that is accepted. A key with a dozen identities and signatures of
// others has less than 20 KiB, and a request to the API has at most 64 KiB.
const MaxPublicKey = 32 << 10

// KeyInfo describes a public key, so that a person can compare it before it is used.
type KeyInfo struct {
	Fingerprint string    // upper-case hexadecimal, without spaces
	UserIDs     []string  // as the key states them, unverified and sorted; unprintable characters are replaced
	Expires     time.Time // when it ceases to encrypt; zero: never
	Public      []byte    // the key in binary, to be stored and used as DeliveryMail.PublicKey
}

// CheckPublicKey reads one OpenPGP public key, armored or binary, to which mail can be encrypted at the time
// now. For anything else it returns a fault of KindInvalid: "key-too-large", "key-unreadable", "key-private",
// "key-revoked", "key-expired" or "key-cannot-encrypt".
func CheckPublicKey(key []byte, now time.Time) (KeyInfo, error) {
	_, info, err := readPublicKey(key, now)
	return info, err
}

func readPublicKey(raw []byte, now time.Time) (*crypto.Key, KeyInfo, error) {
	refuse := func(code, detail string) (*crypto.Key, KeyInfo, error) {
		return nil, KeyInfo{}, fault.New(fault.KindInvalid, code, "%s", detail)
	}
	if len(raw) > MaxPublicKey {
		return refuse("key-too-large",
			"A public key has at most 32 KiB: export it without the signatures of others (gpg --export-options export-minimal).")
	}
	key, err := crypto.NewKeyFromReader(strings.NewReader(string(raw)))
	if err != nil {
		return refuse("key-unreadable",
			"This is not one OpenPGP public key. Export exactly one (gpg --armor --export <fingerprint>).")
	}
	if hasPrivatePart(key) {
		return refuse("key-private",
			"This is a private key, and it was not stored. Anybody else who has had it can read your mail: consider "+
				"replacing it, and upload only the public part (gpg --armor --export <fingerprint>).")
	}
	at := now.Unix()
	switch {
	case key.IsRevoked(at):
		return refuse("key-revoked", "This key is revoked. Upload the key that replaces it.")
	case key.IsExpired(at):
		return refuse("key-expired", "This key has expired. Extend it or upload another.")
	case !key.CanEncrypt(at):
		return refuse("key-cannot-encrypt",
			"This key has no valid part that is strong enough to encrypt to. Add an encryption subkey (RSA of 2048 bits "+
				"or more, or Curve25519).")
	}
	public, err := key.GetPublicKey()
	if err != nil {
		return refuse("key-unreadable", "This key cannot be written out again.")
	}
	return key, KeyInfo{
		Fingerprint: strings.ToUpper(key.GetFingerprint()), UserIDs: userIDs(key), Expires: expiry(key, now),
		Public: public,
	}, nil
}

// hasPrivatePart also looks at the subkeys, because an export may hold only their private parts.
func hasPrivatePart(key *crypto.Key) bool {
	if key.IsPrivate() {
		return true
	}
	for _, sub := range key.GetEntity().Subkeys {
		if sub.PrivateKey != nil {
			return true
		}
	}
	return false
}

func userIDs(key *crypto.Key) []string {
	var ids []string
	for name := range key.GetEntity().Identities {
		ids = append(ids, printable(name))
	}
	slices.Sort(ids)
	return ids
}

// printable replaces forbidden characters and invalid UTF-8 with U+FFFD.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isForbidden(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// expiry returns when the primary key or the key that encrypts now expires, whichever is earlier; zero: never.
func expiry(key *crypto.Key, now time.Time) time.Time {
	chosen, ok := key.GetEntity().EncryptionKey(now, nil)
	if !ok {
		return now
	}
	var end time.Time
	earlier := func(created time.Time, lifetime *uint32) {
		if lifetime == nil || *lifetime == 0 {
			return
		}
		if e := created.Add(time.Duration(*lifetime) * time.Second); end.IsZero() || e.Before(end) {
			end = e
		}
	}
	if sig := chosen.PrimarySelfSignature; sig != nil {
		earlier(key.GetEntity().PrimaryKey.CreationTime, sig.KeyLifetimeSecs)
	}
	if sig := chosen.SelfSignature; sig != nil {
		earlier(chosen.PublicKey.CreationTime, sig.KeyLifetimeSecs)
	}
	return end.UTC()
}

func readSigningKey(raw []byte) (*crypto.Key, error) {
	key, err := crypto.NewKeyFromReader(strings.NewReader(string(raw)))
	if err != nil {
		return nil, errors.New("signing key of mails is not one OpenPGP key")
	}
	if unlocked, err := key.IsUnlocked(); !key.IsPrivate() || err != nil || !unlocked {
		return nil, errors.New("signing key of mails is not a private key without a passphrase")
	}
	return key, nil
}

// recipient says who can open a message: exactly one of key and passphrase is set.
type recipient struct {
	key        *crypto.Key
	passphrase []byte
}

func recipientKey(k *crypto.Key) recipient        { return recipient{key: k} }
func recipientPassphrase(phrase string) recipient { return recipient{passphrase: []byte(phrase)} }

// sealedMessage is an encrypted OpenPGP message.
type sealedMessage struct{ message *crypto.PGPMessage }

func (m sealedMessage) bytes() []byte { return m.message.Bytes() }

// armor returns the message without version and comment headers, which only tell an attacker which library was
// used.
func (m sealedMessage) armor() ([]byte, error) {
	text, err := m.message.ArmorWithCustomHeaders("", "")
	if err != nil {
		return nil, errors.New("armor encrypted mail")
	}
	return []byte(text), nil
}

// encrypt returns an integrity-protected, uncompressed message, signed inside when the sender has a signing key.
// It uses the RFC 4880 profile, because GnuPG 2.2 cannot open messages of the RFC 9580 profiles. The errors of
// the library are not passed on, because they may quote the plaintext.
func (s *Sender) encrypt(plaintext []byte, at time.Time, to recipient) (sealedMessage, error) {
	builder := crypto.PGPWithProfile(profile.RFC4880()).Encryption().EncryptionTime(at.Unix()).SignTime(at.Unix())
	if to.key != nil {
		builder = builder.Recipient(to.key)
	} else {
		builder = builder.Password(to.passphrase)
	}
	if s.signer != nil {
		builder = builder.SigningKey(s.signer)
	}
	handle, err := builder.New()
	if err != nil {
		return sealedMessage{}, errors.New("set up encryption of a delivery mail")
	}
	message, err := handle.Encrypt(plaintext)
	if err != nil {
		return sealedMessage{}, errors.New("encrypt or sign a delivery mail; the signing key may have expired")
	}
	return sealedMessage{message: message}, nil
}
