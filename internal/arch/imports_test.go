package arch

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row says what a package may import: ours by the folder below internal/, others by module or by a
// part of it. Its own test files may import that too, besides what every test may.
type row struct {
	ours []string
	libs []string
	kit  bool     // for tests only: must not reach the binary
	test []string // modules that its tests need besides
}

// The layers, from the ground up, as docs/ARCHITECTURE.md lists them.
var (
	ground    = []string{"id", "tenant", "fault", "money", "brand"}
	domain    = append(slices.Clone(ground), "order", "catalog", "fulfil", "event", "auditlog", "analytics", "notice")
	contracts = append(slices.Clone(domain), "provider", "payment")
	verbs     = append(slices.Clone(contracts), "app")
	adapters  = []string{
		"postgres", "queue", "kafka", "httpapi", "portal", "mail", "vault", "webhook", "metrics", "cache", "provider/sim",
		"payment/manual", "payment/demo",
	}
	facades = []string{"httpapi", "portal"} // the adapters that answer HTTP; httpkit is theirs
	facade  = append(slices.Clone(verbs), "httpkit")
	wired   = slices.Concat(facade, adapters)
	readers = []string{"invariant/pgfacts", "invariant/topicfacts", "invariant/simfacts", "invariant/mailfacts"}
	checker = []string{"invariant", "invariant/facts"}
)

// Modules that more than one row names.
const (
	pgx      = "github.com/jackc/pgx/v5"
	franz    = "github.com/twmb/franz-go"
	smtpKit  = "github.com/emersion/go-smtp"
	chromedp = "github.com/chromedp"
	stdHooks = "github.com/standard-webhooks/standard-webhooks"
)

