package portal

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestVendoredFilesMatchTheirVersions(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`^\S+ +[0-9.]+ +\S+ +(\S+) +(\S+) +([0-9a-f]{64})$`)
	found := 0
	lines := bufio.NewScanner(strings.NewReader(string(mustRead("VERSIONS.txt"))))
	for lines.Scan() {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		found++
		sum := sha256.Sum256(mustRead(m[2]))
		if got := hex.EncodeToString(sum[:]); got != m[3] {
			t.Errorf("%s has sum %s, want %s", m[2], got, m[3])
		}
		if len(mustRead(m[1])) == 0 {
			t.Errorf("%s has no licence text", m[2])
		}
	}
	if found != 3 {
		t.Errorf("%d files are listed, want 3", found)
	}
}

// The content security policy allows no data: URLs, which Pico's icons are. Our style sheet must replace each.
func TestEveryIconOfPicoIsReplaced(t *testing.T) {
	t.Parallel()
	sheet := string(mustRead("portal.css"))
	icons := regexp.MustCompile(`(--pico-icon-[a-z]+):url\("data:`).FindAllSubmatch(mustRead("pico.min.css"), -1)
	if len(icons) == 0 {
		t.Fatal("Pico has no icons with data: URLs: remove this test and our icons")
	}
	for _, m := range icons {
		if !strings.Contains(sheet, string(m[1])+":") {
			t.Errorf("%s is not replaced", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`/static/([a-z.]+)`).FindAllStringSubmatch(sheet, -1) {
		if _, ok := loadAssets().files[m[1]]; !ok {
			t.Errorf("%s is named by the style sheet and not served", m[1])
		}
	}
}

// A class that the style sheet does not know leaves its element without its look.
func TestEveryClassOfThePagesIsInAStyleSheet(t *testing.T) {
	t.Parallel()
	sheet := string(mustRead("portal.css")) + string(mustRead("pico.min.css"))
	pages, err := filepath.Glob("*.templ")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	attribute := regexp.MustCompile(`class="([^"]+)"`)
	for _, page := range pages {
		source, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range attribute.FindAllStringSubmatch(string(source), -1) {
			for _, class := range strings.Fields(m[1]) {
				if !regexp.MustCompile(`\.` + regexp.QuoteMeta(class) + `\b`).MatchString(sheet) {
					t.Errorf("%s uses the class %s, which no style sheet has", page, class)
				}
			}
		}
	}
}
