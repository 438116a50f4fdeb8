package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Comments and documents cite decisions, invariants, crash points and files. The tests below check that whatever is
// cited is in the repository, so that a reader can look it up.

var (
	decisionMark  = regexp.MustCompile(`(?:^|[^\w%#=-])(D\d+)\b`)
	invariantMark = regexp.MustCompile(`(?:^|[^\w%#=-])(I\d+)\b`)
	crashMark     = regexp.MustCompile(`\b(CP-[A-Z]\d+)\b`)
	suiteMark     = regexp.MustCompile(`(?:^|[^\w%#=-])(T\d+)\b`)
	strangeMark   = regexp.MustCompile(`(?:^|[^\w%#=-])([CEFPRS]\d{1,2})\b`)

	webAddress   = regexp.MustCompile(`\b(?:https?://|github\.com/|golang\.org/)\S+`)
	namedFile    = regexp.MustCompile(`[\w./*-]*\w\.(?:md|go|sql|templ)\b`)
	namedSection = regexp.MustCompile(`^(?:,? (?:section|rule|note|part|§) ?|, ?|,? ?§ ?)(\d+)\b`)
	namedAnchor  = regexp.MustCompile(`^#([\w-]+)`)

	decisionHeading = regexp.MustCompile(`(?m)^## (D\d+) \S`)
	invariantRow    = regexp.MustCompile(`\{"(I\d+)", "`)
	invariantLine   = regexp.MustCompile(`(?m)^\| (I\d+) \| \S`)
	crashConstant   = regexp.MustCompile(`Point = "(CP-[A-Z]\d+)"`)
	suiteLine       = regexp.MustCompile(`(?m)^//\t(T\d+) +\S`)
)

// samplesFile is this file, whose strings cite missing things on purpose.
const samplesFile = "internal/arch/references_test.go"

// terms are words of the field that look like marks.
var terms = []string{"S3"} // the object storage protocol

// remark is a comment, or another piece of text that may cite something, with its lines joined.
type remark struct {
	path string
	text string
}

// library holds what the repository defines and a text may cite.
type library struct {
	files      map[string]string // the text of documents, "" for other files, by path from the root
	decisions  []string
	invariants []string
	crashes    []string
	suite      []string // of the tests in internal/kafka
}

func openLibrary(t *testing.T) library {
	t.Helper()
	lib := library{files: map[string]string{}}
	walk(t, func(p string) {
		lib.files[p] = ""
		if strings.HasSuffix(p, ".md") {
			lib.files[p] = readText(t, p)
		}
	})
	defined := func(p string, mark *regexp.Regexp, least int) []string {
		var marks []string
		for _, m := range mark.FindAllStringSubmatch(readText(t, p), -1) {
			marks = append(marks, m[1])
		}
		if len(marks) < least {
			t.Fatalf("%s defines %d marks, want at least %d: the pattern misses some", p, len(marks), least)
		}
		return marks
	}
	lib.decisions = defined("docs/decisions.md", decisionHeading, 41)
	lib.invariants = defined("internal/invariant/check.go", invariantRow, 25)
	lib.crashes = defined("internal/failpoint/failpoint.go", crashConstant, 24)
	lib.suite = defined("internal/kafka/main_test.go", suiteLine, 21)
	return lib
}

func readText(t *testing.T, p string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, p))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestEveryDecisionThatIsCitedHasASection(t *testing.T) {
	t.Parallel()
	lib := openLibrary(t)
	cited := 0
	walk(t, func(p string) {
		if !isOurText(p) {
			return
		}
		for n, line := range strings.Split(readText(t, p), "\n") {
			for _, m := range decisionMark.FindAllStringSubmatch(line, -1) {
				cited++
				if !slices.Contains(lib.decisions, m[1]) {
					t.Errorf("%s:%d: docs/decisions.md has no section %s", p, n+1, m[1])
				}
			}
		}
	})
	if cited < 300 {
		t.Errorf("saw %d citations of decisions: the walk misses some", cited)
	}
}

func TestDecisionsAreNumberedWithoutGaps(t *testing.T) {
	t.Parallel()
	for i, d := range openLibrary(t).decisions {
		if want := "D" + strconv.Itoa(i+1); d != want {
			t.Fatalf("section %d of docs/decisions.md is %s, want %s", i+1, d, want)
		}
	}
}

