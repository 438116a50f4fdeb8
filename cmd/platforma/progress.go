package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// progress shows an order's items as they move: a bar per item on a terminal, a line per change
// elsewhere.
type progress struct {
	w     io.Writer
	live  bool
	drawn int               // lines on the terminal now
	last  map[string]string // what was said of each item
	state string
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, live: ok && term.IsTerminal(int(f.Fd())), last: map[string]string{}}
}

const barWidth = 24

func (p *progress) draw(o demoOrder) {
	if !p.live {
		p.lines(o)
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

func (p *progress) lines(o demoOrder) {
	if o.State != p.state {
		p.state = o.State
		fmt.Fprintf(p.w, "  %s is %s\n", o.Number, words(o.State))
	}
	for _, it := range o.Items {
		if p.last[it.Label] != it.State {
			p.last[it.Label] = it.State
			fmt.Fprintf(p.w, "    %s: %s (%d %%)\n", it.Label, words(it.State), it.Progress)
		}
	}
}

func words(state string) string { return strings.ReplaceAll(state, "_", " ") }
