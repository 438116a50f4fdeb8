package main_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// runBinary runs a command of the binary to its end and returns its output.
func runBinary(t *testing.T, env []string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(withoutExternalServers(os.Environ()), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// startBinary starts a command of the binary and returns its output. The command is stopped when the test ends,
// and must end without an error.
func startBinary(t *testing.T, env []string, args ...string) *outputBuffer {
	t.Helper()
	output := &outputBuffer{}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(withoutExternalServers(os.Environ()), env...)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatalf("platforma %s: %v", args[0], err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("platforma %s ended with %v:\n%s", strings.Join(args, " "), err, output)
		}
	})
	return output
}

// freeAddress returns an address on which nobody listens.
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
	externalServers
	tenant pgtest.Org
	inbox  *embedded.Inbox
	sim    string
	env    []string // everything but keys, roles and address

	credentials, passphrases string // the key files
}

// keyEnv returns the environment variables that name two key files.
func keyEnv(credentials, passphrases string) []string {
	return []string{"PLATFORMA_CREDENTIAL_KEK=" + credentials, "PLATFORMA_PASSPHRASE_KEK=" + passphrases}
}

// writeKeyFile writes a key file that consists of one digit.
func writeKeyFile(t *testing.T, digit string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(strings.Repeat(digit, 64)+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func newProduction(t *testing.T) production {
	t.Helper()
	p := production{externalServers: startExternalServers(t)}
	p.env = []string{"DATABASE_URL=" + p.db.OwnerURL(), "KAFKA_BROKERS=" + p.broker.Addr()}
	for range 2 { // the second run finds nothing to do
		for _, command := range [][]string{{"migrate"}, {"kafka", "apply", "--replicas", "1"}} {
			if out, err := runBinary(t, p.env, command...); err != nil {
				t.Fatalf("platforma %v: %v\n%s", command, err, out)
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
	p.sim = startSimulator(t)
	p.credentials, p.passphrases = writeKeyFile(t, "a", 0o600), writeKeyFile(t, "b", 0o600)
	file := writeConfigFile(t, oneAccountConfig(p.sim))
	p.env = append(p.env, "PLATFORMA_DEVELOPMENT=true", "PLATFORMA_INSTALLATION=shop", "PLATFORMA_CONFIG="+file,
		"PLATFORMA_SMTP="+inbox.SMTPAddr(), "PLATFORMA_SMTP_CA="+inbox.CAFile(),
		"PLATFORMA_MAIL_FROM=delivery@shop.example", "PLATFORMA_PUBLIC_URL=https://shop.example")
	return p
}

// writeConfigFile writes a configuration file.
func writeConfigFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// oneAccountConfig returns a configuration that places everything on one simulated cloud.
func oneAccountConfig(url string) string {
	return "accounts:\n  - {name: main, type: sim, url: \"" + url + "\"}\n" +
		"placements:\n  - {product: \"*\", region: \"*\", account: main}\n"
}

// waitReady waits until the process at the address is ready.
func waitReady(t *testing.T, address string) {
	t.Helper()
	waitUntil(t, startTimeout, "the API", func() bool {
		resp, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// The API's process gets no key, because it opens no sealed value.
func TestServeFulfilsAnOrderInSeveralProcesses(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	address := freeAddress(t)
	startBinary(t, append(p.env, "PLATFORMA_ROLES=api,live", "PLATFORMA_LISTEN="+address), "serve")
	startBinary(t, slices.Concat(p.env, keyEnv(p.credentials, p.passphrases), []string{
		"PLATFORMA_ROLES=worker,relay,provision,billing,notify,audit", "PLATFORMA_LISTEN=" + freeAddress(t),
	}), "serve")
	waitReady(t, address)
	client := func(role tenant.Role) apiClient {
		return apiClient{t: t, base: "http://" + address, key: p.tenant.Keys[role], answers: &outputBuffer{}}
	}
	customer, operator := client(tenant.Customer), client(tenant.Operator)
	var o orderView
	customer.call(http.MethodPost, "/v1/orders", readTestdata(t, "one.json"), &o)
	customer.call(http.MethodPost, "/v1/orders/"+o.ID+"/submit", map[string]any{"expected_total": o.Totals.DueNow}, &o)
	operator.call(http.MethodPost, "/v1/orders/"+o.ID+"/payment/confirm",
		map[string]any{"reference": "bank-1", "amount": o.Totals.DueNow, "method": "bank_transfer"}, nil)
	o = customer.waitAtRest(o.ID, 2*time.Minute)
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	var live struct{ Live []json.RawMessage }
	if err := json.Unmarshal(httpGet(t, p.sim+"/ledger?only=live"), &live); err != nil || len(live.Live) != 2 {
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

func TestServeRefusesWhatIsUnsafeOrMissing(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	keys := keyEnv(p.credentials, p.passphrases)
	empty := pgtest.Empty(t)
	faulty := writeConfigFile(t, strings.Replace(oneAccountConfig(p.sim), "url:", "uri:", 1))
	partial := writeConfigFile(t, strings.Replace(oneAccountConfig(p.sim), `region: "*"`, "region: mb-1", 1))
	for what, c := range map[string]struct {
		env  []string
		want string
	}{
		"a worker without a key":     {[]string{"PLATFORMA_ROLES=worker"}, "needs the key of the credentials"},
		"a portal without a key":     {[]string{"PLATFORMA_ROLES=api,portal"}, "need the key of the passphrases"},
		"a key that others may read": {keyEnv(p.credentials, writeKeyFile(t, "c", 0o644)), "chmod 600"},
		"one key for both":           {keyEnv(p.credentials, p.credentials), "keys of their own"},
		"a passphrase key for webhooks": {
			append(keyEnv(p.credentials, p.passphrases), "PLATFORMA_WEBHOOK_KEK="+writeKeyFile(t, "b", 0o600)),
			"webhooks need a key of their own",
		},
		"a login without TLS": {
			append(keys, "KAFKA_USER=relay", "KAFKA_PASSWORD_FILE="+p.credentials, "KAFKA_MECHANISM=PLAIN"),
			"--kafka-tls or --kafka-ca",
		},
		"a password in a file that others may read": {
			append(keys, "KAFKA_USER=relay", "KAFKA_PASSWORD_FILE="+writeKeyFile(t, "c", 0o644)), "chmod 600",
		},
		"the embedded broker":     {append(keys, "PLATFORMA_DEVELOPMENT=false"), "is the embedded development broker"},
		"no configuration":        {append(keys, "PLATFORMA_CONFIG="), "name the configuration file: --config"},
		"an absent configuration": {append(keys, "PLATFORMA_CONFIG=/absent.yaml"), "docs/providers.md describes it"},
		"a faulty configuration": {
			append(keys, "PLATFORMA_CONFIG="+faulty), `:2: account main has no key "uri"; did you mean url`,
		},
		"a catalogue that cannot be built": {append(keys, "PLATFORMA_CONFIG="+partial), "vps in lj-1: no placement"},
		"an unknown role":                  {append(keys, "PLATFORMA_ROLES=api,cook"), `no role "cook"`},
		"a database without tables":        {append(keys, "DATABASE_URL="+empty.OwnerURL()), "run platforma migrate"},
		"an address that is in use": {
			append(keys, "PLATFORMA_LISTEN="+strings.TrimPrefix(p.sim, "http://")), "address already in use",
		},
		"a database that is away": {
			append(keys, "DATABASE_URL=postgres://postgres@"+freeAddress(t)+"/postgres?sslmode=disable"),
			"connection refused",
		},
	} {
		out, err := runBinary(t, append(p.env, c.env...), "serve")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, want %q in the output:\n%s", what, err, c.want, out)
		}
	}
}

func TestServeStartsWhileTheBrokersAreAway(t *testing.T) {
	t.Parallel()
	p := newProduction(t)
	address := freeAddress(t)
	out := startBinary(t, append(p.env,
		"KAFKA_BROKERS="+freeAddress(t), "PLATFORMA_ROLES=api", "PLATFORMA_LISTEN="+address), "serve")
	waitReady(t, address)
	if want := "the Kafka brokers do not answer; starting without them"; !strings.Contains(out.String(), want) {
		t.Errorf("serve does not log %q:\n%s", want, out)
	}
}
