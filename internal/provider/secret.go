package provider

import (
	"bytes"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a customer's credentials: a JSON object with "kind" and the members that a person needs (D21).
// When it is printed, logged or marshalled, it shows [redacted]. Only Reveal returns the bytes. The zero value
// holds nothing.
type Secret struct {
	// A function instead of bytes: fmt prints an unexported field of another struct by reflection, without
	// calling the methods below, but it cannot look into a function.
	reveal func() []byte
}

// NewSecret returns a secret with a copy of plain. Without bytes it returns the zero value.
func NewSecret(plain []byte) Secret {
	if len(plain) == 0 {
		return Secret{}
	}
	kept := bytes.Clone(plain)
	return Secret{reveal: func() []byte { return bytes.Clone(kept) }}
}

// Reveal returns a copy of the plaintext. It is for sealing it or putting it into a mail, and for nothing else.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// IsZero reports whether the secret holds nothing.
func (s Secret) IsZero() bool { return s.reveal == nil }

// String returns [redacted].
func (s Secret) String() string { return redacted }

// GoString returns [redacted], for %#v.
func (s Secret) GoString() string { return redacted }

// Format prints [redacted] for every format and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON returns "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns [redacted].
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
