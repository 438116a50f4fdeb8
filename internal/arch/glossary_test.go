package arch

import (
	"go/ast"
	"regexp"
	"strings"
	"testing"
)

// retired are words for things that have another name now (docs/ARCHITECTURE.md, "Glossary"), and phrases that are
// not plain English. Comments, documents and identifiers must not hold them. The expressions are put together from
// pieces, so that this file does not hold what it looks for.
var retired = []struct {
	what *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(`(?i)\bdoss` + `iers?\b`), "aggregate"},
	{regexp.MustCompile(`(?i)\bunits? of ` + `work\b`), "task"},
	{regexp.MustCompile(`(?i)\bpost` + `ings?\b`), "webhook delivery"},
	{regexp.MustCompile(`(?i)\bcor` + `pses?\b`), "failed resource"},
	{regexp.MustCompile(`(?i)\btwi` + `ns?\b`), "duplicate"},
	{regexp.MustCompile(`(?i)\bturn` + `stiles?\b`), "keyed mutex"},
	{regexp.MustCompile(`(?i)\bcho` + `res?\b`), "periodic job"},
	{regexp.MustCompile(`(?i)\bturn(s|ed)? ` + `back\b`), "compensate"},
	{regexp.MustCompile(`(?i)\bway ` + `back\b`), "compensation"},
	{regexp.MustCompile(`(?i)\btells ` + `whether\b`), "reports whether"},
	{regexp.MustCompile(`(?i)\bane` + `w\b`), "again, or new"},
	{regexp.MustCompile(`(?i)\bfolds?\b|\bfol` + `ded\b`), "project, or take into the figures"},
	{regexp.MustCompile(`(?i)\bthe wit` + `ness`), "the audit log, or the Audit consumer"},
	{regexp.MustCompile(`(?i)\bsea` + `ms?\b`), "failpoint, or hook"},
	{regexp.MustCompile(`(?i)\bver` + `bs?\b`), "use case"},
	{regexp.MustCompile(`(?i)\bof ou` + `rs\b`), "our"},
	{regexp.MustCompile(`(?i)'s mat` + `ter\b`), "say who does it"},
	{regexp.MustCompile(`(?i)\ball the sa` + `me\b`), "still, or leave it out"},
	{regexp.MustCompile(`(?i)\bsta` + `nds? (on|at|in|beside|under|behind)\b`), "is"},
	{regexp.MustCompile(`(?m)(^|// |-- |[.!?] )Of (a|an|the|what|those) `), "begin with the subject"},
}

// retiredWords reports the retired words of a text, each with the word to use instead.
func retiredWords(text string) []string {
	var found []string
	for _, r := range retired {
		if hit := r.what.FindString(text); hit != "" {
			found = append(found, hit+": say "+r.say)
		}
	}
	return found
}

func TestOneWordStandsForOneThing(t *testing.T) {
	t.Parallel()
	fset, files := goFiles(t)
	for _, f := range files {
		if strings.HasSuffix(f.path, "_templ.go") {
			continue
		}
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				for _, found := range retiredWords(c.Text) {
					t.Errorf("%s: %s", fset.Position(c.Pos()), found)
				}
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if ok && retiredName.MatchString(id.Name) {
				t.Errorf("%s: the name %s holds a retired word", fset.Position(id.Pos()), id.Name)
			}
			return true
		})
	}
	for _, p := range pages(t) {
		if p.path == "CHANGELOG.md" {
			continue // it keeps the words of its time
		}
		for n, line := range strings.Split(p.text, "\n") {
			for _, found := range retiredWords(line) {
				t.Errorf("%s:%d: %s", p.path, n+1, found)
			}
		}
	}
}

// retiredName matches identifiers that hold a retired word.
var retiredName = regexp.MustCompile(`([Dd]oss` + `ier|[Pp]ost` + `ing|[Cc]or` + `pse|[Tt]urn` + `stile)`)

func TestRetiredWordsAreFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"the doss" + "ier of an order":           1,
		"reports whether the task is live":       0,
		"tells " + "whether a unit of " + "work": 2,
		"the webhook delivery is posted by us":   0,
		"// Of " + "the two the first is kept":   1,
		"a list of the two":                      0,
	} {
		if got := retiredWords(text); len(got) != want {
			t.Errorf("retiredWords(%q) = %q, want %d", text, got, want)
		}
	}
}
