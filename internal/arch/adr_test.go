package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	decisionFile = regexp.MustCompile(`^docs/adr/(\d{4})-[a-z0-9-]+\.md$`)
	decisionName = regexp.MustCompile(`\bADR (\d{4})\b`)
)

func TestEveryDecisionIsCompleteAndListed(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile(filepath.Join(root, "docs/adr/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, p := range pages(t) {
		m := decisionFile.FindStringSubmatch(p.path)
		if m == nil {
			continue
		}
		if known[m[1]] {
			t.Errorf("%s: the number is taken", p.path)
		}
		known[m[1]] = true
		title, _, _ := strings.Cut(strings.TrimPrefix(p.text, "# "+m[1]+". "), "\n")
		line := fmt.Sprintf("| %s | [%s](%s) |\n", m[1], title, filepath.Base(p.path))
		if !strings.Contains(string(index), line) {
			t.Errorf("docs/adr/README.md does not have the line %q", line)
		}
		for _, section := range []string{"## Context", "## Decision", "## What it costs", "## What would change our mind"} {
			if !strings.Contains(p.text, "\n"+section+"\n") {
				t.Errorf("%s has no section %q", p.path, section)
			}
		}
	}
	for n := 1; n <= len(known); n++ {
		if number := fmt.Sprintf("%04d", n); !known[number] {
			t.Errorf("decision %s is missing: numbers have no gaps", number)
		}
	}
	_, files := goFiles(t)
	for _, f := range files {
		for _, c := range f.ast.Comments {
			for _, m := range decisionName.FindAllStringSubmatch(c.Text(), -1) {
				if !known[m[1]] {
					t.Errorf("%s: there is no ADR %s", f.path, m[1])
				}
			}
		}
	}
}
