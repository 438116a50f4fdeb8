package sim_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	_, refs := b.build(database(), "item")
	half := b.create(b.steps(vps(), "half")[0])
	gone := b.steps(vps(), "gone")[0]
	if err := b.p.Delete(t.Context(), gone, b.create(gone)); err != nil {
		t.Fatal(err)
	}
	b.Advance(time.Hour)
	b.Script(sim.Fault{Item: "x", Operation: sim.OpCreate, Kind: sim.Stuck})
	secret, before := b.secret(refs), b.Ledger()

	b.Restart()
	if diff := cmp.Diff(before, b.Ledger()); diff != "" {
		t.Errorf("ledger (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(secret, b.secret(refs)); diff != "" {
		t.Errorf("the secret changed over a restart")
	}
	fresh := b.create(b.steps(vps(), "fresh")[0])
	if slices.ContainsFunc(before.Log, func(c sim.Call) bool { return slices.Contains(c.IDs, string(fresh)) }) ||
		fresh == half {
		t.Errorf("id %q was used twice", fresh)
	}
	if _, err := b.p.Create(t.Context(), b.steps(vps(), "x")[0], nil); err != nil {
		t.Fatal(err)
	}
	b.Advance(24 * time.Hour)
	b.wantPhase(b.steps(vps(), "x")[0], "", provider.Pending)
	b.ClearFaults()
	b.Restart()
	y := b.steps(vps(), "x")[1]
	b.create(y)
	b.Advance(24 * time.Hour)
	b.wantPhase(y, "", provider.Ready)
}

func TestLedgerShowsEveryCallAndEveryLiveResource(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	at := b.Now()
	b.Script(sim.Fault{Operation: sim.OpCreate, Kind: sim.LostReply, Times: 1})
	step := b.steps(vps(), "item")[0]
	if _, err := b.p.Create(t.Context(), step, nil); err == nil {
		t.Fatal("Create was answered")
	}
	b.observe(step, "")
	b.observe(step, "port-99")
	if err := b.p.Delete(t.Context(), step, "port-1"); err != nil {
		t.Fatal(err)
	}
	name := step.Key.Name()
	call := func(operation, result string) sim.Call {
		return sim.Call{
			At: at, Operation: operation, Key: name, Result: result, Tenant: "ten", Order: "ord", Item: "item", Step: "port",
			Generation: "1", Product: "vps", Label: "vps-1",
		}
	}
	create, remove := call("create", "created"), call("delete", "accepted")
	create.Fault, create.Effect, create.IDs = "lost_reply", true, []string{"port-1"}
	remove.Effect, remove.IDs = true, []string{"port-1"}
	want := sim.Ledger{
		Live: []sim.Resource{{
			ID: "port-1", Name: name, Kind: "port", Region: "lj-1", Phase: "deleting", Detail: "deleting",
			SpecHash: "set below", CreatedAt: at,
			Labels: map[string]string{
				"pf-inst": "inst", "pf-item": "item", "pf-step": "port", "pf-gen": "1", "installation": "inst", "tenant": "ten",
				"order": "ord", "item": "item", "step": "port", "generation": "1", "label": "vps-1", "product": "vps",
			},
		}},
		Log: []sim.Call{call("look", "absent"), create, call("observe", "pending"), call("observe", "absent"), remove},
	}
	hash, err := vps().Hash()
	if err != nil {
		t.Fatal(err)
	}
	want.Live[0].SpecHash = hash
	if diff := cmp.Diff(want, b.Ledger()); diff != "" {
		t.Errorf("GET /ledger (-want +got):\n%s", diff)
	}
}

