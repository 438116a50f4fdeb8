package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// run runs a command of the binary to its end.
func run(t *testing.T, env []string, args ...string) (said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(withoutOwnServers(os.Environ()), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// background starts a command of the binary and gives what it says; it is stopped with the test, which
// wants it to end well.
func background(t *testing.T, env []string, args ...string) *transcript {
	t.Helper()
	said := &transcript{}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(withoutOwnServers(os.Environ()), env...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("platforma %s: %v", args[0], err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("platforma %s ended with %v:\n%s", strings.Join(args, " "), err, said)
		}
	})
	return said
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// production is what an operator prepares before `platforma serve`.
type production struct {
	own
	tenant pgtest.Org
	inbox  *embedded.Inbox
	sim    string
	env    []string // all but keys, roles and address

	credentials, passphrases string // the files of the keys
}

// keys are the variables that name them.
func (p production) keys(credentials, passphrases string) []string {
	return []string{"PLATFORMA_CREDENTIAL_KEK=" + credentials, "PLATFORMA_PASSPHRASE_KEK=" + passphrases}
}

// keyFile is a key as OpenKEKFile takes it.
func keyFile(t *testing.T, digit string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(strings.Repeat(digit, 64)+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func newProduction(t *testing.T) production {
	t.Helper()
	p := production{own: newOwn(t)}
	p.env = []string{"DATABASE_URL=" + p.db.OwnerURL(), "KAFKA_BROKERS=" + p.broker.Addr()}
	for range 2 { // the second time there is nothing to do
		for _, command := range [][]string{{"migrate"}, {"kafka", "apply", "--replicas", "1"}} {
			if said, err := run(t, p.env, command...); err != nil {
				t.Fatalf("platforma %v: %v\n%s", command, err, said)
			}
		}
	}
	p.db.Clock.Set(time.Now().UTC())
	p.tenant, _ = p.db.Two(t)
	inbox, err := embedded.StartInbox(embedded.InboxConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inbox.Close() })
	p.inbox = inbox
	p.sim = simulator(t)
	p.credentials, p.passphrases = keyFile(t, "a", 0o600), keyFile(t, "b", 0o600)
	file := configFile(t, oneAccount(p.sim))
	p.env = append(p.env, "PLATFORMA_DEVELOPMENT=true", "PLATFORMA_INSTALLATION=shop", "PLATFORMA_CONFIG="+file,
		"PLATFORMA_SMTP="+inbox.SMTPAddr(), "PLATFORMA_SMTP_CA="+inbox.CAFile(),
		"PLATFORMA_MAIL_FROM=delivery@shop.example", "PLATFORMA_PUBLIC_URL=https://shop.example")
	return p
}

// configFile is a configuration file with this text.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// oneAccount places everything with one simulated cloud.
func oneAccount(url string) string {
	return "accounts:\n  - {name: main, type: sim, url: \"" + url + "\"}\n" +
		"placements:\n  - {product: \"*\", region: \"*\", account: main}\n"
}

// untilReady waits for the process that listens there.
func untilReady(t *testing.T, address string) {
	t.Helper()
	until(t, ready, "the API", func() bool {
		resp, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// The API's process gets no key at all: it has nothing to open.
func TestServeRunsAnOrderInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	address := freeAddress(t)
	background(t, append(p.env, "PLATFORMA_ROLES=api,live", "PLATFORMA_LISTEN="+address), "serve")
	background(t, append(append(p.env, p.keys(p.credentials, p.passphrases)...),
		"PLATFORMA_ROLES=worker,relay,provision,billing,notify,audit", "PLATFORMA_LISTEN="+freeAddress(t)), "serve")
	untilReady(t, address)
	customer := stranger{t: t, base: "http://" + address, key: p.tenant.Keys[tenant.Customer], heard: &transcript{}}
	operator := stranger{t: t, base: "http://" + address, key: p.tenant.Keys[tenant.Operator], heard: &transcript{}}
	var o orderView
	customer.must(http.MethodPost, "/v1/orders", file(t, "one.json"), &o)
	customer.must(http.MethodPost, "/v1/orders/"+o.ID+"/submit", map[string]any{"expected_total": o.Totals.DueNow}, &o)
	operator.must(http.MethodPost, "/v1/orders/"+o.ID+"/payment/confirm",
		map[string]any{"reference": "bank-1", "amount": o.Totals.DueNow, "method": "bank_transfer"}, nil)
	o = customer.follow(o.ID, 2*time.Minute)
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	var live struct{ Live []json.RawMessage }
	if err := json.Unmarshal(get(t, p.sim+"/ledger?only=live"), &live); err != nil || len(live.Live) != 2 {
		t.Errorf("%d resources live, %v; want the port and the server", len(live.Live), err)
	}
	delivered := 0
	for _, m := range p.inbox.Messages() {
		if strings.HasPrefix(m.MessageID, "<delivery.") {
			delivered++
		}
	}
	if delivered != 1 {
		t.Errorf("%d mails with credentials, want 1", delivered)
	}
}

func TestServeRefusesWhatIsNotSafeOrNotThere(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	keys := p.keys(p.credentials, p.passphrases)
	empty := pgtest.Empty(t)
	faulty := configFile(t, strings.Replace(oneAccount(p.sim), "url:", "uri:", 1))
	partial := configFile(t, strings.Replace(oneAccount(p.sim), `region: "*"`, "region: mb-1", 1))
	for what, c := range map[string]struct {
		env  []string
		want string
	}{
		"a worker without a key":     {[]string{"PLATFORMA_ROLES=worker"}, "needs the key of the credentials"},
		"a portal without a key":     {[]string{"PLATFORMA_ROLES=api,portal"}, "need the key of the passphrases"},
		"a key that others may read": {p.keys(p.credentials, keyFile(t, "c", 0o644)), "chmod 600"},
		"one key for both":           {p.keys(p.credentials, p.credentials), "keys of their own"},
		"a key of both for webhooks": {append(p.keys(p.credentials, p.passphrases),
			"PLATFORMA_WEBHOOK_KEK="+keyFile(t, "b", 0o600)), "webhooks need a key of their own"},
		"a login without TLS": {append(keys, "KAFKA_USER=relay", "KAFKA_PASSWORD_FILE="+p.credentials,
			"KAFKA_MECHANISM=PLAIN"), "--kafka-tls or --kafka-ca"},
		"a login in an open file": {
			append(keys, "KAFKA_USER=relay", "KAFKA_PASSWORD_FILE="+keyFile(t, "c", 0o644)),
			"chmod 600",
		},
		"the embedded broker":     {append(keys, "PLATFORMA_DEVELOPMENT=false"), "is the embedded development broker"},
		"no configuration":        {append(keys, "PLATFORMA_CONFIG="), "name the configuration file: --config"},
		"an absent configuration": {append(keys, "PLATFORMA_CONFIG=/absent.yaml"), "docs/providers.md describes it"},
		"a faulty configuration": {
			append(keys, "PLATFORMA_CONFIG="+faulty),
			`:2: account main has no key "uri"; did you mean url`,
		},
		"a catalogue nobody builds": {append(keys, "PLATFORMA_CONFIG="+partial), "vps in lj-1: no placement"},
		"a role that there is not":  {append(keys, "PLATFORMA_ROLES=api,cook"), `no role "cook"`},
		"a database without tables": {append(keys, "DATABASE_URL="+empty.OwnerURL()), "run platforma migrate"},
		"an address that is taken": {
			append(keys, "PLATFORMA_LISTEN="+strings.TrimPrefix(p.sim, "http://")),
			"address already in use",
		},
		"a database that is away": {append(keys,
			"DATABASE_URL=postgres://postgres@"+freeAddress(t)+"/postgres?sslmode=disable"), "connection refused"},
	} {
		said, err := run(t, append(p.env, c.env...), "serve")
		if err == nil || !strings.Contains(said, c.want) {
			t.Errorf("%s: %v, it should say %q:\n%s", what, err, c.want, said)
		}
	}
}

func TestServeStartsWhileTheBrokersAreAway(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	address := freeAddress(t)
	said := background(t, append(p.env, "KAFKA_BROKERS="+freeAddress(t), "PLATFORMA_ROLES=api",
		"PLATFORMA_LISTEN="+address), "serve")
	untilReady(t, address)
	if want := "the Kafka brokers do not answer; starting without them"; !strings.Contains(said.String(), want) {
		t.Errorf("serve should say %q:\n%s", want, said)
	}
}
