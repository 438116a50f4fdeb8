package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/platforma-cloud/orders/internal/secretfile"
)

// kekSize is the length of a KEK in bytes: AES-256.
const kekSize = 32

// ErrNoKEK is returned by a vault that has the zero KEK.
var ErrNoKEK = errors.New("no key-encryption key")

// KEK is a key-encryption key. It prints as [redacted], and no method returns its bytes. The zero value
// cannot wrap a keyset.
type KEK struct {
	aead        tink.AEAD
	fingerprint string
}

// NewKEK returns a KEK made of 32 random bytes.
func NewKEK(key []byte) (KEK, error) {
	if len(key) != kekSize {
		return KEK{}, fmt.Errorf("key-encryption key has %d bytes, not %d", len(key), kekSize)
	}
	cipher, err := subtle.NewAESGCM(key)
	if err != nil {
		return KEK{}, errors.New("key-encryption key is not usable for AES-256-GCM")
	}
	sum := sha256.Sum256(append([]byte("platforma kek fingerprint\x00"), key...))
	return KEK{aead: cipher, fingerprint: hex.EncodeToString(sum[:8])}, nil
}

// Fingerprint identifies the KEK without revealing it: 16 hexadecimal digits, for logs and for checking that
// the KEKs of an installation differ. The zero KEK has none.
func (k KEK) Fingerprint() string { return k.fingerprint }

// Format prints [redacted] whatever the formatting directive.
func (k KEK) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// MarshalText prints [redacted], so that JSON does.
func (k KEK) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// LogValue prints [redacted].
func (k KEK) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// OpenKEKFile reads a KEK from a regular file of 64 hexadecimal digits. It refuses a file that group or others
// may read, write or execute: chmod 600.
func OpenKEKFile(path string) (KEK, error) {
	const maxSize = 2*kekSize + 2 // the digits and a line end
	text, err := secretfile.Read("key file", path, maxSize)
	if err != nil {
		return KEK{}, err
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != kekSize {
		// The decoder's own error would quote a character of the key.
		return KEK{}, fmt.Errorf("key file %s does not hold %d hexadecimal digits", path, 2*kekSize)
	}
	return NewKEK(key)
}

// OpenOrMakeKEKFile is OpenKEKFile for development: when the file does not exist, it is made from random with
// mode 0600, and the log warns. When several processes start at once, one makes the file and all read the same
// key. In production the KEK is provided and never made, because losing it loses every sealed value.
func OpenOrMakeKEKFile(path string, random io.Reader, log *slog.Logger) (KEK, error) {
	kek, err := OpenKEKFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return kek, err
	}
	made, err := makeKEKFile(path, random)
	if err != nil {
		return KEK{}, fmt.Errorf("make key file: %w", err)
	}
	if made {
		log.Warn("DEVELOPMENT KEY MADE: this file opens every sealed credential; never use it in production and never "+
			"commit it; without it the sealed values are lost", "file", path, "mode", "0600")
	}
	return OpenKEKFile(path)
}

// makeKEKFile writes the file under another name and links it to path. So no reader ever sees half a key, and
// the first of several processes wins; made is false for the others.
func makeKEKFile(path string, random io.Reader) (made bool, err error) {
	key := make([]byte, kekSize)
	if _, err := io.ReadFull(random, key); err != nil {
		return false, err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".kek-*") // mode 0600
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.Remove(temp.Name())) }()
	_, err = io.WriteString(temp, hex.EncodeToString(key)+"\n")
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return false, err
	}
	err = os.Link(temp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
