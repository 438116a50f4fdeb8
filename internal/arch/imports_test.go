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

// row says what a package may import: our packages by their folder below internal/, others by module or by a prefix
// of it. The package's test files may import the same and what every test may.
type row struct {
	ours []string
	libs []string
	kit  bool     // for tests only; must not be in the binary
	test []string // further modules that its tests need
}

// The layers from the bottom up, as in docs/ARCHITECTURE.md.
var (
	ground    = []string{"id", "tenant", "fault", "money", "brand"}
	domain    = append(slices.Clone(ground), "order", "catalog", "fulfil", "event", "auditlog", "analytics", "notice")
	contracts = append(slices.Clone(domain), "provider", "payment")
	useCases  = append(slices.Clone(contracts), "app")
	adapters  = []string{
		"postgres", "queue", "kafka", "httpapi", "portal", "mail", "vault", "webhook", "metrics", "cache", "provider/sim",
		"payment/manual", "payment/demo",
	}
	facades = []string{"httpapi", "portal"} // the adapters that answer HTTP and may use httpkit
	facade  = append(slices.Clone(useCases), "httpkit")
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

// table has a row for every package. A library is only in the rows of the packages that own it. No adapter imports
// another one, and a library's types do not leave its package.
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

	// The domain: only packages below. The JSON Schema module is its only third-party module.
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

	// Lets a test end a process between a use case and its ports; not in the shipped binary.
	"failpoint": {ours: useCases},

	// What every HTTP facade needs, once. It is not an adapter: it wraps no outside technology, and facades may use it.
	"httpkit": {ours: useCases, libs: []string{"github.com/go-json-experiment/json"}},

	// The adapters: app and the domain, never each other.
	"postgres": {
		ours: append(slices.Clone(useCases), "postgres/migrations", "provider/guard"),
		libs: []string{pgx, "github.com/pressly/goose/v3"},
	},
	"postgres/migrations": {},
	"queue":               {ours: useCases, libs: []string{pgx, "github.com/riverqueue/river"}},
	"kafka":               {ours: append(slices.Clone(useCases), "secretfile"), libs: []string{franz}},
	"httpapi":             {ours: facade, libs: []string{"github.com/danielgtaylor/huma/v2"}},
	"portal": {
		ours: facade, libs: []string{"github.com/a-h/templ", "github.com/alexedwards/scs/v2"},
		test: []string{chromedp},
	},
	"mail": {
		ours: useCases, libs: []string{"github.com/wneessen/go-mail", "github.com/ProtonMail"},
		test: []string{smtpKit, "github.com/emersion/go-sasl"},
	},
	"vault": {
		ours: append(slices.Clone(useCases), "secretfile"),
		libs: []string{"github.com/tink-crypto/tink-go/v2"},
	},
	"metrics":        {ours: useCases, libs: []string{"github.com/prometheus/client_golang"}},
	"cache":          {ours: []string{"id", "tenant"}, libs: []string{"github.com/maypok86/otter/v2"}},
	"webhook":        {ours: useCases, test: []string{stdHooks}},
	"provider/sim":   {ours: []string{"fault", "provider"}},
	"payment/manual": {ours: []string{"fault", "money", "payment"}},
	"payment/demo":   {ours: []string{"fault", "money", "payment"}},

	// Outside systems for development and tests, which know nothing of the product.
	"embedded": {libs: []string{pgx, franz, smtpKit}, test: []string{"github.com/wneessen/go-mail"}},

	// The checker shares nothing with what it checks: it has plain rows and readers of its own.
	"invariant":            {},
	"invariant/pgfacts":    {ours: []string{"invariant"}, libs: []string{pgx}},
	"invariant/topicfacts": {ours: []string{"invariant"}, libs: []string{franz}},
	"invariant/simfacts":   {ours: []string{"invariant"}},
	"invariant/mailfacts":  {ours: []string{"invariant"}},
	"invariant/facts":      {ours: append(slices.Clone(readers), "invariant")},

	// The configuration file: it opens the adapters of clouds, so it knows each of them.
	"config": {
		ours: []string{"fulfil", "catalog", "provider", "provider/sim"}, libs: []string{"go.yaml.in/yaml/v3"},
	},

	// Wiring: the only place apart from cmd that knows every package (ADR 0009).
	"process": {
		ours: append(slices.Clone(wired), "provider/guard"),
		libs: []string{"github.com/google/uuid"}, test: []string{stdHooks},
	},
	"cmd/platforma": {
		ours: slices.Concat(wired, checker, []string{"process", "config", "embedded", "failpoint"}),
		libs: []string{"github.com/alecthomas/kong", "github.com/schollz/progressbar/v3", "golang.org/x/term"},
	},

	// Programs for the build.
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
		kit: true, ours: append(slices.Clone(useCases), "postgres", "postgres/migrations", "embedded"),
		libs: []string{pgx},
	},
	"kafka/kafkatest":       {kit: true, ours: []string{"app", "kafka", "embedded"}, libs: []string{franz}},
	"provider/providertest": {kit: true, ours: contracts},
	"provider/sim/simtest":  {kit: true, ours: []string{"provider", "provider/sim"}},
	"app/apptest":           {kit: true, ours: useCases},
	"portal/portaltest":     {kit: true, ours: append(slices.Clone(useCases), "app/apptest"), libs: []string{chromedp}},
	"harness": {kit: true, ours: slices.Concat(wired, checker, []string{
		"process", "embedded", "failpoint", "postgres/pgtest", "kafka/kafkatest", "provider/sim/simtest",
	}), libs: []string{pgx, smtpKit, "github.com/google/uuid"}},
	"arch": {ours: []string{"arch/commandline"}},
}

