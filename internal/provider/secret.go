package provider

import (
	"bytes"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a customer's credentials: a JSON object with "kind" and the members a person needs
// (D21). However it is printed, logged or marshalled it reads [redacted]; the bytes leave through
// Reveal alone. The zero value holds nothing.
type Secret struct {
	// A function and not bytes: what prints by reflection (fmt does for an unexported field of another
	// struct, and for a wrong use case) passes the methods below by, and cannot look into a function.
	reveal func() []byte
}

// NewSecret keeps a copy of plain; no bytes make the zero value.
func NewSecret(plain []byte) Secret {
	if len(plain) == 0 {
		return Secret{}
	}
	held := bytes.Clone(plain)
	return Secret{reveal: func() []byte { return bytes.Clone(held) }}
}

// Reveal returns a copy of the plaintext: to seal it or to put it into a mail, nothing else.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// IsZero reports whether nothing is held.
func (s Secret) IsZero() bool { return s.reveal == nil }

// String prints [redacted].
func (s Secret) String() string { return redacted }

// GoString prints [redacted], for %#v.
func (s Secret) GoString() string { return redacted }

// Format prints [redacted] for every use case and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON writes "[redacted]".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText writes [redacted].
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue is [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
