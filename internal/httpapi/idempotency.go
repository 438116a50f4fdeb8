package httpapi

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

const (
	codeIdempotencyKey = "idempotency-key-malformed"
	maxKey             = 255
)

// parseKey reads an Idempotency-Key (D22): 1 to 255 visible ASCII characters, bare or as the
// quoted string of RFC 8941, whose only escapes are \" and \\. A key sent both ways is one key. No
// header is "".
func parseKey(h http.Header) (string, error) {
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
	if len(key) == 0 || len(key) > maxKey {
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
	return fault.New(fault.KindMalformed, codeIdempotencyKey, "Send one Idempotency-Key of 1 to %d visible ASCII characters, bare or in double quotes.", maxKey)
}

// unquote reads a quoted string of RFC 8941, section 3.3.3.
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

// fingerprint is the same for two requests under one key that are the same (D22). Each part goes in
// with its length, so that no two different requests run together into one.
func fingerprint(r *http.Request, by tenant.Actor, raw []byte) [32]byte {
	h := sha256.New()
	for _, part := range []string{
		r.Method, r.URL.Path, r.URL.Query().Encode(), by.Tenant.String(), by.Member.String(),
		strings.Join(r.Header.Values("If-Match"), ","), r.Header.Get("Content-Type"), string(raw),
	} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return [32]byte(h.Sum(nil))
}
