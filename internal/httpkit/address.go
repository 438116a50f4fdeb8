package httpkit

import (
	"net/http"
	"net/netip"
)

// ClientAddress returns the address that a request came from, without its port. For IPv6 it returns the /64
// network, because a host can use any address of its network.
func ClientAddress(r *http.Request) string {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr := remote.Addr().Unmap()
	if addr.Is4() {
		return addr.String()
	}
	network, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}
