package notice_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/notice"
)

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

func TestEveryTextExistsInEveryLanguageWithTheSamePlaceholders(t *testing.T) {
	t.Parallel()
	texts := notice.Texts()
	if len(texts) < 90 {
		t.Fatalf("only %d texts", len(texts))
	}
	for key, by := range texts {
		if !notice.Known(key) {
			t.Errorf("%s is in the catalogue twice, or not at all", key)
		}
		var want []string
		for _, l := range notice.Languages() {
			for _, text := range by[l] {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s is missing in %s", key, l)
					continue
				}
				// A plural form may leave the number out, because the form itself implies it.
				found := slices.DeleteFunc(placeholder.FindAllString(text, -1), func(p string) bool { return p == "{n}" })
				slices.Sort(found)
				if found = slices.Compact(found); want == nil {
					want = append([]string{}, found...)
				}
				if diff := cmp.Diff(want, append([]string{}, found...)); diff != "" {
					t.Errorf("%s in %s has other placeholders (-english +%s):\n%s", key, l, l, diff)
				}
			}
		}
	}
}

var quotedKey = regexp.MustCompile(`"([a-z]+(?:-[a-z]+)*\.[a-z]+(?:-[a-z]+)*)"`)

func TestEveryKeyThatTheCodeNamesIsInTheCatalogue(t *testing.T) {
	t.Parallel()
	var named int
	for _, dir := range []string{".", "../mail"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") || strings.HasPrefix(filepath.Base(f), "texts") {
				continue
			}
			source, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(string(source), "\n") {
				if !strings.Contains(line, "Say(") && !strings.Contains(line, "Count(") && !strings.Contains(line, "Key") &&
					!strings.Contains(line, "return \"") && !strings.Contains(line, "lead = ") {
					continue
				}
				for _, m := range quotedKey.FindAllStringSubmatch(line, -1) {
					if named++; !notice.Known(notice.Key(m[1])) {
						t.Errorf("%s names %q, which is not in the catalogue", f, m[1])
					}
				}
			}
		}
	}
	if named < 40 {
		t.Errorf("only %d keys were found in the code", named)
	}
	for _, c := range notice.Causes() {
		if !notice.Known(notice.Key(c+".text")) || !notice.Known(notice.Key(c+".what")) {
			t.Errorf("the cause %s has no text", c)
		}
	}
	for _, why := range notice.NoAnswers() {
		if !notice.Known(notice.Key("silent." + why)) {
			t.Errorf("the reason %s for no answer has no text", why)
		}
	}
}

func TestPluralsFollowTheLanguage(t *testing.T) {
	t.Parallel()
	want := map[notice.Language]map[int]string{
		notice.English: {1: "1 service is delivered.", 2: "2 services are delivered.", 0: "0 services are delivered."},
		notice.German:  {1: "1 Dienst ist geliefert.", 2: "2 Dienste sind geliefert.", 101: "101 Dienste sind geliefert."},
		notice.Slovenian: {
			1: "1 storitev je dostavljena.", 2: "2 storitvi sta dostavljeni.", 3: "3 storitve so dostavljene.",
			4: "4 storitve so dostavljene.", 5: "5 storitev je dostavljenih.", 11: "11 storitev je dostavljenih.",
			100: "100 storitev je dostavljenih.", 101: "101 storitev je dostavljena.", 102: "102 storitvi sta dostavljeni.",
			104: "104 storitve so dostavljene.",
		},
	}
	for l, by := range want {
		for n, text := range by {
			if got := l.Count("partly.delivered", n); got != text {
				t.Errorf("%d in %s reads %q, want %q", n, l, got, text)
			}
		}
	}
}

func TestMoneyIsWrittenAsTheLanguageDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		l     notice.Language
		cents int64
		cur   string
		want  string
	}{
		{notice.English, 123_450, "EUR", "€1,234.50"},
		{notice.English, 123_456_789, "CHF", "CHF 1,234,567.89"},
		{notice.English, -100, "USD", "−$1.00"},
		{notice.English, 1_500, "JPY", "JPY 1,500"},
		{notice.German, 123_450, "EUR", "1.234,50 €"},
		{notice.German, 5, "CHF", "0,05 CHF"},
		{notice.German, 100_000, "KWD", "100,000 KWD"},
		{notice.Slovenian, 123_450, "EUR", "1.234,50 €"},
		{notice.Slovenian, 99_999, "GBP", "999,99 £"},
		{notice.Slovenian, -123_450, "EUR", "−1.234,50 €"},
	} {
		if got := strings.ReplaceAll(money(c.l, c.cents, c.cur), "\u00a0", " "); got != c.want {
			t.Errorf("%d %s in %s is %q, want %q", c.cents, c.cur, c.l, got, c.want)
		}
	}
}

