package provider

import (
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Error is a provider's answer, classified by its code and never by its message. It wraps nothing:
// what an API or its client said may hold a credential, so only what went through Scrub is kept.
type Error struct {
	Class  fault.Class
	After  time.Duration // how long to wait, where the provider told (RateLimited)
	Code   string        // the API's own code
	Detail string        // for operators, scrubbed; customers get our text
}

// NewError scrubs code and detail.
func NewError(class fault.Class, code, detail string) *Error {
	return &Error{Class: class, Code: Scrub(code), Detail: Scrub(detail)}
}

// Error is class, code and detail.
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

// ClassOf is the class of any error that a Provider returned. One that is no *Error is Ambiguous: who
// cannot say what happened must look.
func ClassOf(err error) fault.Class {
	if err == nil {
		return fault.None
	}
	if e := AsError(err); e != nil {
		return e.Class
	}
	return fault.Ambiguous
}

// scrubbed keeps a provider's text to about a line of a log.
const scrubbed = 240

var (
	reUserinfo = regexp.MustCompile(`://[^/\s@]+@`)
	reBearer   = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+`)
	reSecret   = regexp.MustCompile(
		`(?i)\b([a-z0-9_-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[a-z0-9_-]*"?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)`,
	)
)

// Scrub makes a provider's text fit to be stored: one short line in which passwords in addresses,
// authorization headers and values named like secrets are replaced. It is a second wall: adapters
// pass codes and their own words, not bodies.
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
	if runes := []rune(s); len(runes) > scrubbed {
		s = string(runes[:scrubbed]) + "…"
	}
	return strings.TrimSpace(s)
}
