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

// errNotPublic is returned before the first packet of a connection is sent.
var errNotPublic = errors.New("the address is not one that webhooks may reach")

// addressPolicy decides which addresses webhooks may reach.
type addressPolicy struct{ loopback bool }

// notPublic lists the networks that are not part of the public internet: those in the registries of
// special-purpose addresses (RFC 6890 and its successors at IANA), multicast, and the ranges that embed an
// IPv4 address in an IPv6 address, which could otherwise lead to any of the former.
var notPublic = parsePrefixes(
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

// globalUnicast is the part of IPv6 from which public addresses are assigned.
var globalUnicast = netip.MustParsePrefix("2000::/3")

func parsePrefixes(list ...string) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(list))
	for i, text := range list {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

// allowsAddr reports whether an address may be dialled.
func (p addressPolicy) allowsAddr(a netip.Addr) bool {
	if a.Zone() != "" || !a.IsValid() {
		return false
	}
	if p.loopback && a.IsLoopback() {
		return true
	}
	for _, prefix := range notPublic {
		if prefix.Contains(a) {
			return false
		}
	}
	return a.Is4() || globalUnicast.Contains(a)
}

// firstUserPort is the first port after the system ports (RFC 6335).
const firstUserPort = 1024

// allowsPort reports whether a port may be called: that of https, or any that is not a system port.
func (p addressPolicy) allowsPort(port uint16) bool { return port == 443 || port >= firstUserPort }

// control refuses a connection to an address that is not allowed. The dialer calls it for every address that
// it tries, with exactly the address that it is about to connect to.
func (p addressPolicy) control(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return errNotPublic
	}
	if p.loopback && to.Addr().IsLoopback() {
		return nil
	}
	if !p.allowsAddr(to.Addr()) || !p.allowsPort(to.Port()) {
		return errNotPublic
	}
	return nil
}

// CheckURL returns what is wrong with the URL of an endpoint, or nil. It does not resolve the host name: the
// address is checked when it is dialled.
func (s *Sender) CheckURL(address string) *fault.Violation {
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
	local := s.policy.loopback && (isAddress && literal.IsLoopback() || host == "localhost")
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return wrong("not-https", "Webhooks are posted over https only.")
	}
	if u.User != nil {
		return wrong("credentials-in-url", "Remove name and password from the address: the signature says who posts.")
	}
	if u.Fragment != "" || strings.HasSuffix(address, "#") {
		return wrong("fragment-in-url", "Remove # and what follows: it is never sent.")
	}
	if local {
		return nil
	}
	if text := u.Port(); text != "" || strings.HasSuffix(u.Host, ":") {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || !s.policy.allowsPort(uint16(n)) {
			return wrong("port-not-allowed", "Use port 443, or port 1024 or above.")
		}
	}
	if isAddress && !s.policy.allowsAddr(literal) || !isAddress && !isPublicName(host) {
		return wrong("address-not-public", "This address is not on the public internet.")
	}
	return nil
}

// isPublicName reports whether a host has the form of a public host name: it has a dot, and its last label
// does not begin with a digit, because some resolvers read such names as addresses (127.1, 0x7f.1).
func isPublicName(host string) bool {
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
