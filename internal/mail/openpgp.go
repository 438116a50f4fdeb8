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

// MaxPublicKey is the largest key taken, in bytes: a key with a dozen identities and signatures of
// others has under 20 KiB, and a request of ours is at most 64 KiB.
const MaxPublicKey = 32 << 10

// KeyInfo is what a person compares before a key is used.
type KeyInfo struct {
	Fingerprint string    // upper-case hexadecimal, without spaces
	UserIDs     []string  // as the key claims them, sorted; nobody has vouched for them; unprintable characters replaced
	Expires     time.Time // when it ceases to encrypt; zero: never
	Public      []byte    // the key in binary: what to store and to give as DeliveryMail.PublicKey
}

// CheckPublicKey reads one OpenPGP public key, armored or binary, and reports whether mail can be
// encrypted to it at now. Everything else is a fault of KindInvalid: "key-too-large",
// "key-unreadable", "key-private", "key-revoked", "key-expired" or "key-cannot-encrypt".
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
	if holdsPrivate(key) {
		return refuse("key-private",
			"This is a private key, and it was not kept. Whoever held it but you can read your mail: consider replacing it, "+
				"and upload its public part (gpg --armor --export <fingerprint>).")
	}
	at := now.Unix()
	switch {
	case key.IsRevoked(at):
		return refuse("key-revoked", "This key is revoked. Upload the key that replaces it.")
	case key.IsExpired(at):
		return refuse("key-expired", "This key has expired. Prolong it or upload another.")
	case !key.CanEncrypt(at):
		return refuse("key-cannot-encrypt",
			"This key has no valid part of sufficient strength to encrypt to. Add an encryption subkey (RSA of 2048 bits or "+
				"more, or Curve25519).")
	}
	public, err := key.GetPublicKey()
	if err != nil {
		return refuse("key-unreadable", "This key cannot be written out again.")
	}
	return key, KeyInfo{
		Fingerprint: strings.ToUpper(key.GetFingerprint()), UserIDs: userIDs(key), Expires: expires(key, now), Public: public,
	}, nil
}

// holdsPrivate looks at subkeys too: an export may hold their private parts alone.
func holdsPrivate(key *crypto.Key) bool {
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

// printable replaces what isForbidden and broken UTF-8 by U+FFFD.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if isForbidden(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// expires is the earlier end of the primary key and of the key that encrypts now.
func expires(key *crypto.Key, now time.Time) time.Time {
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

// recipient is who can open a message: exactly one of key and passphrase is set.
type recipient struct {
	key        *crypto.Key
	passphrase []byte
}

func recipientKey(k *crypto.Key) recipient        { return recipient{key: k} }
func recipientPassphrase(phrase string) recipient { return recipient{passphrase: []byte(phrase)} }

// sealedMessage is an OpenPGP message.
type sealedMessage struct{ message *crypto.PGPMessage }

func (m sealedMessage) bytes() []byte { return m.message.Bytes() }

// armor is without a version or comment header: they tell only which library to attack.
func (m sealedMessage) armor() ([]byte, error) {
	text, err := m.message.ArmorWithCustomHeaders("", "")
	if err != nil {
		return nil, errors.New("armor encrypted mail")
	}
	return []byte(text), nil
}

// encrypt makes an integrity-protected message in the RFC 4880 profile, which GnuPG 2.2 opens (the
// RFC 9580 profiles do not), uncompressed, and signed inside when the sender has a key. The
// library's errors are not passed on: what they quote is not known.
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
