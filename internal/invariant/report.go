package invariant

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Broken reports whether any promise is broken.
func Broken(results []Result) bool {
	for _, r := range results {
		if len(r.Violations) > 0 {
			return true
		}
	}
	return false
}

// mostShown is how many violations of a promise Report lists. The others are counted.
const mostShown = 20

// Report writes a table for a person: each promise with its result, how many things it was checked for and what
// was left out, then the violations.
func Report(w io.Writer, results []Result) error {
	var b strings.Builder
	checked, broken := 0, 0
	for _, r := range results {
		verdict := "holds"
		switch {
		case !r.Checked:
			verdict = "not checked"
		case len(r.Violations) > 0:
			verdict = "BROKEN"
		case r.Seen == 0:
			verdict = "none to check"
		}
		if r.Checked {
			checked++
			broken += len(r.Violations)
		}
		fmt.Fprintf(&b, "%-4s %-14s %7d  %s\n", r.Invariant, verdict, r.Seen, r.Promise)
		if r.Limits != "" {
			fmt.Fprintf(&b, "     %14s %7s  (%s)\n", "", "", r.Limits)
		}
	}
	fmt.Fprintf(&b, "\n%d of %d promises checked, %d violations\n", checked, len(results), broken)
	for _, r := range results {
		for n, v := range r.Violations {
			if n == mostShown {
				fmt.Fprintf(&b, "  %s: … and %d more\n", r.Invariant, len(r.Violations)-n)
				break
			}
			fmt.Fprintf(&b, "  %s\n", v)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// ReportJSON writes the results as one JSON array, for programs.
func ReportJSON(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(results); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
