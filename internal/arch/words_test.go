package arch

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// forbidden are words and paths that no file may hold, each with what to do instead. The expressions are put together
// from pieces, so that this file does not hold what it looks for.
var forbidden = []struct {
	what *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|HA` + `CK)\b`), "finish it, or open an issue"},
	{regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(home|Users)/[a-z]`), "the path of somebody's own machine"},
	{regexp.MustCompile(`(^|[\s"'=(:` + "`" + `])/(work|farm)/`), "the path of somebody's own machine"},
	{regexp.MustCompile(`(?i)\bnot imple` + `mented( yet)?\b|\bunimple` + `mented\b`), "do not offer what does not exist"},
}

// others matches files that this project did not write: vendored files and checksums.
var others = regexp.MustCompile(`(^|/)(static/|testdata/fuzz/|go\.sum$|LICENSE|package-lock\.json$)`)

func TestNoFileHoldsForbiddenWordsOrPathsOfAMachine(t *testing.T) {
	t.Parallel()
	looked := 0
	walk(t, func(path string) {
		if others.MatchString(path) {
			return
		}
		raw, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("read %s: %v", path, err)
			return
		}
		if bytes.IndexByte(raw, 0) >= 0 || !utf8.Valid(raw) {
			return // not text
		}
		looked++
		for n, line := range strings.Split(string(raw), "\n") {
			for _, f := range forbidden {
				if hit := f.what.FindString(line); hit != "" {
					t.Errorf("%s:%d: %q: %s", path, n+1, strings.TrimSpace(hit), f.why)
				}
			}
		}
	})
	if looked < 200 {
		t.Errorf("looked into %d files: the walk misses some", looked)
	}
}
