package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// progress shows the progress of an order's items: a bar for each item on a terminal, a line for each change
// elsewhere.
type progress struct {
	w          io.Writer
	terminal   bool
	drawn      int               // lines that are on the terminal now
	itemStates map[string]string // the last printed state, by label
	state      string            // the last printed state of the order
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: isTerminal(w), itemStates: map[string]string{}}
}

// isTerminal reports whether a command's output is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

const barWidth = 24

func (p *progress) draw(o demoOrder) {
	if !p.terminal {
		p.printChanges(o)
		return
	}
	var b strings.Builder
	if p.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", p.drawn)
	}
	fmt.Fprintf(&b, "\x1b[2K  %s  %s\n", o.Number, o.State)
	for _, it := range o.Items {
		done := it.Progress * barWidth / 100
		fmt.Fprintf(&b, "\x1b[2K    %-26s %s%s %3d %%  %s\n", it.Label, strings.Repeat("█", done),
			strings.Repeat("·", barWidth-done), it.Progress, words(it.State))
	}
	p.drawn = len(o.Items) + 1
	_, _ = io.WriteString(p.w, b.String())
}

func (p *progress) printChanges(o demoOrder) {
	if o.State != p.state {
		p.state = o.State
		fmt.Fprintf(p.w, "  %s is %s\n", o.Number, words(o.State))
	}
	for _, it := range o.Items {
		if p.itemStates[it.Label] != it.State {
			p.itemStates[it.Label] = it.State
			fmt.Fprintf(p.w, "    %s: %s (%d %%)\n", it.Label, words(it.State), it.Progress)
		}
	}
}

// words returns a state's name with spaces between its words.
func words(state string) string { return strings.ReplaceAll(state, "_", " ") }
