package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Columns that hold the number of a named value (ADR 0022), and the operators that compare or set one.
const (
	numberedColumn = `\b(?:state|kind|phase|outcome|settlement|policy|closing|role|what)\b`
	bareNumber     = `-?\d+`
	comparison     = `(?:<>|!=|<=|>=|=|<|>|IS\s+(?:NOT\s+)?DISTINCT\s+FROM|BETWEEN)`
)

// bareComparisons match SQL that compares a state or kind with a number.
var bareComparisons = []*regexp.Regexp{
	regexp.MustCompile(`(?i)` + numberedColumn + `(?:::\w+)?\s*` + comparison + `\s*\(?\s*` + bareNumber),
	regexp.MustCompile(`(?i)` + numberedColumn + `(?:::\w+)?\s*(?:NOT\s+)?IN\s*\((?:[^()]*,)?\s*` + bareNumber + `\b`),
	regexp.MustCompile(`(?i)` + numberedColumn + `\s*(?:=|<>)\s*(?:ANY|ALL)\s*\(\s*(?:ARRAY\s*\[|'\{)[^)]*` + bareNumber),
	regexp.MustCompile(`(?i)(?:^|[\s(])` + bareNumber + `\s*(?:<>|!=|=|<|>)\s*(?:\w+\.)?` + numberedColumn),
}

// statement matches SQL, as opposed to other text with a state in it.
var statement = regexp.MustCompile(`\b(?:SELECT|UPDATE|INSERT|DELETE|WHERE|AND|FROM|SET)\b|^\s*\w+\s*(?:=|<>|IN)`)

// bareNumbers returns the places in the SQL below a node where a state or kind is compared with a bare number.
func bareNumbers(below ast.Node) []string {
	var found []string
	ast.Inspect(below, func(n ast.Node) bool {
		e, isExpr := n.(ast.Expr)
		if !isExpr {
			return true
		}
		text, others, isText := textOf(e)
		if !isText {
			return true
		}
		if statement.MatchString(text) {
			for _, bare := range bareComparisons {
				found = append(found, bare.FindAllString(text, -1)...)
			}
		}
		for _, o := range others {
			found = append(found, bareNumbers(o)...)
		}
		return false
	})
	return found
}

// textOf returns the text of an expression of string literals joined by +, with "name" for each other operand, and
// those operands.
func textOf(e ast.Expr) (text string, others []ast.Expr, isText bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, nil, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", nil, false
		}
		for _, side := range []ast.Expr{e.X, e.Y} {
			piece, more, ok := textOf(side)
			if !ok {
				piece, more = "name", []ast.Expr{side}
			}
			text, others, isText = text+piece, append(others, more...), isText || ok
		}
		return text, others, isText
	}
	return "", nil, false
}

// TestNoStatementComparesAStateWithABareNumber checks ADR 0022: the numbers of states and kinds are defined once, in
// Go. SQL uses the names of internal/postgres/names.go, or parameters.
func TestNoStatementComparesAStateWithABareNumber(t *testing.T) {
	t.Parallel()
	_, files := goFiles(t)
	for _, f := range files {
		if f.path == "internal/arch/sql_test.go" {
			continue // its own examples
		}
		for _, bare := range bareNumbers(f.ast) {
			t.Errorf("%s: %q: name the number as in internal/postgres/names.go, or pass it as a parameter", f.path, bare)
		}
	}
}

func TestABareNumberComparedWithAStateIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, want string }{
		{"`SELECT id FROM payments p WHERE p.state <> 2`", "state <> 2"},
		{"`SELECT id FROM order_items i WHERE i.state IN (4, 5)`", "state IN (4, 5"},
		{
			"`SELECT id FROM saga_tasks WHERE kind = ` + k + ` AND state NOT IN (` + open + `, 1)`",
			"state NOT IN (name, 1",
		},
		{"`UPDATE saga_tasks SET state = 3 WHERE id = $1`", "state = 3"},
		{"`SELECT id FROM saga_tasks WHERE phase::int BETWEEN 2 AND 3`", "phase::int BETWEEN 2"},
		{"`SELECT id FROM members WHERE 3 = m.role`", " 3 = m.role"},
		{"`SELECT id FROM orders WHERE state = ANY ('{1,2}')`", "state = ANY ('{1,2"},
		{"f(`SELECT 1` + g(`UPDATE refunds SET state = 2`))", "state = 2"},
		{"`SELECT id FROM payments p WHERE p.state <> ` + paymentReverted + ` AND p.n = 2`", ""},
		{"`SELECT id FROM orders WHERE state = $2 AND settlement IN (` + open + `, ` + stuck + `)`", ""},
		{"`SELECT id FROM orders WHERE $2 = state AND state = ANY ($3::smallint[])`", ""},
		{"\"the kind of thing is 1\"", ""},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nvar _ = "+c.source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, strings.Join(bareNumbers(f), "; ")); diff != "" {
			t.Errorf("%s (-want +found):\n%s", c.source, diff)
		}
	}
}
