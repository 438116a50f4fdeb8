package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// asserting matches the names of calls that can make a test fail, wherever they are declared.
var asserting = regexp.MustCompile(
	`^(Want|want|Check|check|Expect|Require|require|Assert|assert|Verify|verify|Conform|Saga)`,
)

// preparing matches the names of helpers that only prepare a test. Calling them asserts nothing about the rule.
var preparing = regexp.MustCompile(`^(New|new|Bare|Start|start|Open|open|Setup|setup|Parallel|Helper)`)

func TestEveryTestAsserts(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	byDir := map[string][]file{}
	var kitFiles []file
	for _, f := range files {
		if f.test {
			byDir[f.dir] = append(byDir[f.dir], f)
		} else if table[f.dir].kit {
			kitFiles = append(kitFiles, f)
		}
	}
	fromKits := helpersThatAssert(kitFiles, nil)
	tests := 0
	for _, pkg := range byDir {
		helpers := helpersThatAssert(pkg, fromKits)
		for _, f := range pkg {
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Recv != nil || fn.Name.Name == "TestMain" || !strings.HasPrefix(fn.Name.Name, "Test") &&
					!strings.HasPrefix(fn.Name.Name, "Fuzz") {
					continue
				}
				tests++
				if !asserts(fn.Body, helpers) {
					t.Errorf("%s: %s asserts nothing", f.path, fn.Name.Name)
				}
			}
		}
	}
	if tests < 100 {
		t.Errorf("saw %d tests: the walk misses some", tests)
	}
}

// helpersThatAssert returns the known helpers and the functions and methods of a package's tests that assert, by
// themselves or through each other.
func helpersThatAssert(pkg []file, known []string) []string {
	known = slices.Clone(known)
	for grew := true; grew; {
		grew = false
		for _, f := range pkg {
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if ok && fn.Body != nil && !slices.Contains(known, fn.Name.Name) && !preparing.MatchString(fn.Name.Name) &&
					asserts(fn.Body, known) {
					known, grew = append(known, fn.Name.Name), true
				}
			}
		}
	}
	return known
}

// asserts reports whether a function's body can make a test fail because of what it checks.
func asserts(body *ast.BlockStmt, helpers []string) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || found {
			return !found
		}
		switch fn := call.Fun.(type) {
		case *ast.SelectorExpr:
			found = selectorAsserts(fn, call) || slices.Contains(helpers, fn.Sel.Name)
		case *ast.Ident:
			found = asserting.MatchString(fn.Name) || slices.Contains(helpers, fn.Name)
		}
		return !found
	})
	return found
}

func selectorAsserts(fn *ast.SelectorExpr, call *ast.CallExpr) bool {
	x, _ := fn.X.(*ast.Ident)
	switch name := fn.Sel.Name; name {
	case "Fatal", "Fatalf", "FailNow", "Fail":
		return true
	case "Error", "Errorf":
		return len(call.Args) > 0 && (x == nil || x.Name != "fmt") // err.Error() has no arguments
	case "Run": // of a contract suite; a subtest has a function of its own, which is checked itself
		return x != nil && strings.HasSuffix(x.Name, "test")
	case "Diff":
		return x != nil && x.Name == "cmp"
	default:
		return asserting.MatchString(name)
	}
}

func TestWhatCountsAsAsserting(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`if got != 1 { t.Errorf("got %d", got) }`:      true,
		`if err != nil { t.Fatal(err) }`:               true,
		`if diff := cmp.Diff(a, b); diff != "" { }`:    true,
		`w.WantOrder(o)`:                               true,
		`t.Run("x", func(t *testing.T) { look(t) })`:   true,
		`rapid.Check(t, func(t *rapid.T) { })`:         true,
		`providertest.Run(t, make)`:                    true,
		`t.Run("x", func(t *testing.T) { w.Do() })`:    false,
		`_ = err.Error()`:                              false,
		`_ = fmt.Errorf("%w", err)`:                    false,
		`w := harness.New(t); w.Do()`:                  false,
		`_ = cmd.Run()`:                                false,
		`t.Log("looks good"); t.Skip("not to-day")`:    false,
		`kit := newKit(t); kit.place("order", "paid")`: false,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc f() {"+body+"}", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := asserts(f.Decls[0].(*ast.FuncDecl).Body, []string{"look"}); got != want {
			t.Errorf("asserts(%s) = %t, want %t", body, got, want)
		}
	}
}
