package httpkit

import (
	"net/http"
	"regexp"
)

var traceparentForm = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Traceparent returns the traceparent header if it has the form of W3C Trace Context, version 00, and ""
// otherwise.
func Traceparent(h http.Header) string {
	if t := h.Get("Traceparent"); traceparentForm.MatchString(t) {
		return t
	}
	return ""
}
