package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/event"
)

// declaredTypes returns the constants of type EventType in package order, in their order.
func declaredTypes(t *testing.T) []event.Type {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../order/event.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var declared []event.Type
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "EventType" {
			return true
		}
		for _, v := range spec.Values {
			name, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, event.Type(name))
		}
		return true
	})
	return declared
}

func TestEveryTypeHasItsRowInItsOrder(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(declaredTypes(t), event.Types()); diff != "" {
		t.Errorf("a type lacks its row in internal/event/types.go, or has it elsewhere (-internal/order/event.go +rows):\n%s",
			diff)
	}
}

func TestEveryTypeIsSummarisedInOneSentence(t *testing.T) {
	t.Parallel()
	for _, d := range event.Definitions() {
		if len(strings.Fields(d.Summary)) < 3 || !strings.HasSuffix(d.Summary, ".") {
			t.Errorf("the summary of %s in internal/event/types.go is no sentence: %q", d.Type, d.Summary)
		}
	}
}
