package catalog_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
)

func TestDiffShowsWhatEachEntryOfTheFileWouldDo(t *testing.T) {
	t.Parallel()
	july := noon().AddDate(0, 1, 0)
	file := []catalog.Entry{
		change(t, "vps", 2, july, func(b map[string]any) {
			inside(b, "plans", 1)["price"] = "21.00"
			b["plans"] = append([]any{map[string]any{"id": "mini", "title": "Mini", "price": "5.00", "unit": "month"}},
				b["plans"].([]any)[1:]...)
			b["regions"] = []string{"lj-1"}
			delete(b, "assumptions")
		}),
		change(t, "gpu", 1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), func(map[string]any) {}),
		change(t, "database", 1, noon(), func(b map[string]any) { b["title"] = "DB" }),
		{
			Name: "tape", Version: 1, ValidFrom: july,
			Body: json.RawMessage(`{"kind":"price","title":"Tape","unit":"TB","unit_price":"1.00"}`),
		},
	}
	got := catalog.Diff(catalog.Default(), file)
	want := []catalog.Change{
		{
			Entry: "database", Kind: catalog.Refused, From: 1, To: 1, ValidFrom: noon(),
			Problem: "version 1 exists already with other content: make this one version 2",
		},
		{Entry: "gpu", Kind: catalog.Unchanged, From: 1, To: 1, ValidFrom: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Entry: "tape", Kind: catalog.Added, To: 1, ValidFrom: july},
		{Entry: "vps", Kind: catalog.Changed, From: 1, To: 2, ValidFrom: july, Details: []catalog.Detail{
			{
				Pointer: "/valid_from", Old: json.RawMessage(`"2026-01-01T00:00:00Z"`),
				New: json.RawMessage(`"2026-07-01T12:00:00Z"`),
			},
			{
				Pointer: "/assumptions",
				Old: json.RawMessage(`["The sizes of the plans (vCPU, memory, disk) are ours; ` +
					`the specification names their prices only (D14).",` +
					`"The list of operating systems is ours; no licence is charged for any of them."]`),
			},
			{Pointer: "/plans/business/price", Old: json.RawMessage(`"20.10"`), New: json.RawMessage(`"21.00"`)},
			{
				Pointer: "/plans/core",
				Old: json.RawMessage(`{"id":"core","included":{"disk_gb":40,"ram_gb":4,"vcpu":2},` +
					`"price":"10.00","title":"Core","unit":"month"}`),
			},
			{Pointer: "/plans/mini", New: json.RawMessage(`{"id":"mini","price":"5.00","title":"Mini","unit":"month"}`)},
			{Pointer: "/regions", Old: json.RawMessage(`["lj-1","mb-1","hetzner-fsn1"]`), New: json.RawMessage(`["lj-1"]`)},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Diff (-want +got):\n%s", diff)
	}
}

func TestDiffReadsLikeAReport(t *testing.T) {
	t.Parallel()
	july := noon().AddDate(0, 1, 0)
	file := []catalog.Entry{
		change(t, "block-storage", 2, july, func(b map[string]any) {
			b["unit_price"] = "0.60"
			b["title"] = "SSD <fast>"
			delete(b, "assumption")
		}),
		change(t, "gpu", 1, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), func(map[string]any) {}),
		{Name: "tape", Version: 1, ValidFrom: july, Body: json.RawMessage(`{"kind":"price"}`)},
		{Name: "tape", Version: 2, ValidFrom: july, Body: json.RawMessage(`{"kind":"price","unit":"TB"}`)},
		{Name: "vps", Version: 0, ValidFrom: july, Body: json.RawMessage(`{}`)},
	}
	text := ""
	for _, c := range catalog.Diff(catalog.Default(), file) {
		text += c.String() + "\n"
	}
	want := `~ block-storage version 1 → 2, from 2026-07-01T12:00:00Z
    /valid_from: "2026-01-01T00:00:00Z" → "2026-07-01T12:00:00Z"
    /assumption: removed "The specification prices storage of Kubernetes at 0.50 per GB ` +
		`and names no storage price for databases and GPU sets; both take the same rate (D14)."
    /title: "Block storage" → "SSD <fast>"
    /unit_price: "0.50" → "0.60"
= gpu version 1
+ tape version 1, from 2026-07-01T12:00:00Z
~ tape version 1 → 2, from 2026-07-01T12:00:00Z
    /unit: added "TB"
! vps version 0 refused: version 1 exists already: make this one version 2
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestAnEntryThatOnlyLooksDifferentIsUnchanged(t *testing.T) {
	t.Parallel()
	old := []catalog.Entry{
		{Name: "tape", Version: 3, ValidFrom: noon(), Body: json.RawMessage(`{"a":1,"b":[{"id":"x","n":2}]}`)},
	}
	same := []catalog.Entry{
		{
			Name: "tape", Version: 3, ValidFrom: noon().In(time.FixedZone("CEST", 7200)),
			Body: json.RawMessage(" { \"b\" : [ {\"n\":2, \"id\":\"x\"} ],\n \"a\" : 1 }"),
		},
	}
	got := catalog.Diff(old, same)
	if len(got) != 1 || got[0].Kind != catalog.Unchanged {
		t.Errorf("Diff = %v", got)
	}
}

func TestListsWhoseMembersShareANameAreComparedWhole(t *testing.T) {
	t.Parallel()
	at := func(version int, body string) []catalog.Entry {
		return []catalog.Entry{{Name: "tape", Version: version, ValidFrom: noon(), Body: json.RawMessage(body)}}
	}
	got := catalog.Diff(at(1, `{"l":[{"id":"x","n":1},{"id":"x","n":2}]}`),
		at(2, `{"l":[{"id":"x","n":9},{"id":"x","n":2}]}`))
	want := []catalog.Detail{
		{
			Pointer: "/l", Old: json.RawMessage(`[{"id":"x","n":1},{"id":"x","n":2}]`),
			New: json.RawMessage(`[{"id":"x","n":9},{"id":"x","n":2}]`),
		},
	}
	if diff := cmp.Diff(want, got[0].Details); diff != "" {
		t.Errorf("Diff (-want +got):\n%s", diff)
	}
}

func TestADiffIsEncodedAsJSON(t *testing.T) {
	t.Parallel()
	changes := catalog.Diff(catalog.Default(), []catalog.Entry{
		change(t, "block-storage", 2, noon(), func(b map[string]any) { b["unit_price"] = "0.60" }),
	})
	b, err := json.Marshal(changes)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"entry":"block-storage","kind":"changed","from_version":1,"to_version":2,` +
		`"valid_from":"2026-06-01T12:00:00Z","details":[` +
		`{"pointer":"/valid_from","old":"2026-01-01T00:00:00Z","new":"2026-06-01T12:00:00Z"},` +
		`{"pointer":"/unit_price","old":"0.50","new":"0.60"}]}]`
	if string(b) != want {
		t.Errorf("JSON %s\nwant %s", b, want)
	}
}
