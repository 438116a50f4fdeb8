package webhook

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/platforma-cloud/orders/internal/fault"
)

// errNotPublic refuses a connection before its first packet.
var errNotPublic = errors.New("the address is not one that webhooks may reach")

// guard decides where webhooks may go.
type guard struct{ loopback bool }

// notPublic are the networks that are not the public internet: by the registries of special-purpose
// addresses (RFC 6890 and IANA's since), multicast, and the ways to write an IPv4 address inside an
// IPv6 one, which could otherwise lead to any of the former.
var notPublic = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carrier-grade NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, and the clouds' metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
	"::/96",           // unspecified, loopback, IPv4-compatible
	"::ffff:0:0/96",   // IPv4-mapped
	"::ffff:0:0:0/96", // IPv4-translated
	"64:ff9b::/96",    // NAT64
	"64:ff9b:1::/48",  // NAT64, local
	"100::/64",        // discard
	"2001::/23",       // Teredo, ORCHID and other protocol assignments
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
	"5f00::/16",       // segment routing
	"fc00::/7",        // unique local
	"fe80::/10",       // link-local
	"fec0::/10",       // site-local
	"ff00::/8",        // multicast
)

// unicast is all of IPv6 that was ever given out.
var unicast = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, text := range list {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// open reports whether an address may be dialled.
func (g guard) open(a netip.Addr) bool {
	if a.Zone() != "" || !a.IsValid() {
		return false
	}
	if g.loopback && a.IsLoopback() {
		return true
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return a.Is4() || unicast.Contains(a)
}

// firstFreePort is above the ports of the system's own services.
const firstFreePort = 1024

// port reports whether a port may be called: that of https, or one that no system service is kept at.
func (g guard) port(p uint16) bool { return p == 443 || p >= firstFreePort }

// control is called by the dialer with the very address it is about to connect to, for every address it
// tries.
func (g guard) control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return errNotPublic
	}
	if g.loopback && to.Addr().IsLoopback() {
		return nil
	}
	if !g.open(to.Addr()) || !g.port(to.Port()) {
		return errNotPublic
	}
	return nil
}

// CheckURL says what is wrong with an address; nil when nothing is. It asks no name server: what a name
// means is seen when it is dialled.
func (p *WebhookSender) CheckURL(address string) *fault.Violation {
	wrong := func(code, message string) *fault.Violation {
		return &fault.Violation{Code: code, Message: message}
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(address, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || r == '\\'
	}) {
		return wrong("not-a-url", "Write an address such as https://example.com/webhooks, in ASCII.")
	}
	host := u.Hostname()
	literal, err := netip.ParseAddr(host)
	isAddress := err == nil
	local := p.guard.loopback && (isAddress && literal.IsLoopback() || host == "localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return wrong("not-https", "Webhooks are posted over https only.")
	}
	if u.User != nil {
		return wrong("credentials-in-url", "Leave name and password out of the address: the signature says who posts.")
	}
	if u.Fragment != "" || strings.HasSuffix(address, "#") {
		return wrong("fragment-in-url", "Leave the part behind # out: it is never sent.")
	}
	if local {
		return nil
	}
	if text := u.Port(); text != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || !p.guard.port(uint16(n)) {
			return wrong("port-not-allowed", "Use port 443, or one of 1024 and above.")
		}
	}
	if isAddress && !p.guard.open(literal) || !isAddress && !isName(host) {
		return wrong("address-not-public", "This address is not on the public internet.")
	}
	return nil
}

// isName reports whether a host is a name of the public kind: it has a dot, and does not end in a number,
// which some resolvers read as an address (127.1, 0x7f.1).
func isName(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || len(host) > 253 || last == "" || last[0] >= '0' && last[0] <= '9' {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return last != "localhost" && last != "local" && last != "internal"
}
