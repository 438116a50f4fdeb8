package catalog_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
)

// codes returns each fault as "pointer code", short enough for a table.
func codes(faults []fault.Violation) []string {
	short := []string{}
	for _, f := range faults {
		short = append(short, f.Pointer+" "+f.Code)
	}
	return short
}

// configured returns the default selection of a product with another configuration.
func configured(t *testing.T, c *catalog.Catalog, product, configuration string) catalog.Selection {
	t.Helper()
	p, ok := c.Product(product)
	if !ok {
		t.Fatalf("no product %s", product)
	}
	sel := p.Default
	sel.Configuration = json.RawMessage(configuration)
	return sel
}

func TestEachLimitIsInsideAndOneBeyondIsAFault(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, l := range []struct {
		product, template, pointer string
		low, high                  int
	}{
		{"kubernetes", `{"workers":%d,"storage_gb":100}`, "/configuration/workers", 3, 50},
		{"kubernetes", `{"workers":3,"storage_gb":%d}`, "/configuration/storage_gb", 10, 20000},
		{"database", `{"storage_gb":%d}`, "/configuration/storage_gb", 20, 2000},
		{"gpu", `{"gpu_type":"a100","nodes":%d,"storage_gb":100}`, "/configuration/nodes", 1, 8},
		{"gpu", `{"gpu_type":"a100","nodes":1,"storage_gb":%d}`, "/configuration/storage_gb", 100, 50000},
		{"private_cloud", `{"cluster_size":"small","nodes":%d,"storage_tb":5}`, "/configuration/nodes", 3, 20},
		{"private_cloud", `{"cluster_size":"small","nodes":3,"storage_tb":%d}`, "/configuration/storage_tb", 5, 500},
		{"object_storage", `{"capacity_tb":%d}`, "/configuration/capacity_tb", 1, 1000},
		{
			"kubernetes", `{"workers":3,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":%d,"max_workers":50}}`,
			"/configuration/autoscaling/min_workers", 3, 3,
		},
		{
			"kubernetes", `{"workers":50,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":3,"max_workers":%d}}`,
			"/configuration/autoscaling/max_workers", 50, 50,
		},
	} {
		for value, want := range map[int][]string{
			l.low: {}, l.high: {},
			l.low - 1: {l.pointer + " below-minimum"}, l.high + 1: {l.pointer + " above-maximum"},
		} {
			sel := configured(t, c, l.product, fmt.Sprintf(l.template, value))
			got := codes(c.Check(sel, ""))
			// At least 4 workers is within 3–50, but only 3 are ordered; at most 49 is too, but 50 are ordered.
			if strings.Contains(l.pointer, "autoscaling") && (value == 4 || value == 49) {
				want = []string{l.pointer + " inconsistent-members"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", sel.Configuration, diff)
			}
		}
	}
}

func TestConfigurationFaultsHaveTheirCodeAndPointer(t *testing.T) {
	t.Parallel()
	c := load(t)
	const key = `"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGyS6Qq3QnJQ0nq4Yt6s0r0p2cM2bYlqkT5v1xWc9Zab`
	for _, k := range []struct {
		product, configuration string
		want                   []string
	}{
		{"vps", `{"os_image":"debian-12","ssh_public_keys":[` + key + ` me@home"]}`, nil},
		{"vps", ``, []string{"/configuration/os_image required"}},
		{"vps", `{}`, []string{"/configuration/os_image required"}},
		{"vps", `null`, []string{"/configuration wrong-type"}},
		{"vps", `[]`, []string{"/configuration wrong-type"}},
		{"vps", `"debian-12"`, []string{"/configuration wrong-type"}},
		{"vps", `1.5`, []string{"/configuration wrong-type"}},
		{"vps", `{"os_image":"windows-95"}`, []string{"/configuration/os_image value-not-offered"}},
		{"vps", `{"os_image":"Debian-12"}`, []string{"/configuration/os_image value-not-offered"}},
		{"vps", `{"os_image":null}`, []string{"/configuration/os_image wrong-type"}},
		{"vps", `{"os_image":7}`, []string{"/configuration/os_image wrong-type"}},
		{"vps", `{"os_image":7.5}`, []string{"/configuration/os_image wrong-type"}},
		{"vps", `{"OS_image":"debian-12"}`, []string{
			"/configuration/OS_image unknown-member",
			"/configuration/os_image required",
		}},
		{"vps", `{"os_image":"debian-12","a/b~c":1e9}`, []string{"/configuration/a~1b~0c unknown-member"}},
		{"vps", `{"os_image":"debian-12","":{"x":1.5}}`, []string{"/configuration/ unknown-member"}},
		{"vps", `{"os_image":"debian-12","ssh_public_keys":"x"}`, []string{"/configuration/ssh_public_keys wrong-type"}},
		{
			"vps", `{"os_image":"debian-12","ssh_public_keys":["x",1]}`,
			[]string{"/configuration/ssh_public_keys/0 wrong-format", "/configuration/ssh_public_keys/1 wrong-type"},
		},
		{
			"vps", `{"os_image":"debian-12","ssh_public_keys":[` + key + `\ncommand=x"]}`,
			[]string{"/configuration/ssh_public_keys/0 wrong-format"},
		},
		{
			"vps", `{"os_image":"debian-12","ssh_public_keys":[` + key + `",` + key + `"]}`,
			[]string{"/configuration/ssh_public_keys/1 duplicate-value"},
		},
		{
			"vps", `{"os_image":"debian-12","ssh_public_keys":[` + key + strings.Repeat("A", 4096) + `"]}`,
			[]string{"/configuration/ssh_public_keys/0 too-long"},
		},
		{
			"vps", `{"os_image":"debian-12","ssh_public_keys":[` + manyKeys(11) + `]}`,
			[]string{"/configuration/ssh_public_keys too-many"},
		},
		{"vps", `{"os_image":"debian-12","ssh_public_keys":[` + manyKeys(10) + `]}`, nil},

		{"database", `{"storage_gb":100.0}`, []string{"/configuration/storage_gb not-an-integer"}},
		{"database", `{"storage_gb":1e2}`, []string{"/configuration/storage_gb not-an-integer"}},
		{"database", `{"storage_gb":1E999999999}`, []string{"/configuration/storage_gb not-an-integer"}},
		{"database", `{"storage_gb":-0}`, []string{"/configuration/storage_gb not-an-integer"}},
		{"database", `{"storage_gb":99.5}`, []string{"/configuration/storage_gb not-an-integer"}},
		{"database", `{"storage_gb":-1}`, []string{"/configuration/storage_gb below-minimum"}},
		{"database", `{"storage_gb":` + strings.Repeat("9", 400) + `}`, []string{"/configuration/storage_gb above-maximum"}},
		// 2⁶⁴ + 20: narrowed to 64 bits it would be 20
		{"database", `{"storage_gb":18446744073709551636}`, []string{"/configuration/storage_gb above-maximum"}},
		{"database", `{"storage_gb":"100"}`, []string{"/configuration/storage_gb wrong-type"}},
		{"database", `{"storage_gb":true}`, []string{"/configuration/storage_gb wrong-type"}},
		{"database", `{"storage_gb":100,"high_availability":"yes"}`, []string{"/configuration/high_availability wrong-type"}},
		{"database", `{"storage_gb":100,"engine":"postgresql-15"}`, []string{"/configuration/engine value-not-offered"}},

		{"database", `{"storage_gb":100,"storage_gb":200}`, []string{"/configuration malformed-configuration"}},
		{"database", `{"storage_gb":100} {}`, []string{"/configuration malformed-configuration"}},
		{"database", `{"storage_gb":100,}`, []string{"/configuration malformed-configuration"}},
		{"database", `{"storage_gb":`, []string{"/configuration malformed-configuration"}},
		{"database", "{\"engine\":\"\xff\"}", []string{"/configuration malformed-configuration"}},
		{"database", `{"engine":"postgresql-16\u0000","storage_gb":20}`, []string{"/configuration malformed-configuration"}},
		{
			"database", strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
			[]string{"/configuration malformed-configuration"},
		},

		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{}}`,
			[]string{"/configuration/autoscaling/enabled required"},
		},
		{"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":false}}`, nil},
		{"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":false,"min_workers":9}}`, nil},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":true}}`,
			[]string{"/configuration/autoscaling/max_workers required", "/configuration/autoscaling/min_workers required"},
		},
		{"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":4,"max_workers":4}}`, nil},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":5,"max_workers":3}}`,
			[]string{
				"/configuration/autoscaling/max_workers inconsistent-members",
				"/configuration/autoscaling/min_workers inconsistent-members",
			},
		},
		{
			"kubernetes", `{"workers":2,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":3,"max_workers":50}}`,
			[]string{"/configuration/workers below-minimum"},
		},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":2,"max_workers":51}}`,
			[]string{
				"/configuration/autoscaling/max_workers above-maximum",
				"/configuration/autoscaling/min_workers below-minimum",
			},
		},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":3.0,"max_workers":4}}`,
			[]string{"/configuration/autoscaling/min_workers not-an-integer"},
		},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":null}`,
			[]string{"/configuration/autoscaling wrong-type"},
		},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":3,"max_workers":9,"x":1}}`,
			[]string{"/configuration/autoscaling/x unknown-member"},
		},
		{
			"kubernetes", `{"workers":4,"storage_gb":100,"storage_class":"slow"}`,
			[]string{"/configuration/storage_class value-not-offered"},
		},
		{
			"gpu", `{"gpu_type":"v100","nodes":1,"storage_gb":100,"framework":"caffe"}`,
			[]string{"/configuration/framework value-not-offered", "/configuration/gpu_type value-not-offered"},
		},
		{"private_cloud", `{}`, []string{
			"/configuration/cluster_size required", "/configuration/nodes required",
			"/configuration/storage_tb required",
		}},
		{
			"object_storage", `{"capacity_tb":1,"replication":"triple"}`,
			[]string{"/configuration/replication value-not-offered"},
		},
	} {
		want := k.want
		if want == nil {
			want = []string{}
		}
		if diff := cmp.Diff(want, codes(c.Check(configured(t, c, k.product, k.configuration), ""))); diff != "" {
			t.Errorf("%s %.100s (-want +got):\n%s", k.product, k.configuration, diff)
		}
	}
}

