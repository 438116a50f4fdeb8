// Package id holds the identifiers of the whole module: 16 bytes, printed as a UUID. They are
// UUIDv7 made by process.NewID, so that rows written together lie together (database: half the WAL of
// random ids); this package itself draws no randomness and reads no clock.
package id

import (
	"encoding/hex"
	"errors"
	"time"
)

// Of is an identifier of one kind of thing. T is never used but to keep, say, an order's id from
// being passed where a tenant's is wanted. The zero value means "none".
type Of[T any] [16]byte

// ErrSyntax is returned for a text that is not a UUID in its canonical form.
var ErrSyntax = errors.New("not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")

// Parse reads the canonical form, in either case.
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

// MustParse is Parse for constants; it panics on a wrong text.
func MustParse[T any](s string) Of[T] {
	u, err := Parse[T](s)
	if err != nil {
		panic(err)
	}
	return u
}

// String prints the canonical lower-case form.
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

// IsZero reports whether no id is set.
func (u Of[T]) IsZero() bool { return u == Of[T]{} }

// Time is the moment a UUIDv7 was made, to the millisecond (RFC 9562, section 5.7).
func (u Of[T]) Time() time.Time {
	ms := int64(u[0])<<40 | int64(u[1])<<32 | int64(u[2])<<24 | int64(u[3])<<16 | int64(u[4])<<8 | int64(u[5])
	return time.UnixMilli(ms).UTC()
}

// AtOrAfter is the smallest UUIDv7 made at or after t: a bound for "created after" on a key.
// What lies beyond the times that an id can carry is the nearest of them.
func AtOrAfter[T any](t time.Time) Of[T] {
	ms := min(max(t.UnixMilli(), 0), 1<<48-1)
	return Of[T]{byte(ms >> 40), byte(ms >> 32), byte(ms >> 24), byte(ms >> 16), byte(ms >> 8), byte(ms)}
}

// MarshalText prints the canonical form, so that JSON carries it as a string.
func (u Of[T]) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads the canonical form.
func (u *Of[T]) UnmarshalText(b []byte) error {
	v, err := Parse[T](string(b))
	if err != nil {
		return err
	}
	*u = v
	return nil
}