func TestTimesAreInTheTenantsZoneAndNameIt(t *testing.T) {
	t.Parallel()
	winter, summer := time.Date(2026, 1, 31, 23, 30, 0, 0, time.UTC), time.Date(2026, 7, 14, 22, 5, 0, 0, time.UTC)
	for _, c := range []struct {
		l    notice.Language
		zone string
		at   time.Time
		want string
	}{
		{notice.English, "Europe/Ljubljana", winter, "1 February 2026, 00:30 (CET)"},
		{notice.German, "Europe/Ljubljana", summer, "15. Juli 2026, 00:05 Uhr (MESZ)"},
		{notice.German, "Europe/Ljubljana", winter, "1. Februar 2026, 00:30 Uhr (MEZ)"},
		{notice.Slovenian, "Europe/Ljubljana", summer, "15. julija 2026 ob 00.05 (CEST)"},
		{notice.English, "America/Sao_Paulo", winter, "31 January 2026, 20:30 (UTC-03:00)"},
		{notice.English, "UTC", winter, "31 January 2026, 23:30 (UTC)"},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := notice.Moment(notice.Reader{Language: c.l, Zone: zone}, c.at); got != c.want {
			t.Errorf("in %s and %s it is %q, want %q", c.l, c.zone, got, c.want)
		}
	}
	if got := notice.Moment(notice.Reader{Language: notice.English}, winter); got != "31 January 2026, 23:30 (UTC)" {
		t.Errorf("without a zone it is %q", got)
	}
}

func TestTextOnEveryBrandCanBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ color, contrast, surface, text string }{
		{"#0b5fff", "#ffffff", "#0b5fff", "#ffffff"},
		{"#0B5FFF", "", "#0b5fff", "#ffffff"},
		{"#ffd400", "", "#ffd400", "#000000"},        // white cannot be read on yellow
		{"#ffd400", "#ffffff", "#ffd400", "#000000"}, // not even when the tenant asks for it
		{"#ffd400", "#003366", "#ffd400", "#003366"},
		{"", "#ffffff", "#0b5c4a", "#ffffff"},
		{"red; background: url(https://evil.test)", "", "#0b5c4a", "#ffffff"},
	} {
		surface, text, _ := notice.Brand{Color: c.color, Contrast: c.contrast}.Colours()
		if surface != c.surface || text != c.text {
			t.Errorf("brand %q with %q: %s on %s, want %s on %s", c.color, c.contrast, text, surface, c.text, c.surface)
		}
	}
	const digits = "0123456789abcdef"
	for r := 0; r < 16; r++ {
		for g := 0; g < 16; g++ {
			for b := 0; b < 16; b++ {
				color := "#" + strings.Repeat(digits[r:r+1], 2) + strings.Repeat(digits[g:g+1], 2) +
					strings.Repeat(digits[b:b+1], 2)
				if _, text, ratio := (notice.Brand{Color: color, Contrast: "#808080"}).Colours(); ratio < 4.5 {
					t.Errorf("%s on %s has a contrast of %.2f", text, color, ratio)
				}
			}
		}
	}
}

func TestWhateverWasTypedCanBeMailed(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"a\r\nBcc: eve@evil.test": "a Bcc: eve@evil.test",
		"a\x00b\u202egpj.exe":     "a bgpj.exe",
		"=?utf-8?q?x?=":           "= ?utf-8?q?x?=",
		"  many   blanks\u2028 ":  "many blanks",
		"žlica & <b>":             "žlica & <b>",
	} {
		if got := notice.Plain(typed); got != want {
			t.Errorf("%q becomes %q, want %q", typed, got, want)
		}
	}
	if got := notice.Short("žžžžž", 4); got != "žžž…" {
		t.Errorf("cut to four: %q", got)
	}
	n := customerNotices()["refund"]
	n.Order, n.Items[0].Label, n.Link = "ORD-1\r\nBcc: x@y.test {amount}", "{order} </td><script>alert(1)</script>",
		"javascript:alert(1)"
	m, err := notice.ForCustomer(reader(t, notice.English), n)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.HTML, "<script") ||
		strings.Contains(m.HTML, "javascript:") || !strings.Contains(m.Text, "{order} </td>") {
		t.Errorf("what was typed is interpreted in the mail:\n%s\n%s\n%s", m.Subject, m.Text, m.HTML)
	}
	if _, err := notice.ForCustomer(reader(t, notice.English), notice.Customer{Kind: 99}); err == nil {
		t.Error("an unknown kind is rendered")
	}
	if _, err := notice.ForOperators(reader(t, notice.English), notice.Operators{Cause: "weather"}); err == nil {
		t.Error("an unknown cause is rendered")
	}
}

func TestAnUnknownLanguageBecomesEnglish(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]notice.Language{
		"en": "en", "de": "de", "sl": "sl", "": "en", "xx": "en", "DE": "en",
	} {
		if got, ok := notice.LanguageOf(code); got != want || ok != (code == string(want)) {
			t.Errorf("LanguageOf(%q) = %s, %t", code, got, ok)
		}
	}
}
