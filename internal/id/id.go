// Package id holds the identifiers of the whole module: 16 bytes, printed as a UUID. process.NewID makes them
// as UUIDv7, so that rows that are written together are stored together, which costs half the WAL of random
// ids. This package uses no randomness and no clock.
package id

import (
	"encoding/hex"
	"errors"
	"time"
)

// Of is an identifier of one kind of object. T only keeps the ids of different objects apart, so that an
// order's id cannot be passed where a tenant's is expected. The zero value means "none".
type Of[T any] [16]byte

// ErrSyntax is returned for a text that is not a UUID in canonical form.
var ErrSyntax = errors.New("not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")

// Parse parses the canonical form, in upper or lower case.
func Parse[T any](s string) (Of[T], error) {
	var u Of[T]
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, ErrSyntax
	}
	compact := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(u[:], []byte(compact)); err != nil {
		return Of[T]{}, ErrSyntax
	}
	return u, nil
}

// MustParse is Parse for constants. It panics if the text is not a UUID.
func MustParse[T any](s string) Of[T] {
	u, err := Parse[T](s)
	if err != nil {
		panic(err)
	}
	return u
}

// String returns the canonical form in lower case.
func (u Of[T]) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], u[10:16])
	return string(b[:])
}

// IsZero reports whether u is the zero value, which means that no id is set.
func (u Of[T]) IsZero() bool { return u == Of[T]{} }

// Time returns when a UUIDv7 was made, to the millisecond (RFC 9562, section 5.7).
func (u Of[T]) Time() time.Time {
	ms := int64(u[0])<<40 | int64(u[1])<<32 | int64(u[2])<<24 | int64(u[3])<<16 | int64(u[4])<<8 | int64(u[5])
	return time.UnixMilli(ms).UTC()
}

// AtOrAfter returns the smallest UUIDv7 that can be made at or after t: the bound of "created after" on a
// primary key. A time that an id cannot carry is replaced by the nearest one that it can.
func AtOrAfter[T any](t time.Time) Of[T] {
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	return Of[T]{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
}

// MarshalText returns the canonical form, so that JSON carries a string.
func (u Of[T]) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText parses the canonical form.
func (u *Of[T]) UnmarshalText(b []byte) error {
	v, err := Parse[T](string(b))
	if err != nil {
		return err
	}
	*u = v
	return nil
}
