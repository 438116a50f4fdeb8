package httpkit

import "net/http"

// ContentPolicy allows only what the answer's own origin serves: no inline scripts or styles, no frames and no
// other origins.
const ContentPolicy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; " +
	"form-action 'self'"

// hsts lasts for two years, as the preload list of browsers recommends; the list requires one. It is sent only
// if clients use https, because RFC 6797, section 7.2, forbids the header on plain http, which development
// uses. A proxy in front of the process ends TLS, so the configuration has to say which it is.
const hsts = "max-age=63072000; includeSubDomains"

// setHeaders sets the headers of every answer. An answer that may be cached, such as a style sheet, replaces
// Cache-Control afterwards.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", ContentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}
