package httpkit

import "net/http"

// ContentPolicy allows what the answer's own origin serves and nothing else: no inline script or style, no
// frame, no other origin.
const ContentPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; " +
	"form-action 'self'"

// hsts is two years, what the preload list of browsers recommends (one is its least). It is sent only where
// clients come over https: RFC 6797, section 7.2, forbids the header on plain http, as on the loopback
// address of development. TLS ends in front of the process, so the configuration has to say which it is.
const hsts = "max-age=63072000; includeSubDomains"

// setHeaders sets what every answer has. An answer that may be kept, such as a style sheet, sets its own
// Cache-Control afterwards.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", ContentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