func TestEveryInvariantHasALineInItsDocument(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, m := range invariantLine.FindAllStringSubmatch(readText(t, "docs/invariants.md"), -1) {
		listed = append(listed, m[1])
	}
	if want := openLibrary(t).invariants; !slices.Equal(listed, want) {
		t.Errorf("docs/invariants.md lists %v, the checker has %v", listed, want)
	}
}

func TestWhateverACommentCitesIsInTheRepository(t *testing.T) {
	t.Parallel()
	lib := openLibrary(t)
	comments := 0
	walk(t, func(p string) {
		if !isOurText(p) || strings.HasSuffix(p, "_templ.go") {
			return
		}
		text := readText(t, p)
		for _, r := range remarks(t, p, text) {
			comments++
			for _, fault := range append(lib.missingFiles(r), lib.missingMarks(r)...) {
				t.Errorf("%s: a comment cites %s", p, fault)
			}
		}
		if p == samplesFile {
			return
		}
		for _, s := range literals(t, p, text) {
			for _, fault := range lib.missingFiles(s) {
				t.Errorf("%s: a string cites %s", p, fault)
			}
		}
		if strings.HasSuffix(p, ".md") {
			for _, fault := range lib.missingMarks(remark{p, text}) {
				t.Errorf("%s cites %s", p, fault)
			}
		}
	})
	if comments < 5000 {
		t.Errorf("saw %d comments: the walk misses some", comments)
	}
}

// isOurText reports whether a file is text that this project wrote for people.
func isOurText(p string) bool {
	if p == "internal/portal/static/portal.css" || p == "internal/portal/static/portal.js" {
		return true
	}
	if others.MatchString(p) {
		return false
	}
	switch path.Ext(p) {
	case ".json": // only the catalogue has texts for people
		return p == "internal/catalog/catalog.json"
	case ".go", ".sql", ".templ", ".md", ".sh", ".yaml", ".css", ".js", ".mjs", ".properties":
		return true
	}
	return path.Base(p) == "Makefile" || p == ".ci/run"
}

var (
	blockComment = regexp.MustCompile(`(?s)/\*(.*?)\*/|<!--(.*?)-->`)
	dashComment  = regexp.MustCompile(`--(.*)$`)
	slashComment = regexp.MustCompile(`(?:^|[\s;{}])//(.*)$`)
	hashComment  = regexp.MustCompile(`(?:^|\s)#(.*)$`)
)

// remarks returns the comments of a file. Comments on consecutive lines are joined.
func remarks(t *testing.T, p, text string) []remark {
	t.Helper()
	switch path.Ext(p) {
	case ".go":
		return goRemarks(t, p, text)
	case ".md", ".json":
		return nil // the links and paths of documents have tests of their own, and data has no comments
	case ".sql":
		return append(blockRemarks(p, text), lineRemarks(p, text, dashComment)...)
	case ".templ", ".css", ".js", ".mjs":
		return append(blockRemarks(p, text), lineRemarks(p, text, slashComment)...)
	}
	return lineRemarks(p, text, hashComment)
}

func goRemarks(t *testing.T, p, text string) []remark {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []remark
	for _, c := range parsed.Comments {
		all = append(all, remark{p, strings.Join(strings.Fields(c.Text()), " ")})
	}
	return all
}

func blockRemarks(p, text string) []remark {
	var all []remark
	for _, m := range blockComment.FindAllStringSubmatch(text, -1) {
		all = append(all, remark{p, strings.Join(strings.Fields(m[1]+m[2]), " ")})
	}
	return all
}

func lineRemarks(p, text string, comment *regexp.Regexp) []remark {
	var all []remark
	following := false
	for _, line := range strings.Split(text, "\n") {
		m := comment.FindStringSubmatch(line)
		if m == nil {
			following = false
			continue
		}
		line := strings.TrimSpace(m[1])
		if following {
			all[len(all)-1].text += " " + line
		} else {
			all = append(all, remark{p, line})
		}
		following = true
	}
	return all
}

