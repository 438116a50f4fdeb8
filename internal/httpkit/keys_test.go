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

// doorman knows one key; with a fault it knows none.
type doorman struct{ fault error }

const rightKey = "pk_test_right"

func (d *doorman) Authenticate(_ context.Context, key string) (tenant.Actor, error) {
	if d.fault != nil {
		return tenant.Actor{}, d.fault
	}
	if key != rightKey {
		return tenant.Actor{}, fault.New(fault.KindUnauthenticated, "expired", "It expired yesterday.")
	}
	return tenant.Actor{Tenant: acme, Member: ana}, nil
}

func from(addr string, authorization ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = addr
	r.Header["Authorization"] = authorization
	return r
}

func TestSenderIsFoundByOneBearerKey(t *testing.T) {
	t.Parallel()
	k := NewKeys(&doorman{}, 10, func() time.Time { return now })
	for _, sent := range []string{"Bearer " + rightKey, "bearer " + rightKey, "BEARER   " + rightKey + " "} {
		actor, key, err := k.Authenticate(from("192.0.2.7:80", sent))
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
		actor, key, err := k.Authenticate(from("192.0.2.7:80", sent...))
		f := fault.Of(err)
		if f == nil || f.Kind != fault.KindUnauthenticated || f.Code != "unauthenticated" || key != "" ||
			!actor.Tenant.IsZero() {
			t.Errorf("%q: %v, key %q, %v", sent, actor, key, err)
		}
	}
}

func TestWrongKeysBlockTheirAddressAndOurOwnFailuresDoNot(t *testing.T) {
	t.Parallel()
	d, at := &doorman{}, now
	k := NewKeys(d, 2, func() time.Time { return at })
	d.fault = errors.New("the database is away")
	for range 5 {
		if _, _, err := k.Authenticate(from("192.0.2.7:80", "Bearer x")); !errors.Is(err, d.fault) {
			t.Fatalf("answered %v, want the error as it is", err)
		}
	}
	d.fault = nil
	for range 2 {
		_, _, _ = k.Authenticate(from("192.0.2.7:80", "Bearer wrong"))
	}
	_, _, err := k.Authenticate(from("192.0.2.7:81", "Bearer "+rightKey))
	if f := fault.Of(err); f == nil || f.Kind != fault.KindTooMany || f.After != time.Minute {
		t.Errorf("a right key after two wrong ones: %v", err)
	}
	if _, _, err := k.Authenticate(from("192.0.2.8:80", "Bearer "+rightKey)); err != nil {
		t.Errorf("another address: %v", err)
	}
	at = at.Add(time.Minute)
	if _, _, err := k.Authenticate(from("192.0.2.7:82", "Bearer "+rightKey)); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
