package httpkit

import (
	"net/http"
	"net/netip"
)

// ClientAddress is the address a request came from, without its port. A host of IPv6 has a network of
// addresses to come from, so there it is the /64.
func ClientAddress(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := from.Addr().Unmap()
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}
