package httpkit

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Authenticator returns the actor of an API key. For a key that is not valid the error is a fault of
// KindUnauthenticated. *app.App implements it.
type Authenticator interface {
	Authenticate(ctx context.Context, key string) (tenant.Actor, error)
}

// Keys authenticates requests by the API key in their Authorization header.
type Keys struct {
	auth   Authenticator
	failed *Throttle
	now    func() time.Time
}

// NewKeys returns a Keys that asks auth, and that refuses an address after failedKeys wrong keys in a minute.
func NewKeys(auth Authenticator, failedKeys int, now func() time.Time) *Keys {
	return &Keys{auth: auth, failed: NewThrottle(failedKeys), now: now}
}

// Authenticate returns the actor who sent a request, and the API key. Whatever is wrong with the key, the error
// is the same 401. Any other error, such as a database that is down, is returned as it is and does not count
// as a wrong key.
func (k *Keys) Authenticate(r *http.Request) (actor tenant.Actor, key string, err error) {
	addr, now := ClientAddress(r), k.now()
	if wait := k.failed.Wait(addr, now); wait > 0 {
		return tenant.Actor{}, "", TooMany(wait)
	}
	key, ok := bearer(r.Header)
	if !ok {
		return tenant.Actor{}, "", Unauthenticated()
	}
	actor, err = k.auth.Authenticate(r.Context(), key)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindUnauthenticated {
		k.failed.Fail(addr, now)
		return tenant.Actor{}, "", Unauthenticated()
	}
	if err != nil {
		return tenant.Actor{}, "", err
	}
	return actor, key, nil
}

// Unauthenticated returns the one fault for a request without a valid API key.
func Unauthenticated() *fault.Error {
	return fault.New(fault.KindUnauthenticated, "unauthenticated",
		"Send a valid API key as Authorization: Bearer <key>.")
}

// maxBearer is the maximum length of a key. Real keys are much shorter.
const maxBearer = 512

// bearer returns the key in the Authorization header, of which there must be exactly one.
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxBearer
}
