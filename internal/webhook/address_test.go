package webhook_test

import (
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// hostileURLs are addresses that no endpoint may have.
var hostileURLs = []string{
	"", "x", "example.com/hook", "http://example.com/", "ftp://example.com/", "file:///etc/passwd",
	"gopher://example.com/", "https:example.com", "https:///hook", "//example.com/",
	"https://user@example.com/", "https://user:password@example.com/", "https://example.com/#x", "https://example.com/#",
	"https://exa mple.com/", "https://example.com/a b", "https://example.com\\@10.0.0.1/", "https://example.com/\r\nX: y",
	"https://exämple.com/",
	"https://localhost/", "https://localhost.localdomain.localhost/", "https://printer.local/",
	"https://metadata.google.internal/", "https://intranet/", "https://example..com/", "https://.com/",
	"https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/",
	"https://0/", "https://0.0.0.0/", "https://10.1.2.3/", "https://172.16.0.1/", "https://172.31.255.255/",
	"https://192.168.1.1/",
	"https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/", "https://100.127.255.255/", "https://192.0.0.1/",
	"https://192.0.2.1/", "https://198.18.0.1/", "https://198.51.100.7/", "https://203.0.113.9/", "https://224.0.0.1/",
	"https://240.0.0.1/", "https://255.255.255.255/",
	"https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:8.8.8.8]/",
	"https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/",
	"https://[2001:0:4136:e378::]/", "https://[2001:db8::1]/",
	"https://[fc00::1]/", "https://[fd12:3456::1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
	"https://[fec0::1]/", "https://[ff02::1]/", "https://[fd00:ec2::254]/", "https://[100::1]/", "https://[5f00::1]/",
	"https://[3fff::1]/",
	"https://example.com:22/", "https://example.com:25/", "https://example.com:80/", "https://example.com:0/",
	"https://example.com:99999/", "https://example.com:/",
}

func TestHostileAddressesAreRefusedBeforeAnythingIsStored(t *testing.T) {
	t.Parallel()
	p := webhook.New(webhook.Config{})
	for _, address := range hostileURLs {
		if v := p.CheckURL(address); v == nil || v.Code == "" || v.Message == "" {
			t.Errorf("%q is accepted", address)
		}
	}
	for _, address := range []string{
		"https://example.com", "https://hooks.example.com/a/b?c=d", "https://example.com:8443/", "https://example.com:443/",
		"https://93.184.215.14/", "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/x", "https://xn--exmple-cua.com/",
	} {
		if v := p.CheckURL(address); v != nil {
			t.Errorf("%q is refused: %+v", address, v)
		}
	}
}

func TestOnlyDevelopmentReachesThisMachine(t *testing.T) {
	t.Parallel()
	dev := webhook.New(webhook.Config{Loopback: true})
	for _, address := range []string{"http://127.0.0.1:9000/", "https://localhost:9000/", "http://[::1]:9000/"} {
		if v := dev.CheckURL(address); v != nil {
			t.Errorf("development refuses %s: %+v", address, v)
		}
	}
	for _, address := range []string{
		"http://example.com/", "https://10.0.0.1/", "https://169.254.169.254/", "http://user@127.0.0.1/",
	} {
		if v := dev.CheckURL(address); v == nil {
			t.Errorf("development accepts %s", address)
		}
	}
}

// Anybody may own a host name, so the address that is dialled decides.
func TestANameOfAnInternalAddressIsRefusedWhenItIsDialled(t *testing.T) {
	t.Parallel()
	for _, internal := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.0.1", "100.64.0.1", "0.0.0.0"} {
		r := newReceiver(t, nil)
		names, lookups := newResolver(t, internal)
		_, port, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), ":")
		p := webhook.New(webhook.Config{RootCAs: r.pool(), Resolver: names})
		t.Cleanup(p.Close)
		got := p.Post(t.Context(), message("https://hooks.example.com:"+port+"/"))
		if got.Result != app.CallForbiddenAddress || got.Status != 0 {
			t.Errorf("a name of %s: %+v", internal, got)
		}
		if lookups.Load() == 0 || r.calls() != 0 {
			t.Errorf("a name of %s: %d look-ups, the receiver got %d calls", internal, lookups.Load(), r.calls())
		}
	}
}

// The name itself is valid, and its name server answers with another address each time (DNS rebinding). A
// check of any address but the one that is dialled would let a call through.
func TestANameThatChangesItsAddressBetweenCheckAndCallIsRefused(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), ":")
	names, lookups := newResolver(t, "127.0.0.1", "127.0.0.1", "10.0.0.1", "127.0.0.1")
	dev := webhook.New(webhook.Config{Loopback: true, RootCAs: r.pool(), Resolver: names})
	t.Cleanup(dev.Close)
	url := "https://example.com:" + port + "/"
	if got := dev.Post(t.Context(), message(url)); got.Result != app.CallAccepted {
		t.Fatalf("a sender that may reach this machine: %+v, want the message taken", got)
	}
	production := webhook.New(webhook.Config{RootCAs: r.pool(), Resolver: names})
	t.Cleanup(production.Close)
	if v := production.CheckURL(url); v != nil {
		t.Fatalf("the name by itself is refused: %+v", v)
	}
	for range 3 {
		if got := production.Post(t.Context(), message(url)); got.Result != app.CallForbiddenAddress {
			t.Errorf("after %d look-ups: %+v", lookups.Load(), got)
		}
	}
	if r.calls() != 1 {
		t.Errorf("the receiver got %d calls, want the one that was allowed", r.calls())
	}
}
