package httpkit

import (
	"net/http"
	"testing"
)

func TestTraceparentIsAcceptedInOneFormOnly(t *testing.T) {
	t.Parallel()
	const valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for sent, want := range map[string]string{
		valid: valid, "": "", "01" + valid[2:]: "", valid + "-more": "", "00-xyz": "", valid + "\n": "",
	} {
		if got := Traceparent(http.Header{"Traceparent": {sent}}); got != want {
			t.Errorf("Traceparent() of %q = %q, want %q", sent, got, want)
		}
	}
}
