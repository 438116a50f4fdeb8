package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
)

const example = "../../docs/examples/providers.yaml"

func shippedProducts(t *testing.T) []catalog.Product {
	t.Helper()
	c, err := catalog.Load(catalog.Default(), time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return c.Products()
}

func parse(t *testing.T, text string) *config.Clouds {
	t.Helper()
	c, err := config.Parse("clouds.yaml", []byte(text), config.Defaults{})
	if err != nil {
		t.Fatalf("Parse = %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// twoAccounts is a file whose second account builds only VPS in lj-1.
const twoAccounts = `
accounts:
  - {name: first, type: sim, url: "http://127.0.0.1:1"}
  - {name: second, type: sim, url: "http://127.0.0.1:2", naming: none}
placements:
  - {product: "*", region: "*", account: first}
  - {product: vps, region: lj-1, account: second}
`

func TestTheExampleBuildsEverythingThatTheShippedCatalogueSells(t *testing.T) {
	t.Parallel()
	c, err := config.Read(example, config.Defaults{})
	if err != nil {
		t.Fatalf("Read = %v", err)
	}
	t.Cleanup(c.Close)
	if paused, err := c.CheckCatalog(shippedProducts(t)); err != nil || len(paused) != 0 {
		t.Errorf("CheckCatalog = %q, %v; want nothing", paused, err)
	}
	drained := map[string]bool{}
	for _, a := range c.Accounts() {
		drained[a.Name] = a.Drained
	}
	want := map[string]bool{"ljubljana": false, "falkenstein": false, "ljubljana-old": true}
	if diff := cmp.Diff(want, drained); diff != "" {
		t.Errorf("accounts and whether they are drained (-want +got):\n%s", diff)
	}
}

func TestTheMostSpecificPlacementWins(t *testing.T) {
	t.Parallel()
	c := parse(t, `
accounts:
  - {name: all, type: sim, url: "http://127.0.0.1:1"}
  - {name: product, type: sim, url: "http://127.0.0.1:2"}
  - {name: region, type: sim, url: "http://127.0.0.1:3"}
  - {name: pair, type: sim, url: "http://127.0.0.1:4"}
placements:
  - {product: "*", region: "*", account: all}
  - {product: vps, region: lj-1, account: pair}
  - {product: "*", region: lj-1, account: region}
  - {product: vps, region: "*", account: product}
`)
	for _, want := range []struct{ product, region, account string }{
		{"vps", "lj-1", "pair"}, {"vps", "mb-1", "product"}, {"gpu", "lj-1", "region"}, {"gpu", "mb-1", "all"},
	} {
		if got, ok := c.Place(want.product, want.region); got != want.account || !ok {
			t.Errorf("Place(%s, %s) = %q, %t; want %s", want.product, want.region, got, ok, want.account)
		}
	}
}

func TestADrainedAccountTakesNoNewItemsAndStaysAProvider(t *testing.T) {
	t.Parallel()
	c := parse(t, strings.Replace(twoAccounts, "naming: none", "drained: true", 1))
	if got, ok := c.Place("vps", "lj-1"); ok {
		t.Errorf("Place of a pair whose account is drained = %q, want none: no other placement takes over", got)
	}
	if got, ok := c.Place("vps", "mb-1"); got != "first" || !ok {
		t.Errorf("Place of another pair = %q, %t; want first", got, ok)
	}
	if c.Providers()["second"] == nil {
		t.Error("a drained account has no provider: its items could not go on")
	}
	paused, err := c.CheckCatalog(shippedProducts(t))
	if diff := cmp.Diff([]string{"vps in lj-1 (account second)"}, paused); diff != "" || err != nil {
		t.Errorf("CheckCatalog, %v (-want +got):\n%s", err, diff)
	}
}

func TestAnAccountsSettingsReachItsAdapter(t *testing.T) {
	t.Parallel()
	c := parse(t, twoAccounts)
	got := map[string]provider.Naming{}
	for name, p := range c.Providers() {
		got[name] = p.Capabilities().Naming
	}
	want := map[string]provider.Naming{"first": provider.NamingUnique409, "second": provider.NamingNone}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("naming by account (-want +got):\n%s", diff)
	}
}

func TestDefaultsFillInWhatTheFileLeavesOut(t *testing.T) {
	t.Parallel()
	text := "accounts:\n  - {name: here, type: sim}\n  - {name: there, type: sim, naming: none}\n"
	d := config.Defaults{Sim: sim.Settings{URL: "http://127.0.0.1:1", Naming: "upsert"}}
	c, err := config.Parse("clouds.yaml", []byte(text), d)
	if err != nil {
		t.Fatalf("Parse = %v", err)
	}
	t.Cleanup(c.Close)
	here, there := c.Providers()["here"].Capabilities().Naming, c.Providers()["there"].Capabilities().Naming
	if here != provider.NamingUpsert || there != provider.NamingNone {
		t.Errorf("naming is %s and %s, want that of the defaults and that of the file", here, there)
	}
}

func TestEveryFaultOfAFileIsReportedAtOnceWithItsLine(t *testing.T) {
	t.Parallel()
	const text = `accounts:
  - name: first
    type: sim
    ulr: http://127.0.0.1:8091
  - name: First
    type: sim
    url: http://127.0.0.1:8091
  - name: third
    type: simm
  - type: sim
    url: http://127.0.0.1:8091
  - name: refund
    type: sim
    url: http://127.0.0.1:8091
  - name: good
    type: sim
    url: https://127.0.0.1:8091
    naming: sometimes
    drained: perhaps
  - name: good
    type: sim
    url: http://127.0.0.1:8091
  - name: fine
    type: sim
    url: http://127.0.0.1:8091
    name: fine
placements:
  - product: vps
    region: lj-1
    account: goood
  - product: vps
    region: lj-1
    account: fine
  - product: vsp
    region: lj-2
    account: fine
  - product: gpu
    account: third
placement: []
`
	_, err := config.Parse("clouds.yaml", []byte(text), config.Defaults{})
	var file *config.FileError
	if !errors.As(err, &file) {
		t.Fatalf("Parse = %v, want a FileError", err)
	}
	want := []config.Fault{
		{Line: 2, Text: "url of account first is required: the address of the simulator, such as http://127.0.0.1:8091"},
		{Line: 4, Text: `account first has no key "ulr"; did you mean url?`},
		{
			Line: 5,
			Text: `the name "First" must have only lower-case letters, digits and single hyphens, at most 40 characters`,
		},
		{Line: 8, Text: `account third has the unknown type "simm"; did you mean sim?`},
		{Line: 10, Text: "an account has no name"},
		{Line: 12, Text: `the name "refund" is reserved for a queue of the engine: choose another`},
		{Line: 17, Text: "url of account good must be of the form http://host:port"},
		{Line: 18, Text: `naming of account good must be none, unique-409 or upsert, not "sometimes"`},
		{Line: 19, Text: "drained of account good must be true or false"},
		{Line: 20, Text: "the account good is already in line 15"},
		{Line: 26, Text: `account fine has "name" twice`},
		{Line: 30, Text: `vps in lj-1 is placed on the unknown account "goood"; did you mean good?`},
		{Line: 31, Text: "vps in lj-1 is already placed in line 28"},
		{Line: 34, Text: `account fine does not build "vsp"; did you mean vps?`},
		{Line: 35, Text: `account fine has no region "lj-2"; did you mean lj-1?`},
		{Line: 37, Text: "a placement has no region"},
		{Line: 39, Text: `the file has no key "placement"; did you mean placements?`},
	}
	if diff := cmp.Diff(want, file.Faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if text := err.Error(); !strings.Contains(text, "17 faults") || !strings.Contains(text, "\n  clouds.yaml:34: ") {
		t.Errorf("the error counts no faults or names no line:\n%s", text)
	}
}

// TestEveryTypeOfAccountIsDocumented holds docs/providers.md to have a section for each type and a row for each key.
func TestEveryTypeOfAccountIsDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := config.TypeKeys()
	if len(keys["sim"]) == 0 {
		t.Fatalf("TypeKeys = %v, want keys of the type sim", keys)
	}
	for name, keys := range keys {
		_, section, found := strings.Cut(string(raw), "\n### Type `"+name+"`\n")
		if !found {
			t.Errorf("docs/providers.md has no section with the heading: ### Type `%s`", name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n##")
		for _, key := range keys {
			if !strings.Contains(section, "\n| `"+key+"` |") {
				t.Errorf("docs/providers.md has no row for the key %s in the section of the type %s", key, name)
			}
		}
	}
}

func TestAFileThatIsNotAConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ text, want string }{
		"nothing":    {"", "names no account"},
		"no account": {"accounts: []\n", "names no account"},
		"no keys":    {"accounts\n", "must be a list of keys"},
		"no list":    {"accounts: {name: first}\n", "accounts must be a list"},
		"no type":    {"accounts:\n  - name: first\n", "account first has no type: it must be one of " + config.TypeNames()},
		"a bare asterisk": {
			twoAccounts + "  - {product: *, region: mb-1, account: first}\n", `an asterisk needs quotes: "*"`,
		},
		"two documents":        {twoAccounts + "---\n" + twoAccounts, "must be one document"},
		"a list for a text":    {"accounts:\n  - {name: a, type: sim, url: [1]}\n", ":2: url of account a must be text"},
		"an account of itself": {"accounts: &a\n  - *a\n", "account has no type"},
	} {
		_, err := config.Parse("clouds.yaml", []byte(c.text), config.Defaults{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Parse = %v, want %q", what, err, c.want)
		}
	}
	_, err := config.Read(filepath.Join(t.TempDir(), "absent.yaml"), config.Defaults{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of an absent file = %v", err)
	}
}

func TestACatalogueThatNoAccountCanBuildIsRefusedWithEveryPair(t *testing.T) {
	t.Parallel()
	c := parse(t, `
accounts:
  - {name: first, type: sim, url: "http://127.0.0.1:1"}
placements:
  - {product: "*", region: lj-1, account: first}
  - {product: "*", region: mb-1, account: first}
`)
	products := append(shippedProducts(t), catalog.Product{ID: "backup", Regions: []string{"lj-1"}})
	_, err := c.CheckCatalog(products)
	if err == nil {
		t.Fatal("CheckCatalog found nothing")
	}
	for _, want := range []string{
		"vps in hetzner-fsn1: no placement names an account for it", "object_storage in hetzner-fsn1: no placement",
		"backup in lj-1: account first does not build backup",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("CheckCatalog does not say %q:\n%v", want, err)
		}
	}
}

func TestACheckOfAnAccountNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	cloud := simtest.Start(t, simtest.Options{})
	c := parse(t, `
accounts:
  - {name: good, type: sim, url: "`+cloud.URL+`"}
  - {name: wrong, type: sim, url: "`+cloud.URL+`", naming: none}
  - {name: away, type: sim, url: "http://127.0.0.1:1"}
placements:
  - {product: "*", region: "*", account: good}
  - {product: gpu, region: hetzner-fsn1, account: wrong}
`)
	found, err := c.Check(t.Context(), "good")
	if err != nil || len(found.Missing) != 0 || len(found.Regions) != 3 {
		t.Errorf("Check(good) = %+v, %v; want three regions and nothing missing", found, err)
	}
	found, err = c.Check(t.Context(), "wrong")
	want := []string{
		"the simulator runs with naming unique-409, the account is configured with none: make them equal",
		"gpu in hetzner-fsn1 is placed on the account, which does not offer it",
	}
	if diff := cmp.Diff(want, found.Missing); diff != "" || err != nil {
		t.Errorf("Check(wrong), %v (-want +got):\n%s", err, diff)
	}
	if _, err := c.Check(t.Context(), "away"); provider.AsError(err) == nil {
		t.Errorf("Check(away) = %v, want a provider's error", err)
	}
	if _, err := c.Check(t.Context(), "god"); err == nil || !strings.Contains(err.Error(), "did you mean good?") {
		t.Errorf("Check(god) = %v, want the nearest name", err)
	}
	if n := len(cloud.Live()); n != 0 {
		t.Errorf("the checks made %d resources", n)
	}
}
