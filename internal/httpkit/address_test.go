package httpkit

import (
	"net/http"
	"testing"
)

func TestClientAddressIsTheNetworkForIPv6(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"192.0.2.7:80": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:81": "2001:db8:1:2::/64", "[::ffff:192.0.2.7]:80": "192.0.2.7", "odd": "odd",
	} {
		if got := ClientAddress(&http.Request{RemoteAddr: sent}); got != want {
			t.Errorf("ClientAddress(%s) = %s, want %s", sent, got, want)
		}
	}
}
