package catalog_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
)

// change returns a new version of an entry of the built-in catalogue, with its body edited.
func change(t testing.TB, entry string, version int, from time.Time, edit func(body map[string]any)) catalog.Entry {
	t.Helper()
	for _, e := range catalog.Default() {
		if e.Name != entry {
			continue
		}
		var body map[string]any
		if err := json.Unmarshal(e.Body, &body); err != nil {
			t.Fatal(err)
		}
		edit(body)
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return catalog.Entry{Name: entry, Version: version, ValidFrom: from, Body: raw}
	}
	t.Fatalf("no entry %s", entry)
	return catalog.Entry{}
}

// inside returns the object at a path of keys and positions in a body.
func inside(v any, path ...any) map[string]any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v.(map[string]any)
}

func TestProductsShowDeadlinesWaitsAndLowestPrices(t *testing.T) {
	t.Parallel()
	type shown struct {
		Title          string
		Deadline, Wait time.Duration
		From           money.Cents
		Plans          int
		Default        string
	}
	got, order := map[string]shown{}, []string{}
	for _, p := range load(t).Products() {
		order = append(order, p.ID)
		got[p.ID] = shown{p.Title, p.Deadline, p.CapacityWait, p.From, len(p.Plans), string(p.Default.Configuration)}
	}
	half := 30 * time.Minute
	want := map[string]shown{
		"vps": {
			"Virtual server", 10 * time.Minute, half, 10_00, 3,
			`{"os_image":"ubuntu-24.04","ssh_public_keys":[]}`,
		},
		"kubernetes": {
			"Kubernetes", 45 * time.Minute, half, 455_00, 0,
			`{"autoscaling":{"enabled":false},"storage_class":"standard","storage_gb":100,"workers":3}`,
		},
		"database": {
			"Managed database", 20 * time.Minute, half, 50_00, 2,
			`{"engine":"postgresql-16","high_availability":false,"storage_gb":50}`,
		},
		"gpu": {
			"AI/ML GPU", 30 * time.Minute, half, 1250_00, 0,
			`{"framework":"pytorch","gpu_type":"a100","nodes":1,"ssh_public_keys":[],"storage_gb":500}`,
		},
		"private_cloud": {
			"Private cloud", 5 * 24 * time.Hour, half, 1750_00, 0,
			`{"cluster_size":"small","nodes":3,"storage_tb":5}`,
		},
		"object_storage": {"Object storage", 5 * time.Minute, half, 10_00, 2, `{"capacity_tb":1,"replication":"single"}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("products (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"vps", "kubernetes", "database", "gpu", "private_cloud", "object_storage"},
		order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestPriceListNamesEveryUnitPrice(t *testing.T) {
	t.Parallel()
	c := load(t)
	for id, want := range map[string][]catalog.Price{
		"gpu": {
			{"nodes", "GPU nodes", "a100", "node", 1200_00},
			{"nodes", "GPU nodes", "h100", "node", 2400_00},
			{"storage", "Block storage", "", "GB", 50},
		},
		"database": {{"plan", "Database server", "starter", "server", 40_00}, {
			"plan", "Database server", "production",
			"server", 120_00,
		}, {"storage", "Block storage", "", "GB", 50}},
	} {
		p, ok := c.Product(id)
		if !ok {
			t.Fatalf("no product %s", id)
		}
		if diff := cmp.Diff(want, p.Prices); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

func TestEveryVPSPlanNamesItsDisk(t *testing.T) {
	t.Parallel()
	p, _ := load(t).Product("vps")
	for _, plan := range p.Plans {
		if plan.Included["vcpu"] < 1 || plan.Included["ram_gb"] < 1 || plan.Included["disk_gb"] < 1 {
			t.Errorf("plan %s includes %v", plan.ID, plan.Included)
		}
	}
}

func TestUnknownProductIsNotThere(t *testing.T) {
	t.Parallel()
	if p, ok := load(t).Product("mainframe"); ok || p.ID != "" {
		t.Errorf("Product(mainframe) = %v, %t", p, ok)
	}
	if _, ok := load(t).Product("block-storage"); ok {
		t.Error("a shared price is sold as a product")
	}
}

func TestTheNewestValidVersionCounts(t *testing.T) {
	t.Parallel()
	june, july := noon(), noon().AddDate(0, 1, 0)
	price := func(version int, from time.Time, price string) catalog.Entry {
		return change(t, "vps", version, from, func(b map[string]any) { inside(b, "plans", 0)["price"] = price })
	}
	entries := append(catalog.Default(), price(2, july, "11.00"), price(3, july, "12.00"),
		price(4, july.AddDate(1, 0, 0), "13.00"))
	for _, k := range []struct {
		at      time.Time
		version int
		from    money.Cents
	}{
		{june, 1, 10_00}, {july.Add(-time.Nanosecond), 1, 10_00}, {july, 3, 12_00}, {july.AddDate(2, 0, 0), 4, 13_00},
	} {
		c, err := catalog.Load(entries, k.at)
		if err != nil {
			t.Fatalf("Load at %s: %v", k.at, err)
		}
		p, _ := c.Product("vps")
		if p.CatalogVersion != k.version || p.From != k.from {
			t.Errorf("at %s: version %d from %d, want version %d from %d", k.at, p.CatalogVersion, p.From, k.version, k.from)
		}
	}
}

func TestNothingIsSoldBeforeItIsValid(t *testing.T) {
	t.Parallel()
	c, err := catalog.Load(catalog.Default(), time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC))
	if err != nil || len(c.Products()) != 0 {
		t.Errorf("Load = %d products, %v", len(c.Products()), err)
	}
}

func TestANewStoragePriceReachesEveryProductThatNamesIt(t *testing.T) {
	t.Parallel()
	entries := append(catalog.Default(), change(t, "block-storage", 2, noon(), func(b map[string]any) {
		b["unit_price"] = "0.60"
	}))
	c, err := catalog.Load(entries, noon())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]money.Cents{}
	for _, p := range c.Products() {
		priced, err := c.Price(p.Default)
		if err != nil {
			t.Fatal(err)
		}
		got[p.ID] = priced.Monthly
	}
	// 100, 50 and 500 GB cost ten cents more each; the other prices are unchanged.
	want := map[string]money.Cents{
		"vps": 20_10, "kubernetes": 510_00, "database": 70_00, "gpu": 1500_00, "private_cloud": 1750_00,
		"object_storage": 20_00,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("prices (-want +got):\n%s", diff)
	}
}

func TestAProductWithOneCycleRefusesTheOther(t *testing.T) {
	t.Parallel()
	entries := append(catalog.Default(), change(t, "vps", 2, noon(), func(b map[string]any) {
		b["cycles"] = []string{"monthly"}
	}))
	c, err := catalog.Load(entries, noon())
	if err != nil {
		t.Fatal(err)
	}
	sel := configured(t, c, "vps", `{"os_image":"debian-12"}`)
	sel.Cycle = catalog.Annual
	if diff := cmp.Diff([]string{"/billing_cycle billing-cycle-not-offered"}, codes(c.Check(sel, ""))); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

func TestShortTextsAndListsAreFaultsToo(t *testing.T) {
	t.Parallel()
	entries := append(catalog.Default(), change(t, "vps", 2, noon(), func(b map[string]any) {
		properties := inside(b, "configuration", "properties")
		properties["host_name"] = map[string]any{
			"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]*$",
			"x-ui": map[string]any{"label": "Host name", "order": 90, "widget": "select"},
		}
		properties["groups"] = map[string]any{
			"type": "array", "minItems": 2, "maxItems": 3,
			"items": map[string]any{"type": "integer", "minimum": 1, "maximum": 9},
			"x-ui":  map[string]any{"label": "Groups", "order": 91, "widget": "keys"},
		}
	}))
	c, err := catalog.Load(entries, noon())
	if err != nil {
		t.Fatal(err)
	}
	got := c.Check(configured(t, c, "vps", `{"os_image":"debian-12","host_name":"A","groups":[10]}`), "")
	want := []fault.Violation{
		{Pointer: "/configuration/groups", Code: "too-few", Message: "Groups must have at least 2 entries."},
		{
			Pointer: "/configuration/groups/0", Code: "above-maximum", Message: "Groups, entry 1 must be at most 9.",
			Allowed: []any{int64(1), int64(9)},
		},
		{Pointer: "/configuration/host_name", Code: "too-short", Message: "Host name must have at least 2 characters."},
		{
			Pointer: "/configuration/host_name", Code: "wrong-format",
			Message: "Host name does not have the required format.",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
	sel := configured(t, c, "vps", `{"os_image":"debian-12","host_name":"žžžžž","groups":[1,1.0,2,3]}`)
	wantCodes := []string{"/configuration/groups too-many", "/configuration/host_name wrong-format"}
	if diff := cmp.Diff(wantCodes, codes(c.Check(sel, ""))); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

func TestLoadNamesTheEntryAndItsFault(t *testing.T) {
	t.Parallel()
	configuration := func(edit func(schema map[string]any)) func(map[string]any) {
		return func(b map[string]any) { edit(inside(b, "configuration")) }
	}
	property := func(name string, edit func(p map[string]any)) func(map[string]any) {
		return func(b map[string]any) { edit(inside(b, "configuration", "properties", name)) }
	}
	for _, k := range []struct {
		entry, want string
		edit        func(map[string]any)
	}{
		{"vps", "unknown member /colour", func(b map[string]any) { b["colour"] = "red" }},
		{"vps", "unknown member /Plans", func(b map[string]any) { b["Plans"] = b["plans"]; delete(b, "plans") }},
		{"vps", "unknown member /plans/0/prize", func(b map[string]any) { inside(b, "plans", 0)["prize"] = "1.00" }},
		{"vps", `kind "bundle" is neither`, func(b map[string]any) { b["kind"] = "bundle" }},
		{"vps", "title and description", func(b map[string]any) { b["title"] = "" }},
		{"vps", "formula_version", func(b map[string]any) { b["formula_version"] = 0 }},
		{"vps", "deadline_minutes", func(b map[string]any) { b["deadline_minutes"] = 0 }},
		{"vps", "deadline_minutes", func(b map[string]any) { b["deadline_minutes"] = 43201 }},
		{"vps", "capacity_wait_minutes", func(b map[string]any) { delete(b, "capacity_wait_minutes") }},
		{"vps", "at least one region", func(b map[string]any) { b["regions"] = []string{} }},
		{"vps", "region lj-1 is listed twice", func(b map[string]any) { b["regions"] = []string{"lj-1", "lj-1"} }},
		{"vps", `region "LJ 1"`, func(b map[string]any) { b["regions"] = []string{"LJ 1"} }},
		{"vps", "at least one cycle", func(b map[string]any) { b["cycles"] = nil }},
		{"vps", `cycle "weekly"`, func(b map[string]any) { b["cycles"] = []string{"weekly"} }},
		{"vps", "plan core is listed twice", func(b map[string]any) { inside(b, "plans", 1)["id"] = "core" }},
		{"vps", "plan core has no title", func(b map[string]any) { inside(b, "plans", 0)["title"] = "" }},
		{"vps", `plan core: price "10.001"`, func(b map[string]any) { inside(b, "plans", 0)["price"] = "10.001" }},
		{"vps", "never negative", func(b map[string]any) { inside(b, "plans", 0)["price"] = "-10.00" }},
		{"vps", "above the bound of 10000000.00", func(b map[string]any) { inside(b, "plans", 0)["price"] = "10000000.01" }},
		{"vps", "at least one price component", func(b map[string]any) { b["components"] = []any{} }},
		{"vps", "at least one sample", func(b map[string]any) { b["samples"] = []any{} }},
		{"vps", "title and unit", func(b map[string]any) { inside(b, "components", 0)["unit"] = "" }},
		{"vps", "exactly one of", func(b map[string]any) { inside(b, "components", 0)["unit_price"] = "1.00" }},
		{"vps", "exactly one of", func(b map[string]any) { delete(inside(b, "components", 0), "unit_price_of") }},
		{"vps", "unit_price_of must be", func(b map[string]any) { inside(b, "components", 0)["unit_price_of"] = "region" }},
		{"vps", "default selection is refused: /plan plan-not-offered", func(b map[string]any) {
			inside(b, "default")["plan"] = "tiny"
		}},
		{"vps", "default selection is refused: /region region-not-offered", func(b map[string]any) {
			inside(b, "default")["region"] = "mars-1"
		}},
		{"kubernetes", "unit_price_of must be", func(b map[string]any) {
			inside(b, "components", 0)["unit_price_of"] = "plan"
			delete(inside(b, "components", 0), "unit_price")
		}},
		{"kubernetes", "no price entry tape", func(b map[string]any) {
			inside(b, "components", 1)["unit_price_from"] = "tape"
		}},
		{"kubernetes", "/nodes is not in the configuration", func(b map[string]any) {
			inside(b, "components", 0)["quantity"] = "/nodes"
		}},
		{"kubernetes", `"workers" is not a JSON pointer`, func(b map[string]any) {
			inside(b, "components", 0)["quantity"] = "workers"
		}},
		{"kubernetes", "/storage_class is not an integer", func(b map[string]any) {
			inside(b, "components", 0)["quantity"] = "/storage_class"
		}},
		{"kubernetes", "may be left out", func(b map[string]any) {
			inside(b, "components", 0)["quantity"] = "/autoscaling/min_workers"
		}},
		{"kubernetes", "rule 2: ", func(b map[string]any) { inside(b, "rules", 2)["rule"] = "about" }},
		{"kubernetes", "rule 2: ", func(b map[string]any) { inside(b, "rules", 2)["other"] = "/storage_class" }},
		{"kubernetes", "rule 2: ", func(b map[string]any) { inside(b, "rules", 2)["when"] = "/workers" }},
		{"kubernetes", "rule 2: ", func(b map[string]any) { inside(b, "rules", 2)["member"] = "/nodes" }},
		{"kubernetes", `rule 2: "workers" is not a JSON pointer`, func(b map[string]any) {
			inside(b, "rules", 2)["other"] = "workers"
		}},
		{"kubernetes", "rule 0: ", func(b map[string]any) { delete(inside(b, "rules", 0), "member") }},
		{"kubernetes", "rule 0: ", func(b map[string]any) { inside(b, "rules", 0)["other"] = "/workers" }},
		{"kubernetes", "rule 0: ", func(b map[string]any) { delete(inside(b, "rules", 0), "when") }},
		{"gpu", "exactly one price for each value", func(b map[string]any) {
			delete(inside(b, "components", 0, "unit_price_by", "prices"), "h100")
		}},
		{"gpu", "exactly one price for each value", func(b map[string]any) {
			inside(b, "components", 0, "unit_price_by", "prices")["b200"] = "1.00"
		}},
		{"gpu", `price "2.4k"`, func(b map[string]any) {
			inside(b, "components", 0, "unit_price_by", "prices")["h100"] = "2.4k"
		}},
		{"gpu", "not in the configuration", func(b map[string]any) {
			inside(b, "components", 0, "unit_price_by")["member"] = "/type"
		}},
		{"database", "a switch and a factor", func(b map[string]any) { inside(b, "components", 0, "times")["factor"] = 0 }},
		{"database", "a switch and a factor", func(b map[string]any) {
			inside(b, "components", 0, "times")["when"] = "/engine"
		}},
		{"database", "times: /ha is not", func(b map[string]any) { inside(b, "components", 0, "times")["when"] = "/ha" }},
		{"database", "may be left out", property("high_availability", func(p map[string]any) { delete(p, "default") })},

		{"database", "$schema must be", configuration(func(s map[string]any) { delete(s, "$schema") })},
		{"database", "$schema must be", configuration(func(s map[string]any) {
			s["$schema"] = "http://json-schema.org/draft-07/schema#"
		})},
		{"database", "a configuration is an object", configuration(func(s map[string]any) { s["type"] = "array" })},
		{"database", "additionalProperties false", configuration(func(s map[string]any) {
			delete(s, "additionalProperties")
		})},
		{"database", "required member ram is not", configuration(func(s map[string]any) { s["required"] = []string{"ram"} })},
		{"database", "unknown member /anyOf", configuration(func(s map[string]any) { s["anyOf"] = []any{} })},
		{"database", "unknown member /properties/engine/$ref", property("engine", func(p map[string]any) {
			p["$ref"] = "file:///etc/passwd"
		})},
		{"database", "unknown member /properties/storage_gb/MINIMUM", property("storage_gb", func(p map[string]any) {
			p["MINIMUM"] = 1
		})},
		{"database", `type "number"`, property("storage_gb", func(p map[string]any) { p["type"] = "number" })},
		{"database", "an integer needs", property("storage_gb", func(p map[string]any) { delete(p, "maximum") })},
		{"database", "an integer needs", property("storage_gb", func(p map[string]any) { p["minimum"] = -1 })},
		{"database", "an integer needs", property("storage_gb", func(p map[string]any) { p["minimum"] = 2001 })},
		{"database", "an integer needs", property("storage_gb", func(p map[string]any) { p["maximum"] = 1_000_000_001 })},
		{"database", "above the bound", property("storage_gb", func(p map[string]any) { p["maximum"] = 1_000_000_000 })},
		{"database", "needs x-ui with a label", property("storage_gb", func(p map[string]any) { delete(p, "x-ui") })},
		{"database", `widget "knob"`, property("storage_gb", func(p map[string]any) {
			inside(p, "x-ui")["widget"] = "knob"
		})},
		{"database", "x-ui order 20 is used by engine", property("engine", func(p map[string]any) {
			inside(p, "x-ui")["order"] = 20
		})},
		{"database", "needs an x-ui default", property("storage_gb", func(p map[string]any) {
			delete(inside(p, "x-ui"), "default")
		})},
		{"database", "x-ui option postgresql-17", property("engine", func(p map[string]any) {
			inside(p, "x-ui", "options")["postgresql-17"] = "17"
		})},
		{
			"database", "default selection is refused: /configuration/storage_gb above-maximum",
			property("storage_gb", func(p map[string]any) { inside(p, "x-ui")["default"] = 2001 }),
		},
		{
			"database", "default selection is refused: /configuration/engine value-not-offered",
			property("engine", func(p map[string]any) { p["default"] = "mysql-8" }),
		},
		{
			"gpu", "schema defaults are refused: /configuration/framework value-not-offered",
			property("framework", func(p map[string]any) { p["default"] = "caffe" }),
		},
		{"vps", "a text needs enum or maxLength", property("os_image", func(p map[string]any) {
			delete(p, "enum")
			delete(inside(p, "x-ui"), "options")
		})},
		{"vps", "a list needs items and maxItems", property("ssh_public_keys", func(p map[string]any) {
			delete(p, "maxItems")
		})},
		{"vps", "compile schema", property("ssh_public_keys", func(p map[string]any) {
			inside(p, "items")["pattern"] = "("
		})},
		{"vps", "not a name of lower-case", configuration(func(s map[string]any) {
			inside(s, "properties")["OS"] = map[string]any{"type": "boolean"}
		})},
		{"vps", "has no schema", configuration(func(s map[string]any) { inside(s, "properties")["os"] = nil })},
		{"block-storage", `price "half"`, func(b map[string]any) { b["unit_price"] = "half" }},
		{"block-storage", "unknown member /regions", func(b map[string]any) { b["regions"] = []string{"lj-1"} }},
	} {
		_, err := catalog.Load(append(catalog.Default(), change(t, k.entry, 2, noon(), k.edit)), noon())
		if err == nil {
			t.Errorf("%s: %q is accepted", k.entry, k.want)
			continue
		}
		if head := "catalogue entry " + k.entry + " version 2: "; !strings.HasPrefix(err.Error(), head) ||
			!strings.Contains(err.Error(), k.want) {
			t.Errorf("error %q, want %q … %q", err, head, k.want)
		}
	}
}
