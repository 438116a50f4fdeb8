package catalog_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
)

func jsonFile(t testing.TB, entries ...catalog.Entry) *strings.Reader {
	t.Helper()
	b, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReader(string(b))
}

func TestTheBuiltInCataloguePassesItsOwnLint(t *testing.T) {
	t.Parallel()
	f, err := os.Open("catalog.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, err := catalog.ParseFile(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(catalog.Default(), entries); diff != "" {
		t.Errorf("Default and the file differ:\n%s", diff)
	}
}

func TestAFileMayReferToExistingPrices(t *testing.T) {
	t.Parallel()
	next := change(t, "gpu", 2, noon(), func(b map[string]any) { b["title"] = "GPU servers" })
	if _, err := catalog.ParseFile(jsonFile(t, next)); err == nil || !strings.Contains(err.Error(),
		"no price entry block-storage") {
		t.Errorf("alone: %v", err)
	}
	entries, err := catalog.ParseFile(jsonFile(t, next), catalog.Default()...)
	if err != nil || len(entries) != 1 || entries[0].Version != 2 {
		t.Errorf("together with the others: %v, %v", entries, err)
	}
}

func TestAPriceAloneCanBeChanged(t *testing.T) {
	t.Parallel()
	// The samples of the existing products have the old price. They are not in the file and not checked again.
	next := change(t, "block-storage", 2, noon(), func(b map[string]any) { b["unit_price"] = "0.60" })
	if _, err := catalog.ParseFile(jsonFile(t, next), catalog.Default()...); err != nil {
		t.Error(err)
	}
	tooHigh := change(t, "block-storage", 2, noon(), func(b map[string]any) { b["unit_price"] = "9999.00" })
	if _, err := catalog.ParseFile(jsonFile(t, tooHigh), catalog.Default()...); err == nil ||
		!strings.Contains(err.Error(), "above the bound") {
		t.Errorf("a price that breaks the products that refer to it: %v", err)
	}
}

func TestAPriceMayNotBreakAProductThatBecomesValidLater(t *testing.T) {
	t.Parallel()
	august := noon().AddDate(0, 2, 0)
	large := change(t, "gpu", 2, august, func(b map[string]any) {
		inside(b, "configuration", "properties", "storage_gb")["maximum"] = 19_000_000 // 9.5 million euros at 0.50
	})
	current := append(catalog.Default(), large)
	dearer := change(t, "block-storage", 2, noon(), func(b map[string]any) { b["unit_price"] = "0.60" })
	if _, err := catalog.ParseFile(jsonFile(t, dearer), current...); err == nil || !strings.Contains(err.Error(),
		"entry gpu version 2: the largest configuration costs 11419200.00") {
		t.Errorf("ParseFile = %v", err)
	}
}

func TestAFileIsRefusedWithEachFaultyEntryNamed(t *testing.T) {
	t.Parallel()
	sample := func(member, value string) func(map[string]any) {
		return func(b map[string]any) { inside(b, "samples", 0)[member] = value }
	}
	unedited := func(map[string]any) {}
	renamed := func(e catalog.Entry, name string) catalog.Entry { e.Name = name; return e }
	for _, k := range []struct {
		want    string
		entries []catalog.Entry
	}{
		{"holds no entry", []catalog.Entry{}},
		{"versions start at 1", []catalog.Entry{change(t, "vps", 0, noon(), unedited)}},
		{"valid_from is required", []catalog.Entry{{Name: "vps", Version: 2, Body: json.RawMessage(`{}`)}}},
		{"is in the file twice", []catalog.Entry{
			change(t, "vps", 2, noon(), unedited),
			change(t, "vps", 2, noon(), unedited),
		}},
		{"the entry's name", []catalog.Entry{renamed(change(t, "vps", 2, noon(), unedited), "VPS 2")}},
		{`kind "" is neither`, []catalog.Entry{{Name: "vps", Version: 2, ValidFrom: noon(), Body: json.RawMessage(`{}`)}}},
		{
			`sample 0: costs 10.00 monthly, not "10.01"`,
			[]catalog.Entry{change(t, "vps", 2, noon(), sample("monthly", "10.01"))},
		},
		{
			`sample 0: costs 96.00 annual, not "120.00"`,
			[]catalog.Entry{change(t, "vps", 2, noon(), sample("annual", "120.00"))},
		},
		{
			"sample 0: is refused: /region region-not-offered",
			[]catalog.Entry{change(t, "vps", 2, noon(), sample("region", "mars-1"))},
		},
		{
			"sample 0: is refused: /plan plan-not-offered",
			[]catalog.Entry{change(t, "vps", 2, noon(), sample("plan", "tiny"))},
		},
		// Faulty, although a newer version in the same file replaces it on the day it becomes valid.
		{"vps version 2: sample 0", []catalog.Entry{
			change(t, "vps", 2, noon(), sample("monthly", "1.00")),
			change(t, "vps", 3, noon(), unedited),
		}},
	} {
		entries, err := catalog.ParseFile(jsonFile(t, k.entries...), catalog.Default()...)
		if err == nil || !strings.Contains(err.Error(), k.want) || entries != nil {
			t.Errorf("ParseFile = %d entries, %v, want %q", len(entries), err, k.want)
		}
	}
	_, err := catalog.ParseFile(jsonFile(t, change(t, "vps", 2, noon(), sample("monthly", "1.00")),
		change(t, "gpu", 2, noon(), sample("annual", "1.00"))), catalog.Default()...)
	if err == nil || !strings.Contains(err.Error(), "entry vps version 2") ||
		!strings.Contains(err.Error(), "entry gpu version 2") {
		t.Errorf("two faulty entries: %v", err)
	}
}

func TestAFileIsStrictJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                                "not valid JSON",
		`{}`:                              "cannot unmarshal",
		`[] []`:                           "not valid JSON",
		`[{"entry":"vps","Version":1}]`:   "unknown member /0/Version",
		`[{"entry":"vps","tenant":"x"}]`:  "unknown member /0/tenant",
		`[{"entry":"a","entry":"b"}]`:     "an object has a member twice",
		"[{\"entry\":\"\xff\"}]":          "not valid UTF-8",
		`[{"entry":"vps","version":1.5}]`: "cannot unmarshal",
		`[null]`:                          "the entry's name",
		strings.Repeat("[", 100):          "not valid JSON",
		strings.Repeat("[", 100) + strings.Repeat("]", 100): "nested deeper",
		strings.Repeat(" ", 4<<20) + "[]":                   "larger than",
	} {
		if _, err := catalog.ParseFile(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseFile(%.40q) = %v, want %q", in, err, want)
		}
	}
	broken := errors.New("disk on fire")
	if _, err := catalog.ParseFile(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("ParseFile of an unreadable file = %v", err)
	}
}
