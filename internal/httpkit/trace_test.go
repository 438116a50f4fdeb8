package httpkit

import (
	"net/http"
	"testing"
)

func TestTraceIsTakenOverInItsOneForm(t *testing.T) {
	t.Parallel()
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for sent, want := range map[string]string{
		good: good, "": "", "01" + good[2:]: "", good + "-more": "", "00-xyz": "", good + "\n": "",
	} {
		if got := Traceparent(http.Header{"Traceparent": {sent}}); got != want {
			t.Errorf("%q is taken over as %q, want %q", sent, got, want)
		}
	}
}