// testOurs are further packages that the tests of a package need.
var testOurs = map[string][]string{
	"app":             {"payment/manual", "webhook"}, // as the binary wires them
	"invariant":       {"order"},                     // its own lifecycle is compared with the table
	"invariant/facts": {"app", "tenant"},             // its tests check an installation that ran
	"process":         checker,                       // its tests check what a process left
}

// everyTest are the modules that every test may import.
var everyTest = []string{"github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak"}

// kits lists the packages that are for tests only.
func kits() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if table[name].kit {
			names = append(names, name)
		}
	}
	return names
}

// imports returns the import paths of a file.
func imports(f file) []string {
	paths := make([]string, len(f.ast.Imports))
	for i, s := range f.ast.Imports {
		paths[i], _ = strconv.Unquote(s.Path.Value)
	}
	return paths
}

// ours returns the table's name of an import path, and whether it is one of our packages.
func ours(path string) (string, bool) {
	rel, ok := strings.CutPrefix(path, module+"/")
	return strings.TrimPrefix(rel, "internal/"), ok
}

// standard reports whether a path belongs to the standard library: its first element has no dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// below reports whether a path is one of the modules or below one.
func below(path string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

func TestEveryPackageHasARowAndImportsOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	homeless := map[string]bool{}
	for _, f := range files {
		r, placed := table[f.dir]
		if !placed {
			if !homeless[f.dir] {
				t.Errorf("package %s has no row in the table of internal/arch/imports_test.go: add one", f.dir)
			}
			homeless[f.dir] = true
			continue
		}
		allowedOurs, allowedLibs := r.ours, r.libs
		if f.test {
			// A test may also import its own package, the kits, and the outside systems.
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
				t.Errorf("%s: %s is not one of the modules that %s may use", f.path, path, f.dir)
			}
		}
	}
}

func TestEveryRowOfTheTableHasAPackage(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.dir] = true
	}
	for name := range table {
		if !seen[name] {
			t.Errorf("the import table has a row for %s, which does not exist", name)
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
				t.Errorf("the row of %s allows %s: only process and cmd connect adapters", a, other)
			}
		}
	}
}

// Other adapters do not answer the product's HTTP, and the use cases know no status. Apart from the facades, only the
// packages that wire a process use httpkit, for the limits and the server.
func TestOnlyFacadesAndTheWiringUseHttpkit(t *testing.T) {
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

func TestTheDomainImportsNoTechnology(t *testing.T) {
	t.Parallel()
	above := slices.Concat(adapters, []string{"app", "httpkit", "embedded", "invariant", "process", "harness"})
	for _, d := range domain {
		for _, other := range table[d].ours {
			if slices.Contains(above, other) {
				t.Errorf("the row of %s allows %s, which is above the domain", d, other)
			}
		}
	}
	if len(table["app"].libs) > 0 {
		t.Errorf("the row of app allows %v: use cases use ports", table["app"].libs)
	}
}

func TestNoTestKitIsInTheBinary(t *testing.T) {
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
	comments, path := map[string]int{}, map[string]string{}
	for _, f := range files {
		if f.test {
			continue
		}
		path[f.dir] = f.path
		if f.ast.Doc != nil && len(f.ast.Doc.Text()) > 60 {
			comments[f.dir]++
		}
	}
	for dir, p := range path {
		if comments[dir] != 1 {
			t.Errorf("package %s (%s) has %d package comments: it needs one that says what it is for",
				dir, p, comments[dir])
		}
	}
}