// literals returns the strings of a Go file that name a document.
func literals(t *testing.T, p, text string) []remark {
	t.Helper()
	if !strings.HasSuffix(p, ".go") {
		return nil
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), p, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []remark
	ast.Inspect(parsed, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && strings.Contains(lit.Value, ".md") {
			all = append(all, remark{p, lit.Value})
		}
		return true
	})
	return all
}

// missingFiles returns the files and sections that a remark names and the repository does not have. It ignores
// addresses on the web.
func (l library) missingFiles(r remark) []string {
	var missing []string
	text := webAddress.ReplaceAllString(r.text, "")
	for _, at := range namedFile.FindAllStringIndex(text, -1) {
		name, after := strings.TrimPrefix(text[at[0]:at[1]], "/"), text[at[1]:]
		found := l.find(r.path, name)
		if len(found) == 0 {
			missing = append(missing, name+", which does not exist")
			continue
		}
		if m := namedSection.FindStringSubmatch(after); m != nil && !l.hasSection(found[0], m[1]) {
			missing = append(missing, name+", which has no section "+m[1])
		}
		if m := namedAnchor.FindStringSubmatch(after); m != nil && !hasAnchor(l.files[found[0]], m[1]) {
			missing = append(missing, name+", which has no heading #"+m[1])
		}
	}
	return missing
}