func manyKeys(n int) string {
	keys := []string{}
	for i := range n {
		keys = append(keys, fmt.Sprintf(`"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGyS6Qq3QnJQ0nq4Yt6s0r0p2cM2bYlqkT5v1xWc9Za%d"`,
			i))
	}
	return strings.Join(keys, ",")
}

func TestAllFaultsOfASelectionComeAtOnceWithWhatWouldBeAccepted(t *testing.T) {
	t.Parallel()
	got := load(t).Check(catalog.Selection{
		Product: "kubernetes", Plan: "core", Region: "hetzner-fsn1", Cycle: "weekly",
		Label:         strings.Repeat("x", 63) + "\u202e",
		Configuration: json.RawMessage(`{"workers":2,"storage_gb":100.0,"storage_class":"slow","nodes":1}`),
	}, "/items/7")
	want := []fault.Violation{
		{Pointer: "/items/7/plan", Code: "plan-not-offered", Message: "This product has no plans: leave the plan out."},
		{
			Pointer: "/items/7/region", Code: "region-not-offered", Message: "Region must be one of: lj-1, mb-1.",
			Allowed: []any{"lj-1", "mb-1"},
		},
		{
			Pointer: "/items/7/billing_cycle", Code: "billing-cycle-not-offered",
			Message: "Billing cycle must be one of: monthly, annual.", Allowed: []any{"monthly", "annual"},
		},
		{Pointer: "/items/7/label", Code: "too-long", Message: "Label must have at most 63 characters."},
		{
			Pointer: "/items/7/label", Code: "forbidden-characters",
			Message: "Label must not contain control or text direction characters.",
		},
		{
			Pointer: "/items/7/configuration/nodes", Code: "unknown-member",
			Message: "This member is not part of the product's configuration.", Allowed: []any{
				"workers", "storage_gb",
				"storage_class", "autoscaling",
			},
		},
		{
			Pointer: "/items/7/configuration/storage_class", Code: "value-not-offered",
			Message: "Storage class must be one of: standard, fast.", Allowed: []any{"standard", "fast"},
		},
		{
			Pointer: "/items/7/configuration/storage_gb", Code: "not-an-integer",
			Message: "Storage must be a whole number, written without point and exponent.",
			Allowed: []any{int64(10), int64(20000)},
		},
		{
			Pointer: "/items/7/configuration/workers", Code: "below-minimum", Message: "Workers must be at least 3.",
			Allowed: []any{int64(3), int64(50)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

func TestRulesSayWhichMembersContradictEachOther(t *testing.T) {
	t.Parallel()
	c := load(t)
	got := c.Check(configured(t, c, "kubernetes",
		`{"workers":5,"storage_gb":100,"autoscaling":{"enabled":true,"min_workers":6}}`), "/items/0")
	want := []fault.Violation{
		{
			Pointer: "/items/0/configuration/autoscaling/max_workers", Code: "required",
			Message: `Most workers is missing: it is required when "Autoscaling" is on.`, Allowed: []any{int64(3), int64(50)},
		},
		{
			Pointer: "/items/0/configuration/autoscaling/min_workers", Code: "inconsistent-members",
			Message: `Fewest workers must not be above "Workers", which is 5.`, Allowed: []any{int64(3), int64(5)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

func TestWithoutAProductOnlyTheLabelIsCheckedAsWell(t *testing.T) {
	t.Parallel()
	c := load(t)
	products := []any{"vps", "kubernetes", "database", "gpu", "private_cloud", "object_storage"}
	want := []fault.Violation{
		{
			Pointer: "/items/0/product", Code: "product-unknown",
			Message: "Product must be one of: vps, kubernetes, database, gpu, private_cloud, object_storage.",
			Allowed: products,
		},
		{
			Pointer: "/items/0/label", Code: "forbidden-characters",
			Message: "Label must not contain control or text direction characters.",
		},
	}
	if diff := cmp.Diff(want, c.Check(catalog.Selection{Product: "mainframe", Label: "a\tb"}, "/items/0")); diff != "" {
		t.Errorf("unknown product (-want +got):\n%s", diff)
	}
	missing := []fault.Violation{
		{Pointer: "/product", Code: "required", Message: "Product is missing.", Allowed: products},
	}
	if diff := cmp.Diff(missing, c.Check(catalog.Selection{}, "")); diff != "" {
		t.Errorf("no product (-want +got):\n%s", diff)
	}
}

func TestPlanRegionAndCycleAreRequiredAndMustBeOffered(t *testing.T) {
	t.Parallel()
	c := load(t)
	base := configured(t, c, "database", `{"storage_gb":20}`)
	for _, k := range []struct {
		change func(*catalog.Selection)
		want   []string
	}{
		{func(*catalog.Selection) {}, []string{}},
		{func(s *catalog.Selection) { s.Plan = "" }, []string{"/plan required"}},
		{func(s *catalog.Selection) { s.Plan = "Starter" }, []string{"/plan plan-not-offered"}},
		{func(s *catalog.Selection) { s.Region = "" }, []string{"/region required"}},
		{func(s *catalog.Selection) { s.Region = "hetzner-fsn1" }, []string{"/region region-not-offered"}},
		{func(s *catalog.Selection) { s.Region = "mars-1" }, []string{"/region region-not-offered"}},
		{func(s *catalog.Selection) { s.Cycle = "" }, []string{"/billing_cycle required"}},
		{func(s *catalog.Selection) { s.Cycle = "Annual" }, []string{"/billing_cycle billing-cycle-not-offered"}},
	} {
		sel := base
		k.change(&sel)
		if diff := cmp.Diff(k.want, codes(c.Check(sel, ""))); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", sel, diff)
		}
	}
}

func TestOnlyVPSAndObjectStorageAreSoldInFalkenstein(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for _, p := range load(t).Products() {
		got[p.ID] = p.Regions
	}
	ours, all := []string{"lj-1", "mb-1"}, []string{"lj-1", "mb-1", "hetzner-fsn1"}
	want := map[string][]string{
		"vps": all, "object_storage": all, "kubernetes": ours, "database": ours, "gpu": ours, "private_cloud": ours,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("regions (-want +got):\n%s", diff)
	}
}

func TestLabelsAreAnyVisibleTextUpTo63Characters(t *testing.T) {
	t.Parallel()
	c := load(t)
	sel := configured(t, c, "database", `{"storage_gb":20}`)
	for label, want := range map[string][]string{
		"": {}, "web-1": {}, "Čistilnica šč ž 日本": {}, strings.Repeat("ž", 63): {}, "👩\u200d💻": {}, "<script>": {},
		strings.Repeat("ž", 64): {"/label too-long"},
		"a\nb":                  {"/label forbidden-characters"},
		"a\x00":                 {"/label forbidden-characters"},
		"\x7f":                  {"/label forbidden-characters"},
		"\u0085":                {"/label forbidden-characters"},
		"\u2028":                {"/label forbidden-characters"},
		"\u200f":                {"/label forbidden-characters"},
		"\u202e":                {"/label forbidden-characters"},
		"\u2066":                {"/label forbidden-characters"},
		"\u061c":                {"/label forbidden-characters"},
		"\ufeff":                {"/label forbidden-characters"},
		"\xff":                  {"/label forbidden-characters"},
	} {
		sel.Label = label
		if diff := cmp.Diff(want, codes(c.Check(sel, ""))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", label, diff)
		}
	}
}

func TestCheckNeitherChangesItsInputNorTheCatalogue(t *testing.T) {
	t.Parallel()
	c := load(t)
	raw := json.RawMessage(`{"workers":3,"storage_gb":10}`)
	for range 3 {
		p, err := c.Price(configured(t, c, "kubernetes", string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"autoscaling":{"enabled":false},"storage_class":"standard","storage_gb":10,"workers":3}`
		if string(p.Configuration) != want {
			t.Errorf("configuration %s, want %s", p.Configuration, want)
		}
		clear(p.Configuration) // a shared default that this changes would show in the next round
	}
	if string(raw) != `{"workers":3,"storage_gb":10}` {
		t.Errorf("the input became %s", raw)
	}
}

func TestPricingACanonicalConfigurationAgainGivesTheSame(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, product := range c.Products() {
		first, err := c.Price(product.Default)
		if err != nil {
			t.Fatal(err)
		}
		sel := product.Default
		sel.Configuration = first.Configuration
		second, err := c.Price(sel)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("%s (-first +second):\n%s", product.ID, diff)
		}
	}
}

func TestAFloodOfFaultsIsAnsweredShortlyAndAtOnce(t *testing.T) {
	t.Parallel()
	c := load(t)
	var members []string
	for i := range 5000 {
		members = append(members, fmt.Sprintf(`"m%04d":1.5`, i))
	}
	got := c.Check(configured(t, c, "vps", `{`+strings.Join(members, ",")+`}`), "")
	if len(got) != 100 || got[0].Pointer != "/configuration/m0000" || got[99].Pointer != "/configuration/m0099" {
		t.Errorf("%d faults, the first %s", len(got), got[0].Pointer)
	}
	list := `{"os_image":"debian-12","ssh_public_keys":[` + strings.Repeat("1.5,", 15000) + `1.5]}`
	want := []string{"/configuration/ssh_public_keys too-many"}
	if diff := cmp.Diff(want, codes(c.Check(configured(t, c, "vps", list), ""))); diff != "" {
		t.Errorf("a long list (-want +got):\n%s", diff)
	}
}

func TestCodesAreDistinctAndKebabCase(t *testing.T) {
	t.Parallel()
	all := catalog.Codes()
	sorted := slices.Compact(slices.Sorted(slices.Values(all)))
	if len(sorted) != len(all) {
		t.Errorf("a code is listed twice in %v", all)
	}
	for _, code := range all {
		if strings.Trim(code, "abcdefghijklmnopqrstuvwxyz-") != "" {
			t.Errorf("code %q is not kebab-case", code)
		}
	}
}
