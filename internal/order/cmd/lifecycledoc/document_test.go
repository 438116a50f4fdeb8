package main

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommittedPageIsWhatTheTablesSay(t *testing.T) {
	t.Parallel()
	got, err := os.ReadFile("../../../../docs/order-lifecycle.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(document(), string(got)); diff != "" {
		t.Errorf("docs/order-lifecycle.md is out of date, run make generate (-tables +page):\n%s", diff)
	}
}

func TestLifecyclesHaveNoDeadEnds(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"order": {
			"9 states × 10 triggers = 90 cells: 19 hold a move, a request or a no-op, 71 refuse.",
			"States that cannot be reached from draft: none.",
			"States from which no terminal state can be reached: none.",
			"Triggers that no state takes: none.",
			"Terminal states that can be left: cancelled by restore.",
			"Cells with more than one target: provisioning on items-changed, partially_fulfilled on items-changed.",
		},
		"item": {
			"11 states × 12 triggers = 132 cells: 21 hold a move, a request or a no-op, 111 refuse.",
			"States that cannot be reached from pending: none.",
			"States from which no terminal state can be reached: none.",
			"Triggers that no state takes: none.",
			"Terminal states that can be left: rolled_back by restore, cancelled by restore.",
			"Cells with more than one target: none.",
		},
	}
	for _, l := range []lifecycle{orders(), items()} {
		if diff := cmp.Diff(want[l.of], l.report()); diff != "" {
			t.Errorf("report of %ss (-want +got):\n%s", l.of, diff)
		}
	}
}

func TestReportNamesWhatIsWrongWithATable(t *testing.T) {
	t.Parallel()
	l := lifecycle{
		of: "thing", start: "a", states: []string{"a", "b", "c", "end"}, triggers: []string{"go", "stop", "never"},
		terminal: []string{"end"},
		rows: []row{
			{from: "a", on: "go", to: "b"},
			{from: "a", on: "stop", to: "end"},
			{from: "a", on: "stop", to: "a"},
			{from: "b", on: "go", to: "b"},
			{from: "end", on: "go", to: "a"},
		},
	}
	want := []string{
		"4 states × 3 triggers = 12 cells: 4 hold a move, a request or a no-op, 8 refuse.",
		"States that cannot be reached from a: c.",
		"States from which no terminal state can be reached: b, c.",
		"Triggers that no state takes: never.",
		"Terminal states that can be left: end by go.",
		"Cells with more than one target: a on stop.",
	}
	if diff := cmp.Diff(want, l.report()); diff != "" {
		t.Errorf("report() (-want +got):\n%s", diff)
	}
}