// find lists the files that a name in a remark of a file may mean. A document without a folder is in the root, docs,
// docs/adr or the file's own folder. Other files may be named without the folders in front.
func (l library) find(from, name string) []string {
	var found []string
	for p := range l.files {
		if p == name || p == path.Join(path.Dir(from), name) || mayMean(name, p) {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	return found
}

// mayMean reports whether a name that is not a full path may mean a file.
func mayMean(name, p string) bool {
	switch {
	case strings.HasPrefix(name, "_"): // the end of a file's name, such as _test.go
		return strings.HasSuffix(p, name)
	case strings.Contains(name, "/"):
		return strings.HasSuffix(p, "/"+name) || matches(p, name)
	case strings.HasSuffix(name, ".md"):
		return p == "docs/"+name || p == "docs/adr/"+name || matches(path.Base(p), name)
	default:
		return path.Base(p) == name || matches(path.Base(p), name)
	}
}

// matches reports whether a name with a star matches a path.
func matches(p, name string) bool {
	if !strings.Contains(name, "*") {
		return false
	}
	ok, err := path.Match(name, p)
	return err == nil && ok
}

// hasSection reports whether a document has a heading that begins with a number.
func (l library) hasSection(document, number string) bool {
	return regexp.MustCompile(`(?m)^#+ ` + number + `\b`).MatchString(l.files[document])
}

// missingMarks returns the marks in a remark that nothing in the repository defines.
func (l library) missingMarks(r remark) []string {
	var missing []string
	check := func(mark *regexp.Regexp, defined []string, where string) {
		for _, m := range mark.FindAllStringSubmatch(r.text, -1) {
			if !slices.Contains(defined, m[1]) {
				missing = append(missing, m[1]+", which "+where+" does not define")
			}
		}
	}
	check(invariantMark, l.invariants, "internal/invariant/check.go")
	check(crashMark, l.crashes, "internal/failpoint/failpoint.go")
	if strings.HasSuffix(r.path, ".md") {
		return missing // documents may use other letters
	}
	if strings.HasPrefix(r.path, "internal/kafka/") {
		check(suiteMark, l.suite, "internal/kafka/main_test.go")
	} else {
		check(suiteMark, nil, "this repository")
	}
	check(strangeMark, terms, "this repository")
	for _, m := range decisionName.FindAllStringSubmatch(r.text, -1) {
		if len(l.find("", "docs/adr/"+m[1]+"-*.md")) == 0 {
			missing = append(missing, "ADR "+m[1]+", which does not exist")
		}
	}
	return missing
}

// sample returns a small repository for tests.
func sample() library {
	return library{
		files: map[string]string{
			"README.md":                       "",
			"docs/events.md":                  "# Events\n\n## The types\n",
			"docs/adding.md":                  "# Adding\n\n## 3. The simulator\n",
			"docs/adr/0004-outbox.md":         "",
			"internal/kafka/relay.go":         "",
			"internal/kafka/relay_test.go":    "",
			"internal/httpapi/static/NOTE.md": "",
		},
		decisions: []string{"D1"}, invariants: []string{"I1"}, crashes: []string{"CP-D1"}, suite: []string{"T1"},
	}
}

func TestAMissingFileIsFoundInAComment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"see events.md", ""},
		{"see docs/events.md#the-types", ""},
		{"see adding.md, 3", ""},
		{"see kafka/relay.go and relay.go and every _test.go", ""},
		{"see https://example.com/nowhere.md for more", ""},
		{"as ADR 0004 and docs/adr/0004-*.md say", ""},
		{"see nowhere.md", "nowhere.md, which does not exist"},
		{"see docs/nowhere.md", "docs/nowhere.md, which does not exist"},
		{"see adding.md, 4", "adding.md, which has no section 4"},
		{"see adding.md § 5", "adding.md, which has no section 5"},
		{"see events.md §3", "events.md, which has no section 3"},
		{"(events.md, rule 8)", "events.md, which has no section 8"},
		{"see docs/events.md#three", "docs/events.md, which has no heading #three"},
		{"see queue/relay.go", "queue/relay.go, which does not exist"},
		{"see feeder.go", "feeder.go, which does not exist"},
		{"see NOTE.md", "NOTE.md, which does not exist"}, // a document of another folder
	} {
		got := strings.Join(sample().missingFiles(remark{"internal/kafka/relay.go", c.text}), "; ")
		if got != c.want {
			t.Errorf("missingFiles(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestAnUndefinedMarkIsFoundInAComment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ path, text, want string }{
		{"a.go", "I1 holds at CP-D1, as ADR 0004 says; item-E1 speaks S3", ""},
		{"a.go", "as I9 says", "I9, which internal/invariant/check.go does not define"},
		{"a.go", "dies at CP-C9", "CP-C9, which internal/failpoint/failpoint.go does not define"},
		{"a.go", "(P20)", "P20, which this repository does not define"},
		{"a.go", "T1: a rebuild", "T1, which this repository does not define"},
		{"internal/kafka/a_test.go", "T1: a rebuild", ""},
		{"internal/kafka/a_test.go", "T2: a rebuild", "T2, which internal/kafka/main_test.go does not define"},
		{"a.go", "as ADR 0099 says", "ADR 0099, which does not exist"},
		{"docs/events.md", "I9, see S4", "I9, which internal/invariant/check.go does not define"},
	} {
		if got := strings.Join(sample().missingMarks(remark{c.path, c.text}), "; "); got != c.want {
			t.Errorf("missingMarks(%q of %s) = %q, want %q", c.text, c.path, got, c.want)
		}
	}
}

func TestOnlyDecisionsAreTakenForDecisions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"(D" + "98)": 1, "D" + "97: " + "D" + "96, and D" + "95's": 3, "D" + "94": 1,
		"CP-D" + "7": 0, "%D" + "0%9F": 0, "#D" + "40": 0, "0xD" + "8": 0, "ID" + "1": 0, "=D" + "0": 0,
	} {
		if got := len(decisionMark.FindAllString(text, -1)); got != want {
			t.Errorf("%q cites %d decisions, want %d", text, got, want)
		}
	}
}

func TestCommentsAreFoundInEveryKindOfFile(t *testing.T) {
	t.Parallel()
	for p, text := range map[string]string{
		"a.go":     "package a\n\n// One, which goes on\n// over two lines.\nvar x = `// no`\n",
		"a.sql":    "SELECT 1; -- One, which goes on\n   -- over two lines.\nSELECT 2;\n",
		"a.templ":  "// One, which goes on\n// over two lines.\ntempl A() {\n\t<a href=\"https://example.com\">x</a>\n}\n",
		"a.css":    "/* One, which goes on\n   over two lines. */\na { color: red }\n",
		"a.js":     "let x = 1 // One, which goes on\n// over two lines.\n",
		"a.yaml":   "# One, which goes on\n# over two lines.\na: b#c\n",
		"Makefile": "all: # One, which goes on\n\t# over two lines.\n\techo\n",
	} {
		got := remarks(t, p, text)
		if len(got) != 1 || got[0].text != "One, which goes on over two lines." {
			t.Errorf("remarks(%s) = %q", p, got)
		}
	}
}