func TestOnlyOneSimHoldsALedger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	first, err := sim.NewServer(sim.ServerConfig{Ledger: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.NewServer(sim.ServerConfig{Ledger: path}); !errors.Is(err, sim.ErrLedgerInUse) {
		t.Errorf("second sim on the ledger = %v, want %v", err, sim.ErrLedgerInUse)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := sim.NewServer(sim.ServerConfig{Ledger: path})
	if err != nil {
		t.Fatalf("a sim after the first has ended = %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestTornLastLineIsCutOffAndADamagedLineIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	b := newTestCloud(t, func(c *sim.ServerConfig) { c.Ledger = path })
	b.create(b.steps(vps(), "whole")[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append(bytes.Clone(whole), `{"at":"2026-03-02T08:00:01Z","make":[{"id":"po`...)
	if err := os.WriteFile(path, torn, 0o600); err != nil {
		t.Fatal(err)
	}
	b.Restart()
	b.create(b.steps(vps(), "after")[0])
	b.Restart()
	if live := b.Live(); len(live) != 2 {
		t.Errorf("%d live after a torn line, want 2", len(live))
	}

	damaged := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(damaged, append([]byte("{broken}\n"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.NewServer(sim.ServerConfig{Ledger: damaged}); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a damaged ledger = %v, want an error that names line 1", err)
	}
}

func TestEffectIsOnDiskBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	var syncs atomic.Int32
	var broken atomic.Bool
	b := newTestCloud(t, func(c *sim.ServerConfig) {
		c.Sync = func(*os.File) error {
			syncs.Add(1)
			if broken.Load() {
				return errors.New("disk is gone")
			}
			return nil
		}
	})
	step := b.steps(vps(), "item")[0]
	r := b.create(step)
	if n := syncs.Load(); n != 1 {
		t.Errorf("a create synced %d times, want 1", n)
	}
	b.observe(step, r)
	if n := syncs.Load(); n != 1 {
		t.Errorf("a read synced the ledger")
	}
	broken.Store(true)
	if err := b.p.Delete(t.Context(), step, r); provider.ClassOf(err) != fault.Ambiguous {
		t.Errorf("Delete that could not be synced = %v, want class ambiguous", err)
	}
}

func TestLatencyFollowsFromTheSeedAndTheSpeed(t *testing.T) {
	t.Parallel()
	took := func(seed int64, speed float64) time.Duration {
		b := newTestCloud(t, func(c *sim.ServerConfig) { c.Seed, c.Speed = seed, speed })
		step := b.steps(vps(), "item")[1]
		r := b.create(step)
		for passed := time.Duration(0); passed < 10*time.Minute; passed += 10 * time.Millisecond {
			if b.Live()[0].Phase == "ready" {
				b.wantPhase(step, r, provider.Ready)
				return passed
			}
			b.Advance(10 * time.Millisecond)
		}
		t.Fatal("never ready")
		return 0
	}
	fast := took(3, 1000)
	if again := took(3, 1000); again != fast {
		t.Errorf("the same seed took %s and %s", fast, again)
	}
	if fast < 3*time.Millisecond || fast > 180*time.Millisecond {
		t.Errorf("a server took %s at ×1000, want about 25 ms", fast)
	}
}

func TestCapacityIsFreedOnlyWhenADeleteIsFinished(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, func(c *sim.ServerConfig) {
		c.Capacity = map[string]sim.Amounts{
			"mb-1": {"h100": 2, "storage_gb": 9000, "vcpu": 9}, "hetzner-fsn1": {"storage_gb": 2500},
		}
	})
	steps, refs := b.build(gpu(), "first")
	second := b.steps(gpu(), "second")[1]
	failed := b.create(second) // accepted, and failed later: no valid host
	b.Advance(3 * time.Second)
	if o := b.wantPhase(second, failed, provider.Failed); o.Fault.Class != fault.Capacity {
		t.Errorf("Observe without capacity = %v, want class capacity", o.Fault)
	}
	violations, err := b.p.Validate(t.Context(), gpu())
	if err != nil || len(violations) != 1 || violations[0].Code != "no-capacity" {
		t.Errorf("Validate without capacity = %+v, %v", violations, err)
	}
	if err := b.p.Delete(t.Context(), steps[1], refs[1]); err != nil {
		t.Fatal(err)
	}
	if violations, err = b.p.Validate(t.Context(), gpu()); err != nil || len(violations) != 1 {
		t.Errorf("Validate during the delete = %+v, %v", violations, err)
	}
	b.Advance(time.Hour)
	if violations, err = b.p.Validate(t.Context(), gpu()); err != nil || len(violations) != 0 {
		t.Errorf("Validate after the delete = %+v, %v", violations, err)
	}

	bucket := specs()[5]
	b.create(b.steps(bucket, "bucket-1")[0])
	if _, err := b.p.Create(t.Context(), b.steps(bucket, "bucket-2")[0], nil); provider.ClassOf(err) != fault.Capacity {
		t.Errorf("Create without capacity = %v, want class capacity", err)
	}
}

func TestQuotaIsReportedForTheWholeOrderAndEnforced(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, func(c *sim.ServerConfig) {
		c.Quota = map[string]sim.Amounts{"lj-1": {"vcpu": 8, "ram_gb": 100, "storage_gb": 1000}}
	})
	b.build(vps(), "one") // business: 4 vCPU, 8 GiB, 80 GB
	report, err := b.p.Quota(t.Context(), []provider.Spec{vps(), vps()})
	want := provider.QuotaReport{Lines: []provider.QuotaLine{
		{Resource: "vcpu", Region: "lj-1", Unit: "vCPU", Used: 4, Limit: 8, Need: 8},
		{Resource: "ram_gb", Region: "lj-1", Unit: "GiB", Used: 8, Limit: 100, Need: 16},
		{Resource: "storage_gb", Region: "lj-1", Unit: "GB", Used: 80, Limit: 1000, Need: 160},
	}}
	if diff := cmp.Diff(want, report); diff != "" || err != nil {
		t.Errorf("Quota, %v (-want +got):\n%s", err, diff)
	}
	b.build(vps(), "two")
	if _, err := b.p.Create(t.Context(), b.steps(vps(), "three")[1], nil); provider.ClassOf(err) != fault.Quota {
		t.Errorf("Create over quota = %v, want class quota", err)
	}
}

func TestValidateNamesWhatWouldBeAccepted(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	windows, cluster := vps(), specs()[1]
	windows.Region, windows.Configuration = "hetzner-fsn1", json.RawMessage(`{"os_image":"windows-2022"}`)
	cluster.Region = "hetzner-fsn1"
	for _, c := range []struct {
		spec    provider.Spec
		pointer string
		allowed any
	}{
		{windows, "/configuration/os_image", "debian-12"},
		{cluster, "/region", "mb-1"},
	} {
		got, err := b.p.Validate(t.Context(), c.spec)
		if err != nil || len(got) != 1 || got[0].Pointer != c.pointer || !slices.Contains(got[0].Allowed, c.allowed) {
			t.Errorf("Validate(%s in %s) = %+v, %v", c.spec.Product, c.spec.Region, got, err)
		}
	}
	for _, s := range specs() {
		if got, err := b.p.Validate(t.Context(), s); err != nil || len(got) != 0 {
			t.Errorf("Validate(%s) = %+v, %v", s.Product, got, err)
		}
	}
}

func TestResourceInUseCannotBeDeleted(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	steps, refs := b.build(vps(), "item")
	if err := b.p.Delete(t.Context(), steps[0], refs[0]); provider.ClassOf(err) != fault.Retryable {
		t.Errorf("Delete(port) under a server = %v, want class retryable", err)
	}
	b.wantPhase(steps[0], refs[0], provider.Ready)
}

func TestSecretsHoldWhatACustomerNeedsAndACanary(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	want := map[string][]string{
		"vps":            {"hostname", "ip_address", "password", "ssh_port", "ssh_private_key", "username"},
		"kubernetes":     {"api_endpoint", "kubeconfig", "token"},
		"database":       {"connection_string", "database", "host", "password", "port", "username"},
		"gpu":            {"api_endpoint", "api_key", "nodes", "password", "ssh_private_key", "username"},
		"private_cloud":  {"api_endpoint", "dashboard_url", "password", "username"},
		"object_storage": {"access_key", "bucket", "endpoint", "secret_key"},
	}
	for _, spec := range specs() {
		_, refs := b.build(spec, "item-"+spec.Product)
		doc := b.secret(refs)
		issued := b.Secrets("item-" + spec.Product)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if len(issued) != 1 || string(issued[0]) != string(text) {
			t.Errorf("%s: GET /secrets lists %d secrets, want only the issued one", spec.Product, len(issued))
		}
		if doc["kind"] != spec.Product || !strings.Contains(string(text), sim.Canary) {
			t.Errorf("%s: kind %v, canary %t", spec.Product, doc["kind"], strings.Contains(string(text), sim.Canary))
		}
		if key, ok := doc["ssh_private_key"].(string); ok {
			block, _ := pem.Decode([]byte(key))
			if block == nil {
				t.Fatalf("%s: the ssh key is not PEM", spec.Product)
			}
			if _, err := x509.ParseECPrivateKey(block.Bytes); err != nil {
				t.Errorf("%s: %v", spec.Product, err)
			}
		}
		var members []string
		for name := range doc {
			if name != "kind" && name != "simulated" && name != "region" {
				members = append(members, name)
			}
		}
		slices.Sort(members)
		if diff := cmp.Diff(want[spec.Product], members); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec.Product, diff)
		}
	}
}

func TestSecretsDifferByItemAndLedger(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	_, refs := b.build(vps(), "one")
	_, others := b.build(vps(), "two")
	if b.secret(refs)["password"] == b.secret(others)["password"] {
		t.Error("two items have the same password")
	}
	elsewhere := newTestCloud(t, nil)
	_, same := elsewhere.build(vps(), "one")
	if b.secret(refs)["password"] == elsewhere.secret(same)["password"] {
		t.Error("two ledgers have the same password")
	}
	for _, wrong := range [][]provider.Ref{{}, {refs[0]}, {refs[1], others[1]}, {refs[1], refs[0]}, {"server-99"}} {
		if _, err := b.p.Credentials(t.Context(), wrong); err == nil {
			t.Errorf("Credentials(%q) was answered", wrong)
		}
	}
	own := vps()
	own.Configuration = json.RawMessage(`{"os_image":"debian-12","ssh_public_keys":["ssh-ed25519 AAAA me"]}`)
	_, refs = b.build(own, "three")
	if _, given := b.secret(refs)["ssh_private_key"]; given {
		t.Error("a customer who sent a key was given another one")
	}
}

func TestSecretThatIsReadableOnceIsReplaced(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	b.Script(sim.Fault{Operation: sim.OpCredentials, Kind: sim.Once})
	_, refs := b.build(vps(), "item")
	first := b.secret(refs)["password"]
	b.Restart()
	second := b.secret(refs)["password"]
	if first == second {
		t.Error("the second read returned the first secret")
	}
	if n := len(b.Secrets("item")); n != 2 {
		t.Errorf("GET /secrets lists %d secrets, want 2", n)
	}
}

func TestOnlyLocalProgramsAreAllowed(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t, simtest.Options{})
	get := func(host, origin string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/ledger", nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		return answer.StatusCode
	}
	for _, c := range []struct {
		host, origin string
		want         int
	}{
		{"", "", 200},
		{"localhost:8091", "", 200},
		{"[::1]:8091", "", 200},
		{"localhost", "", 200},
		{"evil.example", "", 403},
		{"127.0.0.1.evil.example:80", "", 403},
		{"10.0.0.1:8091", "", 403},
		{"", "https://evil.example", 403},
	} {
		if got := get(c.host, c.origin); got != c.want {
			t.Errorf("Host %q, Origin %q: status %d, want %d", c.host, c.origin, got, c.want)
		}
	}
}

func TestAdapterSaysWhenNothingWasSent(t *testing.T) {
	t.Parallel()
	s := simtest.Start(t, simtest.Options{})
	p, err := sim.New(sim.ProviderConfig{URL: "http://127.0.0.1:1", Naming: provider.NamingUnique409})
	if err != nil {
		t.Fatal(err)
	}
	b := &testCloud{Sim: s, t: t, p: p}
	step := b.steps(vps(), "item")[0]
	if err := p.Delete(t.Context(), step, "port-1"); provider.ClassOf(err) != fault.Retryable {
		t.Errorf("Delete without a server = %v, want class retryable: the connection was refused", err)
	}
	for _, url := range []string{"", "127.0.0.1:1", "https://127.0.0.1", "http://user:word@127.0.0.1"} {
		if _, err := sim.New(sim.ProviderConfig{URL: url}); err == nil || strings.Contains(err.Error(), "word") {
			t.Errorf("New(%q) = %v", url, err)
		}
	}
}
