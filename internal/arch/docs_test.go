package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/arch/commandline"
)

var (
	linkTo     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	ourPath    = regexp.MustCompile(`^(\./)?(internal|cmd|docs|tools|\.ci)/[\w./*-]*\w`)
	targetLine = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	flagName   = regexp.MustCompile(`^--([a-z][a-z-]*)`)
	variable   = regexp.MustCompile(`^PLATFORMA_[A-Z_]+$`)
	notAWord   = regexp.MustCompile(`[^\w -]`)
)

// page is a document for people.
type page struct {
	path string
	text string
}

// pages returns the documents: those in the root, such as README.md, and all below docs.
func pages(t *testing.T) []page {
	t.Helper()
	var out []page
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".md") || strings.Contains(path, "/") && !strings.HasPrefix(path, "docs/") {
			return
		}
		raw, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, page{path, string(raw)})
	})
	if len(out) < 10 {
		t.Fatalf("found %d documents: the walk misses some", len(out))
	}
	return out
}

// citations returns the pieces of a page that name things of the project: code spans, and the commands of fenced sh
// blocks.
func (p page) citations() []string {
	var out []string
	fence, shell := false, false
	for _, line := range strings.Split(p.text, "\n") {
		if language, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
			fence, shell = !fence, !fence && strings.HasPrefix(language, "sh")
			continue
		}
		if shell {
			command, _, _ := strings.Cut(line, " #")
			out = append(out, strings.TrimPrefix(strings.TrimSpace(command), "bin/"))
		}
		if !fence {
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				out = append(out, m[1])
			}
		}
	}
	return out
}

func exists(path string) bool {
	if strings.Contains(path, "*") {
		found, err := filepath.Glob(path)
		return err == nil && len(found) > 0
	}
	_, err := os.Stat(path)
	return err == nil
}

func TestEveryLinkInADocumentResolves(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, m := range linkTo.FindAllStringSubmatch(p.text, -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") {
				continue
			}
			file := filepath.Join(root, p.path)
			if to != "" {
				file = filepath.Join(root, filepath.Dir(p.path), to)
			}
			if !exists(file) {
				t.Errorf("%s: the link to %s leads nowhere", p.path, m[1])
				continue
			}
			if anchor != "" && strings.HasSuffix(file, ".md") && !hasHeading(t, file, anchor) {
				t.Errorf("%s: %s has no heading #%s", p.path, to, anchor)
			}
		}
	}
}

// hasHeading reports whether a page has a heading with an anchor, which is made from the heading's words.
func hasHeading(t *testing.T, file, anchor string) bool {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return hasAnchor(string(raw), anchor)
}

func hasAnchor(text, anchor string) bool {
	for _, line := range strings.Split(text, "\n") {
		if words, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			if strings.ReplaceAll(notAWord.ReplaceAllString(strings.ToLower(words), ""), " ", "-") == anchor {
				return true
			}
		}
	}
	return false
}

func TestEveryPathInADocumentExists(t *testing.T) {
	t.Parallel()
	paths := 0
	for _, p := range pages(t) {
		for _, s := range p.citations() {
			for _, word := range strings.Fields(s) {
				path := ourPath.FindString(word)
				if path == "" {
					continue
				}
				paths++
				if !exists(filepath.Join(root, strings.TrimSuffix(path, "/..."))) {
					t.Errorf("%s: %s does not exist", p.path, path)
				}
			}
		}
	}
	if paths < 20 {
		t.Errorf("saw %d paths in the documents: the walk misses some", paths)
	}
}

func TestEveryMakeTargetInADocumentExists(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range targetLine.FindAllStringSubmatch(string(raw), -1) {
		targets[m[1]] = true
	}
	for _, want := range []string{"run", "test", "lint", "generate", "verify", "check", "test-kafka", "demo", "fmt"} {
		if !targets[want] {
			t.Errorf("the Makefile has no target %s", want)
		}
	}
	for _, p := range pages(t) {
		for _, s := range p.citations() {
			words := strings.Fields(s)
			if len(words) > 1 && words[0] == "make" && !targets[words[1]] {
				t.Errorf("%s: there is no make target %q", p.path, words[1])
			}
		}
	}
}

func TestEveryCommandAndFlagInADocumentExists(t *testing.T) {
	t.Parallel()
	commands, err := commandline.Read(filepath.Join(root, "cmd/platforma"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		for _, s := range p.citations() {
			words := strings.Fields(s)
			if len(words) < 2 || words[0] != "platforma" {
				continue
			}
			c, rest, ok := commandline.Find(commands, words[1:])
			if !ok {
				t.Errorf("%s: there is no command %q", p.path, s)
				continue
			}
			for _, word := range rest {
				if m := flagName.FindStringSubmatch(word); m != nil && m[1] != "help" && !c.Has(m[1]) {
					t.Errorf("%s: platforma %s has no flag --%s", p.path, c.Words, m[1])
				}
			}
		}
	}
}

func TestEveryVariableInADocumentIsRead(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	walk(t, func(path string) {
		if strings.HasSuffix(path, ".go") && !strings.HasPrefix(path, "internal/arch/") || path == "Makefile" ||
			strings.HasSuffix(path, ".sh") {
			raw, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				t.Fatal(err)
			}
			source.Write(raw)
		}
	})
	read := source.String()
	for _, p := range pages(t) {
		for _, s := range p.citations() {
			if variable.MatchString(s) && !strings.Contains(read, s) {
				t.Errorf("%s: nothing reads %s", p.path, s)
			}
		}
	}
}

func TestReadmeNamesTheTwoCommandsAndWalksOneOrder(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme := string(raw)
	for _, want := range []string{
		"make run", "make test", "```sh check\n", "/v1/quotes", "/submit", "/payment/confirm", "/events", "kcat",
	} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md does not contain %q", want)
		}
	}
}
