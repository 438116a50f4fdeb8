package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the product's module path.
const module = "github.com/platforma-cloud/orders"

// root is the project's root, relative to this package.
const root = "../.."

// skipped are folders that are not part of the project: build results and data of an installation.
var skipped = []string{".git", "bin", ".data", ".cache", "node_modules"}

// file is one parsed Go file.
type file struct {
	path string // from the root, with slashes
	dir  string // package folder below internal/, or cmd/… as it is
	test bool
	ast  *ast.File
}

// goFiles parses every Go file of the module.
func goFiles(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	fset := token.NewFileSet()
	var files []file
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		parsed, err := parser.ParseFile(fset, filepath.Join(root, path), nil,
			parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse %s: %v", path, err)
		}
		files = append(files, file{
			path: path, dir: strings.TrimPrefix(slashDir(path), "internal/"), test: strings.HasSuffix(path, "_test.go"),
			ast: parsed,
		})
	})
	if len(files) < 100 {
		t.Fatalf("found %d Go files below %s: that is not the project", len(files), root)
	}
	return fset, files
}

// walk calls visit for every file of the project with its path from the root.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains(skipped, rel) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // .git is a file in a linked worktree
		}
		if d.Type().IsRegular() {
			visit(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the project: %v", err)
	}
}

func slashDir(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return "."
}
