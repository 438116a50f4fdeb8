package provider

import (
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Error is a provider's error, classified by its code and never by its message. It wraps no other error: the text
// of an API or its client may hold a credential, so only text that went through Scrub is kept.
type Error struct {
	Class  fault.Class
	After  time.Duration // how long to wait, if the provider said so (RateLimited)
	Code   string        // the API's own code
	Detail string        // for operators, scrubbed; customers see our own text
}

// NewError returns an error with scrubbed code and detail.
func NewError(class fault.Class, code, detail string) *Error {
	return &Error{Class: class, Code: Scrub(code), Detail: Scrub(detail)}
}

// Error returns class, code and detail as text.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("provider: ")
	b.WriteString(e.Class.String())
	if e.Code != "" {
		b.WriteString(" (" + Scrub(e.Code) + ")")
	}
	if e.Detail != "" {
		b.WriteString(": " + Scrub(e.Detail))
	}
	return b.String()
}

// AsError returns the *Error in err's chain, or nil.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// ClassOf returns the class of any error that a Provider returned. An error without an *Error is Ambiguous: what
// happened is unknown, so the caller must look.
func ClassOf(err error) fault.Class {
	if err == nil {
		return fault.None
	}
	if e := AsError(err); e != nil {
		return e.Class
	}
	return fault.Ambiguous
}

// maxScrubbed is the longest text of a provider that is kept, in characters: about a line of a log.
const maxScrubbed = 240

var (
	reUserinfo = regexp.MustCompile(`://[^/\s@]+@`)
	reBearer   = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+`)
	reSecret   = regexp.MustCompile(`(?i)\b([a-z0-9_-]*` +
		`(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)` +
		`[a-z0-9_-]*"?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)`)
)

// Scrub makes a provider's text safe to store: one short line in which passwords in URLs, authorization headers
// and values with names of secrets are replaced. It is a second line of defence: adapters pass codes and texts of
// their own, not bodies.
func Scrub(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = reUserinfo.ReplaceAllString(s, "://"+redacted+"@")
	s = reBearer.ReplaceAllString(s, "$1 "+redacted)
	s = reSecret.ReplaceAllString(s, "${1}"+redacted)
	if runes := []rune(s); len(runes) > maxScrubbed {
		s = string(runes[:maxScrubbed]) + "…"
	}
	return strings.TrimSpace(s)
}