// table has a row for every package. A library stands in the rows of the packages that own it and
// nowhere else: no adapter imports another, and a library's types do not leave its package.
var table = map[string]row{
	// The ground: the standard library only.
	"id":     {},
	"fault":  {},
	"money":  {},
	"brand":  {},
	"tenant": {ours: []string{"id"}},

	// How keys and passwords are read, for each adapter that takes one.
	"secretfile": {},

	// Locks and limits by key, within one process.
	"keyed": {},

	// The domain: downward only. The JSON Schema module is its one outside module.
	"order":   {ours: ground},
	"catalog": {ours: ground, libs: []string{"github.com/santhosh-tekuri/jsonschema/v6"}},
	"fulfil":  {ours: append(slices.Clone(ground), "order")},
	"event":   {ours: append(slices.Clone(ground), "order"), libs: []string{"github.com/santhosh-tekuri/jsonschema/v6"}},

	"auditlog":  {ours: append(slices.Clone(ground), "order", "event")},
	"analytics": {ours: append(slices.Clone(ground), "order", "event")},
	"notice":    {ours: ground},

	// The contracts with outside systems, and the use cases.
	"provider": {ours: ground},
	"payment":  {ours: ground},
	"app":      {ours: append(slices.Clone(contracts), "keyed"), test: []string{stdHooks}},

	// The rate limiter and the circuit breaker before every call to a provider.
	"provider/guard": {ours: []string{"fault", "provider"}},

	// What lets a test end a process between a use case and its ports; in no shipped binary.
	"failpoint": {ours: verbs},

	// What every HTTP facade needs, once. It is no adapter: it wraps no outside technology, and facades may use it.
	"httpkit": {ours: verbs, libs: []string{"github.com/go-json-experiment/json"}},

	// The adapters: app and the domain, never each other.
	"postgres": {
		ours: append(slices.Clone(verbs), "postgres/migrations", "provider/guard"),
		libs: []string{pgx, "github.com/pressly/goose/v3"},
	},
	"postgres/migrations": {},
	"queue":               {ours: verbs, libs: []string{pgx, "github.com/riverqueue/river"}},
	"kafka":               {ours: append(slices.Clone(verbs), "secretfile"), libs: []string{franz}},
	"httpapi":             {ours: facade, libs: []string{"github.com/danielgtaylor/huma/v2"}},
	"portal": {
		ours: facade, libs: []string{"github.com/a-h/templ", "github.com/alexedwards/scs/v2"},
		test: []string{chromedp},
	},
	"mail": {
		ours: verbs, libs: []string{"github.com/wneessen/go-mail", "github.com/ProtonMail"},
		test: []string{smtpKit, "github.com/emersion/go-sasl"},
	},
	"vault": {
		ours: append(slices.Clone(verbs), "secretfile"),
		libs: []string{"github.com/tink-crypto/tink-go/v2"},
	},
	"metrics":        {ours: verbs, libs: []string{"github.com/prometheus/client_golang"}},
	"cache":          {ours: []string{"id", "tenant"}, libs: []string{"github.com/maypok86/otter/v2"}},
	"webhook":        {ours: verbs, test: []string{stdHooks}},
	"provider/sim":   {ours: []string{"fault", "provider"}},
	"payment/manual": {ours: []string{"fault", "money", "payment"}},
	"payment/demo":   {ours: []string{"fault", "money", "payment"}},

	// Outside systems for development and tests, which know nothing of the product.
	"embedded": {libs: []string{pgx, franz, smtpKit}, test: []string{"github.com/wneessen/go-mail"}},

	// The checker from outside shares nothing with what it checks: plain rows, and readers of its own.
	"invariant":            {},
	"invariant/pgfacts":    {ours: []string{"invariant"}, libs: []string{pgx}},
	"invariant/topicfacts": {ours: []string{"invariant"}, libs: []string{franz}},
	"invariant/simfacts":   {ours: []string{"invariant"}},
	"invariant/mailfacts":  {ours: []string{"invariant"}},
	"invariant/facts":      {ours: append(slices.Clone(readers), "invariant")},

	// The configuration file: it makes adapters of clouds, and so knows each of them.
	"config": {
		ours: []string{"fulfil", "catalog", "provider", "provider/sim"}, libs: []string{"go.yaml.in/yaml/v3"},
	},

	// Wiring: the one place besides cmd that knows everybody (ADR 0009).
	"process": {
		ours: append(slices.Clone(wired), "provider/guard"),
		libs: []string{"github.com/google/uuid"}, test: []string{stdHooks},
	},
	"cmd/platforma": {
		ours: slices.Concat(wired, checker, []string{"process", "config", "embedded", "failpoint"}),
		libs: []string{"github.com/alecthomas/kong", "github.com/schollz/progressbar/v3", "golang.org/x/term"},
	},

	// Programs of the build.
	"embedded/cmd/withpostgres": {ours: []string{"embedded"}},
	"event/cmd/eventdoc": {
		ours: append(slices.Clone(ground), "order", "event"),
		libs: []string{"go.yaml.in/yaml/v3"},
	},
	"order/cmd/lifecycledoc": {ours: []string{"order"}},
	"arch/commandline":       {},
	"arch/cmd/configdoc":     {ours: []string{"arch/commandline"}},

	// Test kits.
	"postgres/pgtest": {
		kit: true, ours: append(slices.Clone(verbs), "postgres", "postgres/migrations", "embedded"),
		libs: []string{pgx},
	},
	"kafka/kafkatest":       {kit: true, ours: []string{"app", "kafka", "embedded"}, libs: []string{franz}},
	"provider/providertest": {kit: true, ours: contracts},
	"provider/sim/simtest":  {kit: true, ours: []string{"provider", "provider/sim"}},
	"app/apptest":           {kit: true, ours: verbs},
	"portal/portaltest":     {kit: true, ours: append(slices.Clone(verbs), "app/apptest"), libs: []string{chromedp}},
	"harness": {kit: true, ours: slices.Concat(wired, checker, []string{
		"process", "embedded", "failpoint", "postgres/pgtest", "kafka/kafkatest", "provider/sim/simtest",
	}), libs: []string{pgx, smtpKit, "github.com/google/uuid"}},
	"arch": {ours: []string{"arch/commandline"}},
}

// testOurs are packages that the tests of one need besides.
var testOurs = map[string][]string{
	// the payment provider out of the box and the poster, as the binary wires them
	"app":             {"payment/manual", "webhook"},
	"invariant/facts": {"app", "tenant"}, // it checks a world that ran
	"process":         checker,           // it looks at what a process left, from outside
}

// everyTest may import these, whatever its package.
var everyTest = []string{"github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak"}

// kits lists the test-only packages.
func kits() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if table[name].kit {
			names = append(names, name)
		}
	}
	return names
}

// imports of a file, without quotes.
func imports(f file) []string {
	paths := make([]string, len(f.ast.Imports))
	for i, s := range f.ast.Imports {
		paths[i], _ = strconv.Unquote(s.Path.Value)
	}
	return paths
}

// ours turns an import path into the name the table uses, when it is one of the product's own.
func ours(path string) (string, bool) {
	rel, ok := strings.CutPrefix(path, module+"/")
	return strings.TrimPrefix(rel, "internal/"), ok
}

