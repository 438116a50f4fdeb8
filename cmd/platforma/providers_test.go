package main_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// simulator runs a simulated cloud of its own and gives its address.
func simulator(t *testing.T) string {
	t.Helper()
	ledger := filepath.Join(t.TempDir(), "ledger")
	said := background(t, nil, "sim", "--listen", "127.0.0.1:0", "--ledger", ledger, "--speed", "300")
	url := ""
	until(t, ready, "the simulated cloud", func() bool {
		_, after, ok := strings.Cut(said.String(), "sim: ready on ")
		url = strings.TrimSpace(after)
		return ok
	})
	return url
}

func TestTheAccountsOfAFileAreListedAndCheckedWithoutAnInstallation(t *testing.T) {
	t.Parallel()
	url := simulator(t)
	file := configFile(t, `accounts:
  - {name: main, type: sim, url: "`+url+`"}
  - {name: old, type: sim, url: "`+url+`", drained: true}
placements:
  - {product: "*", region: lj-1, account: main}
`)
	env := []string{"PLATFORMA_CONFIG=" + file}
	said, err := run(t, env, "providers", "list")
	if err != nil || !strings.Contains(said, "every product in lj-1") || !strings.Contains(said, "no, drained") {
		t.Errorf("providers list: %v\n%s", err, said)
	}
	said, err = run(t, env, "providers", "list", "--json")
	var listed []struct {
		Name, Type string
		Drained    bool
		Placements []struct{ Product, Region string }
	}
	if err != nil || json.Unmarshal([]byte(said), &listed) != nil || len(listed) != 2 {
		t.Fatalf("providers list --json: %v\n%s", err, said)
	}
	if !listed[1].Drained || len(listed[0].Placements) != 1 {
		t.Errorf("providers list --json: %v\n%s", err, said)
	}
	said, err = run(t, env, "providers", "check")
	if err != nil || strings.Count(said, "nothing is missing") != 2 || !strings.Contains(said, "region hetzner-fsn1: ") {
		t.Errorf("providers check: %v\n%s", err, said)
	}
	said, err = run(t, env, "providers", "check", "man")
	if err == nil || !strings.Contains(said, `there is no account "man"; did you mean main?`) {
		t.Errorf("providers check of an account that is not there: %v\n%s", err, said)
	}
	var books struct{ Live, Log []json.RawMessage }
	if err := json.Unmarshal(get(t, url+"/ledger"), &books); err != nil || len(books.Live) != 0 || len(books.Log) != 0 {
		t.Errorf("the checks left %d resources and %d calls, %v; want none", len(books.Live), len(books.Log), err)
	}
}

func TestAnAccountThatMissesSomethingEndsTheCheckWithStatus1(t *testing.T) {
	t.Parallel()
	url := simulator(t)
	file := configFile(t, `accounts:
  - {name: main, type: sim, url: "`+url+`", naming: none}
  - {name: away, type: sim, url: "http://`+freeAddress(t)+`"}
placements:
  - {product: gpu, region: hetzner-fsn1, account: main}
`)
	for account, want := range map[string]string{
		"main": "MISSING: gpu in hetzner-fsn1 is placed on the account, which does not offer it",
		"away": "is its address right, and is it up?",
	} {
		said, err := run(t, nil, "providers", "check", account, "--config", file)
		if err == nil || !strings.Contains(said, want) {
			t.Errorf("providers check %s: %v, it should say %q:\n%s", account, err, want, said)
		}
	}
	said, err := run(t, nil, "providers", "check", "--json", "--config", file)
	var lines []struct {
		Account string
		Login   bool
		Missing []string
	}
	if err == nil || json.Unmarshal([]byte(said), &lines) != nil || len(lines) != 2 {
		t.Fatalf("providers check --json: %v\n%s", err, said)
	}
	if !lines[0].Login || len(lines[0].Missing) != 2 || lines[1].Login {
		t.Errorf("providers check --json: %+v; want two things missing in main, and away not asked", lines)
	}
}

func TestProvidersWithoutAFileAndWithoutAnInstallationSayWhatToName(t *testing.T) {
	t.Parallel()
	said, err := run(t, nil, "providers", "list", "--data", t.TempDir())
	if err == nil || !strings.Contains(said, "--config or PLATFORMA_CONFIG") {
		t.Errorf("providers list: %v\n%s", err, said)
	}
}

// The file's account has no address: it is dev's own simulator. The second one is a simulator beside it.
func TestDevBuildsWhereItsConfigurationSays(t *testing.T) {
	t.Parallel()
	other := simulator(t)
	config := configFile(t, `accounts:
  - {name: own, type: sim}
  - {name: other, type: sim, url: "`+other+`"}
placements:
  - {product: "*", region: "*", account: own}
  - {product: vps, region: lj-1, account: other}
`)
	d := startDev(t, folder(t), "--config", config, "--speed", "240")
	o := d.pays(d.as("customer"), file(t, "one.json"))
	if o = d.as("customer").follow(o.ID, 2*time.Minute); o.State != "fulfilled" {
		t.Errorf("the order is %s, want fulfilled", o.State)
	}
	var there struct{ Live []json.RawMessage }
	if err := json.Unmarshal(get(t, other+"/ledger?only=live"), &there); err != nil || len(there.Live) != 2 {
		t.Errorf("%d resources in the account that is placed, %v; want the port and the server", len(there.Live), err)
	}
	if n := len(d.ledger().Live); n != 0 {
		t.Errorf("%d resources in dev's own simulator, want none", n)
	}
	said, err := run(t, nil, "doctor", "--orphans", "--data", d.Data)
	if err != nil || !strings.Contains(said, "no orphan, nothing missing") {
		t.Errorf("doctor --orphans: %v\n%s", err, said)
	}
	said, err = run(t, nil, "providers", "list", "--json", "--data", d.Data)
	var names []struct{ Name string }
	if err != nil || json.Unmarshal([]byte(said), &names) != nil {
		t.Fatalf("providers list: %v\n%s", err, said)
	}
	if diff := cmp.Diff([]struct{ Name string }{{"own"}, {"other"}}, names); diff != "" {
		t.Errorf("accounts of the running installation (-want +got):\n%s", diff)
	}
}
