package httpkit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	codeIdempotencyKey = "idempotency-key-malformed"
	maxIdempotencyKey  = 255 // characters
)

// IdempotencyKey returns the key in the Idempotency-Key header, or "" if there is no such header. A key has 1 to
// 255 visible ASCII characters. It may be a quoted string of RFC 8941, whose only escapes are \" and \\; both
// spellings are the same key.
func IdempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", badKey()
	}
	key := values[0]
	if strings.HasPrefix(key, `"`) {
		var ok bool
		if key, ok = unquote(key); !ok {
			return "", badKey()
		}
	}
	if len(key) == 0 || len(key) > maxIdempotencyKey {
		return "", badKey()
	}
	for i := range len(key) {
		if key[i] < '!' || key[i] > '~' {
			return "", badKey()
		}
	}
	return key, nil
}

func badKey() *fault.Error {
	return fault.New(fault.KindMalformed, codeIdempotencyKey,
		"Send one Idempotency-Key of 1 to %d visible ASCII characters, bare or in double quotes.",
		maxIdempotencyKey)
}

// unquote returns the content of a quoted string of RFC 8941, section 3.3.3.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	var b strings.Builder
	inner := s[1 : len(s)-1]
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return "", false
		case '\\':
			i++
			if i == len(inner) || inner[i] != '"' && inner[i] != '\\' {
				return "", false
			}
		}
		b.WriteByte(inner[i])
	}
	return b.String(), true
}

// Fingerprint returns a hash by which two requests with one idempotency key are known to be the same request. It
// covers the method, path, query, actor, precondition, media type and body. Each part is hashed with its
// length, so that parts cannot run into each other.
func Fingerprint(r *http.Request, actor tenant.Actor, raw []byte) [32]byte {
	h := sha256.New()
	for _, part := range []string{
		r.Method, r.URL.Path, r.URL.Query().Encode(), actor.Tenant.String(), actor.Member.String(),
		strings.Join(r.Header.Values("If-Match"), ","), r.Header.Get("Content-Type"), string(raw),
	} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return [32]byte(h.Sum(nil))
}

// Exchange renders the answers of one operation: Show renders the result of its use case, Refuse an error.
type Exchange[R any] struct {
	Show   func(R) (app.Answer, error)
	Refuse func(error) (app.Answer, error)
}

// Encode renders the answer that is stored under an idempotency key; it is meant for app.IdempotencyKey.Encode.
// A result with a part that is shown only once, such as a new secret, has a method Kept, which returns the
// result without that part.
func (e Exchange[R]) Encode(result any, err error) (app.Answer, error) {
	if err != nil {
		return e.Refuse(err)
	}
	r, ok := result.(R)
	if !ok {
		return app.Answer{}, fmt.Errorf("encode an answer: the result is a %T, not a %T", result, r)
	}
	if once, ok := any(r).(interface{ Kept() R }); ok {
		r = once.Kept()
	}
	return e.Show(r)
}

// Answer renders what a use case returned: its result, or its error. If the idempotency key was used before, it
// returns the stored answer byte for byte, marked as replayed.
func (e Exchange[R]) Answer(result R, err error) (app.Answer, error) {
	var replayed *app.Replayed
	if errors.As(err, &replayed) {
		a := replayed.Answer
		a.Header = maps.Clone(a.Header)
		if a.Header == nil {
			a.Header = map[string]string{}
		}
		a.Header[HeaderReplayed] = "true"
		return a, nil
	}
	if err != nil {
		return e.Refuse(err)
	}
	a, err := e.Show(result)
	if err != nil {
		return e.Refuse(err)
	}
	return a, nil
}

// HeaderReplayed is the header that marks the stored answer of an idempotency key.
const HeaderReplayed = "Idempotent-Replayed"

// WriteAnswer sends an answer.
func WriteAnswer(w http.ResponseWriter, a app.Answer) {
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // fails if the client has gone, and then nobody needs the error
}
