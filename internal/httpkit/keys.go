package httpkit

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Authenticator finds the member for whom an API key acts; a fault of KindUnauthenticated when the key opens
// nothing. *app.App is one.
type Authenticator interface {
	Authenticate(ctx context.Context, key string) (tenant.Actor, error)
}

// Keys authenticates requests by the API key in their Authorization header.
type Keys struct {
	auth   Authenticator
	failed *Throttle
	now    func() time.Time
}

// NewKeys authenticates with auth, and refuses an address after failedKeys wrong keys in a minute.
func NewKeys(auth Authenticator, failedKeys int, now func() time.Time) *Keys {
	return &Keys{auth: auth, failed: NewThrottle(failedKeys), now: now}
}

// Authenticate finds who sent a request, and under which key. Whatever is wrong with a key, the answer is
// one and the same 401. An error that is not the key's fault, such as a database that is away, is returned
// as it is and counts against nobody.
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

// Unauthenticated is the one fault of a request whose sender is not known.
func Unauthenticated() *fault.Error {
	return fault.New(fault.KindUnauthenticated, "unauthenticated",
		"Send a valid API key as Authorization: Bearer <key>.")
}

// maxBearer is longer than any key we make.
const maxBearer = 512

// bearer reads the key out of the one Authorization header.
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxBearer
}
