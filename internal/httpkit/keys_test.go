package httpkit

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// fakeAuthenticator accepts rightKey, or always fails with err if it is set.
type fakeAuthenticator struct{ err error }

const rightKey = "pk_test_right"

func (a *fakeAuthenticator) Authenticate(_ context.Context, key string) (tenant.Actor, error) {
	if a.err != nil {
		return tenant.Actor{}, a.err
	}
	if key != rightKey {
		return tenant.Actor{}, fault.New(fault.KindUnauthenticated, "expired", "It expired yesterday.")
	}
	return tenant.Actor{Tenant: acme, Member: ana}, nil
}

func requestFrom(addr string, authorization ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = addr
	r.Header["Authorization"] = authorization
	return r
}

func TestRequestIsAuthenticatedByOneBearerKey(t *testing.T) {
	t.Parallel()
	k := NewKeys(&fakeAuthenticator{}, 10, func() time.Time { return now })
	for _, sent := range []string{"Bearer " + rightKey, "bearer " + rightKey, "BEARER   " + rightKey + " "} {
		actor, key, err := k.Authenticate(requestFrom("192.0.2.7:80", sent))
		if err != nil || actor.Member != ana || key != rightKey {
			t.Errorf("%q: %v, key %q, %v", sent, actor, key, err)
		}
	}
	for _, sent := range [][]string{
		nil,
		{""},
		{"Bearer"},
		{"Bearer "},
		{"Basic " + rightKey},
		{rightKey},
		{"Bearer " + strings.Repeat("x", 513)},
		{"Bearer " + rightKey, "Bearer " + rightKey},
		{"Bearer wrong"},
	} {
		actor, key, err := k.Authenticate(requestFrom("192.0.2.7:80", sent...))
		f := fault.Of(err)
		if f == nil || f.Kind != fault.KindUnauthenticated || f.Code != "unauthenticated" || key != "" ||
			!actor.Tenant.IsZero() {
			t.Errorf("%q: %v, key %q, %v", sent, actor, key, err)
		}
	}
}

func TestWrongKeysBlockTheirAddressButOurOwnFailuresDoNot(t *testing.T) {
	t.Parallel()
	auth, at := &fakeAuthenticator{}, now
	k := NewKeys(auth, 2, func() time.Time { return at })
	auth.err = errors.New("the database is down")
	for range 5 {
		if _, _, err := k.Authenticate(requestFrom("192.0.2.7:80", "Bearer x")); !errors.Is(err, auth.err) {
			t.Fatalf("Authenticate() = %v, want the authenticator's own error", err)
		}
	}
	auth.err = nil
	for range 2 {
		_, _, _ = k.Authenticate(requestFrom("192.0.2.7:80", "Bearer wrong"))
	}
	_, _, err := k.Authenticate(requestFrom("192.0.2.7:81", "Bearer "+rightKey))
	if f := fault.Of(err); f == nil || f.Kind != fault.KindTooMany || f.After != time.Minute {
		t.Errorf("a right key after two wrong ones: %v", err)
	}
	if _, _, err := k.Authenticate(requestFrom("192.0.2.8:80", "Bearer "+rightKey)); err != nil {
		t.Errorf("another address: %v", err)
	}
	at = at.Add(time.Minute)
	if _, _, err := k.Authenticate(requestFrom("192.0.2.7:82", "Bearer "+rightKey)); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
