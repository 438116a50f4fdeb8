package main_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// startSimulator starts a separate simulated cloud and returns its address.
func startSimulator(t *testing.T) string {
	t.Helper()
	ledger := filepath.Join(t.TempDir(), "ledger")
	out := startBinary(t, nil, "sim", "--listen", "127.0.0.1:0", "--ledger", ledger, "--speed", "300")
	url := ""
	waitUntil(t, startTimeout, "the simulated cloud", func() bool {
		_, after, ok := strings.Cut(out.String(), "sim: ready on ")
		url = strings.TrimSpace(after)
		return ok
	})
	return url
}

func TestTheAccountsOfAFileAreListedAndCheckedWithoutAnInstallation(t *testing.T) {
	t.Parallel()
	url := startSimulator(t)
	file := writeConfigFile(t, `accounts:
  - {name: main, type: sim, url: "`+url+`"}
  - {name: old, type: sim, url: "`+url+`", drained: true}
placements:
  - {product: "*", region: lj-1, account: main}
`)
	env := []string{"PLATFORMA_CONFIG=" + file}
	out, err := runBinary(t, env, "providers", "list")
	if err != nil || !strings.Contains(out, "every product in lj-1") || !strings.Contains(out, "no, drained") {
		t.Errorf("providers list: %v\n%s", err, out)
	}
	out, err = runBinary(t, env, "providers", "list", "--json")
	var listed []struct {
		Name, Type string
		Drained    bool
		Placements []struct{ Product, Region string }
	}
	if err != nil || json.Unmarshal([]byte(out), &listed) != nil || len(listed) != 2 {
		t.Fatalf("providers list --json: %v\n%s", err, out)
	}
	if !listed[1].Drained || len(listed[0].Placements) != 1 {
		t.Errorf("providers list --json: %v\n%s", err, out)
	}
	out, err = runBinary(t, env, "providers", "check")
	if err != nil || strings.Count(out, "nothing is missing") != 2 || !strings.Contains(out, "region hetzner-fsn1: ") {
		t.Errorf("providers check: %v\n%s", err, out)
	}
	out, err = runBinary(t, env, "providers", "check", "man")
	if err == nil || !strings.Contains(out, `there is no account "man"; did you mean main?`) {
		t.Errorf("providers check of an unknown account: %v\n%s", err, out)
	}
	var ledger struct{ Live, Log []json.RawMessage }
	if err := json.Unmarshal(httpGet(t, url+"/ledger"), &ledger); err != nil || len(ledger.Live)+len(ledger.Log) != 0 {
		t.Errorf("the checks left %d resources and %d calls, %v; want none", len(ledger.Live), len(ledger.Log), err)
	}
}

func TestAnAccountThatMissesSomethingEndsTheCheckWithStatus1(t *testing.T) {
	t.Parallel()
	url := startSimulator(t)
	file := writeConfigFile(t, `accounts:
  - {name: main, type: sim, url: "`+url+`", naming: none}
  - {name: away, type: sim, url: "http://`+freeAddress(t)+`"}
placements:
  - {product: gpu, region: hetzner-fsn1, account: main}
`)
	for account, want := range map[string]string{
		"main": "MISSING: gpu in hetzner-fsn1 is placed on the account, which does not offer it",
		"away": "is its address right, and is it up?",
	} {
		out, err := runBinary(t, nil, "providers", "check", account, "--config", file)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("providers check %s: %v, want %q in its output:\n%s", account, err, want, out)
		}
	}
	out, err := runBinary(t, nil, "providers", "check", "--json", "--config", file)
	var lines []struct {
		Account string
		Login   bool
		Missing []string
	}
	if err == nil || json.Unmarshal([]byte(out), &lines) != nil || len(lines) != 2 {
		t.Fatalf("providers check --json: %v\n%s", err, out)
	}
	if !lines[0].Login || len(lines[0].Missing) != 2 || lines[1].Login {
		t.Errorf("providers check --json: %+v; want two things missing in main, and away not reached", lines)
	}
}

func TestProvidersWithoutAFileAndWithoutAnInstallationSayWhatToName(t *testing.T) {
	t.Parallel()
	out, err := runBinary(t, nil, "providers", "list", "--data", t.TempDir())
	if err == nil || !strings.Contains(out, "--config or PLATFORMA_CONFIG") {
		t.Errorf("providers list: %v\n%s", err, out)
	}
}

// The first account of the file has no address, so it is on dev's own simulator. The second is on another one.
func TestDevBuildsWhereItsConfigurationSays(t *testing.T) {
	t.Parallel()
	other := startSimulator(t)
	config := writeConfigFile(t, `accounts:
  - {name: own, type: sim}
  - {name: other, type: sim, url: "`+other+`"}
placements:
  - {product: "*", region: "*", account: own}
  - {product: vps, region: lj-1, account: other}
`)
	d := startDev(t, dataFolder(t), "--config", config, "--speed", "240")
	o := d.placePaidOrder(d.as("customer"), readTestdata(t, "one.json"))
	if o = d.as("customer").waitAtRest(o.ID, 2*time.Minute); o.State != "fulfilled" {
		t.Errorf("the order is %s, want fulfilled", o.State)
	}
	var ledger struct{ Live []json.RawMessage }
	if err := json.Unmarshal(httpGet(t, other+"/ledger?only=live"), &ledger); err != nil || len(ledger.Live) != 2 {
		t.Errorf("%d resources in the placement's account, %v; want the port and the server", len(ledger.Live), err)
	}
	if n := len(d.ledger().Live); n != 0 {
		t.Errorf("%d resources in dev's own simulator, want none", n)
	}
	out, err := runBinary(t, nil, "doctor", "--orphans", "--data", d.Data)
	if err != nil || !strings.Contains(out, "no orphan, nothing missing") {
		t.Errorf("doctor --orphans: %v\n%s", err, out)
	}
	out, err = runBinary(t, nil, "providers", "list", "--json", "--data", d.Data)
	var names []struct{ Name string }
	if err != nil || json.Unmarshal([]byte(out), &names) != nil {
		t.Fatalf("providers list: %v\n%s", err, out)
	}
	if diff := cmp.Diff([]struct{ Name string }{{"own"}, {"other"}}, names); diff != "" {
		t.Errorf("accounts of the running installation (-want +got):\n%s", diff)
	}
}
