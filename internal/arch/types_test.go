package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// exceptions are exported declarations that use a library's types on purpose, each with the reason.
var exceptions = map[string]string{}

func TestALibrarysTypesDoNotLeaveTheirPackage(t *testing.T) {
	t.Parallel()
	fset, files := goFiles(t)
	found := map[string]bool{}
	for _, f := range files {
		if f.test || table[f.dir].kit || strings.HasSuffix(f.path, "_templ.go") || len(table[f.dir].libs) == 0 ||
			f.ast.Name.Name == "main" {
			continue
		}
		foreign := foreignNames(f)
		if len(foreign) == 0 {
			continue
		}
		for _, d := range exported(f.ast) {
			key := f.dir + "." + d.name
			if lib := mentions(d.node, foreign); lib != "" {
				found[key] = true
				if exceptions[key] == "" {
					t.Errorf("%s: exported %s uses %s, whose types must not leave %s",
						fset.Position(d.node.Pos()), d.name, lib, f.dir)
				}
			}
		}
	}
	for key, why := range exceptions {
		if !found[key] {
			t.Errorf("%s is listed as an exception (%s), but needs none any more", key, why)
		}
	}
}

// foreignNames returns the paths of the third-party packages that a file imports, by their names in the file.
func foreignNames(f file) map[string]string {
	names := map[string]string{}
	for _, s := range f.ast.Imports {
		p, _ := strconv.Unquote(s.Path.Value)
		if _, own := ours(p); own || standard(p) {
			continue
		}
		name := path.Base(p)
		if isVersion(name) {
			name = path.Base(path.Dir(p))
		}
		name = strings.TrimPrefix(name, "go-")
		if s.Name != nil {
			name = s.Name.Name
		}
		names[name] = p
	}
	return names
}

func isVersion(s string) bool {
	_, err := strconv.Atoi(strings.TrimPrefix(s, "v"))
	return strings.HasPrefix(s, "v") && err == nil
}

// declared is a part of a package's API: a signature, a type, a variable.
type declared struct {
	name string
	node ast.Node
}

// exported lists what other packages can see of a file: only the exported fields of a struct, and only the signature
// of a function.
func exported(f *ast.File) []declared {
	var out []declared
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d) + "." + name
			}
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				out = append(out, declared{name, d.Type})
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				out = append(out, exportedSpec(d.Tok, s)...)
			}
		}
	}
	return out
}

func exportedSpec(tok token.Token, s ast.Spec) []declared {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		st, ok := s.Type.(*ast.StructType)
		if !ok {
			return []declared{{s.Name.Name, s.Type}}
		}
		var out []declared
		for _, field := range st.Fields.List {
			if len(field.Names) == 0 {
				out = append(out, declared{s.Name.Name + " (embedded)", field.Type})
			}
			for _, n := range field.Names {
				if n.IsExported() {
					out = append(out, declared{s.Name.Name + "." + n.Name, field.Type})
				}
			}
		}
		return out
	case *ast.ValueSpec:
		var out []declared
		for _, n := range s.Names {
			if n.IsExported() && s.Type != nil && tok == token.VAR {
				out = append(out, declared{n.Name, s.Type})
			}
		}
		return out
	}
	return nil
}

func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// mentions returns the first selector of a foreign package below a node, or "".
func mentions(n ast.Node, foreign map[string]string) string {
	found := ""
	ast.Inspect(n, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && foreign[x.Name] != "" {
				found = foreign[x.Name] + "." + sel.Sel.Name
			}
		}
		return found == ""
	})
	return found
}

func TestTheWholeAPIOfAPackageIsFound(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	i := slices.IndexFunc(files, func(f file) bool { return f.path == "internal/order/order.go" })
	if i < 0 {
		t.Fatal("internal/order/order.go does not exist")
	}
	var names []string
	for _, d := range exported(files[i].ast) {
		names = append(names, d.name)
	}
	for _, want := range []string{"Order.State", "Order.Items", "Order.MoveItem"} {
		if !slices.Contains(names, want) {
			t.Errorf("exported(order.go) has no %s: the walk misses it; it has %v", want, names)
		}
	}
	if slices.Contains(names, "Order.moveItem") {
		t.Error("exported(order.go) has Order.moveItem, which is not exported")
	}
}

func TestExportedFunctionsTakeNoBooleans(t *testing.T) {
	t.Parallel()
	fset, files := goFiles(t)
	looked := 0
	for _, f := range files {
		if f.test || strings.HasSuffix(f.path, "_templ.go") {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() {
				continue
			}
			looked++
			if takesBoolean(fn) {
				t.Errorf("%s: %s takes a boolean; name a type for it", fset.Position(fn.Pos()), fn.Name.Name)
			}
		}
	}
	if looked < 500 {
		t.Errorf("saw %d exported functions: the walk misses some", looked)
	}
}

func takesBoolean(fn *ast.FuncDecl) bool {
	for _, p := range fn.Type.Params.List {
		if name, ok := p.Type.(*ast.Ident); ok && name.Name == "bool" {
			return true
		}
	}
	return false
}

func TestABooleanParameterIsFound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		"func Cancel(order string, force bool) {}": true,
		"func (s *Store) Load(a, b bool) error":    true,
		"func Cancel(force Force) bool":            false,
		"func Each(yield func(bool))":              false,
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a\n"+source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := takesBoolean(parsed.Decls[0].(*ast.FuncDecl)); got != want {
			t.Errorf("takesBoolean(%q) = %v, want %v", source, got, want)
		}
	}
}