// standard reports whether a path is of the standard library: its first part has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// below reports whether a path lies in one of the modules, or in a module whose path begins with one.
func below(path string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

func TestEveryPackageHasItsPlaceAndImportsOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	homeless := map[string]bool{}
	for _, f := range files {
		r, placed := table[f.dir]
		if !placed {
			if !homeless[f.dir] {
				t.Errorf("package %s has no row in the table of internal/arch/imports_test.go: give it one", f.dir)
			}
			homeless[f.dir] = true
			continue
		}
		allowedOurs, allowedLibs := r.ours, r.libs
		if f.test {
			// A test sees its own package from outside, the kits, and the outside systems.
			allowedOurs = slices.Concat(r.ours, []string{f.dir, "embedded", "provider/sim"}, kits(), testOurs[f.dir])
			allowedLibs = slices.Concat(r.libs, r.test, everyTest)
		}
		if r.kit {
			allowedLibs = slices.Concat(allowedLibs, everyTest)
		}
		for _, path := range imports(f) {
			if name, own := ours(path); own {
				if !slices.Contains(allowedOurs, name) {
					t.Errorf("%s: the row of %s in internal/arch/imports_test.go does not allow %s", f.path, f.dir, name)
				}
				continue
			}
			if !standard(path) && !below(path, allowedLibs) {
				t.Errorf("%s: %s is not of the modules that %s may use", f.path, path, f.dir)
			}
		}
	}
}

func TestNoRowOfTheTableIsWithoutAPackage(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.dir] = true
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("the import table has a row for %s, which is not there", name)
		}
	}
}

// TestEveryPackageIsInTheDocument holds docs/ARCHITECTURE.md to list each package of the product; what is below a
// package that is listed, and no adapter, belongs to it.
func TestEveryPackageIsInTheDocument(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "docs/ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, packages, found := strings.Cut(string(raw), "\n## The packages\n")
	packages, _, closed := strings.Cut(packages, "\n## ")
	if !found || !closed {
		t.Fatal("docs/ARCHITECTURE.md has no section on the packages")
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if table[name].kit || strings.HasPrefix(name, "cmd/") {
			continue
		}
		if parent, _, below := strings.Cut(name, "/"); below && !slices.Contains(adapters, name) {
			name = parent
		}
		if !strings.Contains(packages, "`internal/"+name+"`") {
			t.Errorf("docs/ARCHITECTURE.md does not list `internal/%s` under The packages", name)
		}
	}
}

func TestNoAdapterMayImportAnother(t *testing.T) {
	t.Parallel()
	for _, a := range adapters {
		for _, other := range adapters {
			if slices.Contains(table[a].ours, other) {
				t.Errorf("the row of %s allows %s: adapters meet in process and cmd only", a, other)
			}
		}
	}
}

// Other adapters answer no HTTP of the product's own, and the use cases know no status. Besides the facades, what
// wires a process names the limits and makes the server.
func TestOnlyFacadesAndWhatWiresThemUseHttpkit(t *testing.T) {
	t.Parallel()
	users := append(slices.Clone(facades), "process", "cmd/platforma", "harness")
	for name, r := range table {
		if slices.Contains(r.ours, "httpkit") && !slices.Contains(users, name) {
			t.Errorf("the row of %s allows httpkit, which is for HTTP facades: %v", name, facades)
		}
	}
	for _, name := range facades {
		if !slices.Contains(table[name].ours, "httpkit") {
			t.Errorf("the row of the facade %s does not allow httpkit: it would build its own", name)
		}
	}
	for _, other := range table["httpkit"].ours {
		if slices.Contains(adapters, other) {
			t.Errorf("the row of httpkit allows the adapter %s", other)
		}
	}
}

func TestTheDomainKnowsNoTechnology(t *testing.T) {
	t.Parallel()
	above := slices.Concat(adapters, []string{"app", "httpkit", "embedded", "invariant", "process", "harness"})
	for _, d := range domain {
		for _, other := range table[d].ours {
			if slices.Contains(above, other) {
				t.Errorf("the row of %s allows %s, which lies above the domain", d, other)
			}
		}
	}
	if len(table["app"].libs) > 0 {
		t.Errorf("the row of app allows %v: verbs use ports", table["app"].libs)
	}
}

func TestNoTestKitReachesTheBinary(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	for _, f := range files {
		if f.test || table[f.dir].kit {
			continue
		}
		for _, path := range imports(f) {
			name, own := ours(path)
			if own && table[name].kit || path == "testing" || strings.HasPrefix(path, "testing/") && path != "testing/fstest" {
				t.Errorf("%s imports %s, which is for tests only", f.path, path)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	said, path := map[string]int{}, map[string]string{}
	for _, f := range files {
		if f.test {
			continue
		}
		path[f.dir] = f.path
		if f.ast.Doc != nil && len(f.ast.Doc.Text()) > 60 {
			said[f.dir]++
		}
	}
	for dir, p := range path {
		if said[dir] != 1 {
			t.Errorf("package %s (%s) has %d package comments: it needs one that says what it is for", dir, p, said[dir])
		}
	}
}
