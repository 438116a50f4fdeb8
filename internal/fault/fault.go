// Package fault holds two closed sets of what can go wrong: the kinds of error that a caller can act on, and
// the classes of a provider's answers (class.go). It knows no HTTP status codes; only httpkit does.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what the caller can do next about an error.
type Kind uint8

// The kinds. An error that is not an *Error is internal: a bug or an outage on our side, and its text is never
// shown to a caller.
const (
	KindInvalid             Kind = iota + 1 // can never succeed as sent; lists every fault at once, with its pointer
	KindMalformed                           // cannot be parsed at all
	KindUnauthenticated                     // the caller is unknown
	KindForbidden                           // the caller's role does not have the permission
	KindNotFound                            // absent, or another tenant's; never say which
	KindConflict                            // the state, version or key has changed: read again, then decide
	KindPrecondition                        // If-Match does not hold
	KindPreconditionMissing                 // a version is required
	KindTooMany                             // too many requests: wait for After
	KindUnavailable                         // our side is down: repeat with the same key after After
)

// Codes that more than one package uses. A code never changes once it is published.
const (
	CodeIllegalTransition = "illegal-transition"
	CodeVersionConflict   = "version-conflict"
	CodeKeyInUse          = "idempotency-key-in-use"
	CodeKeyReused         = "idempotency-key-reused"
	CodeNotFound          = "not-found"
	CodeForbidden         = "forbidden"
	CodeValidation        = "validation-failed"
)

// Error is an error that the caller can act on.
type Error struct {
	Kind       Kind
	Code       string        // stable, kebab-case; the last part of the problem's type URI
	Detail     string        // one sentence for a person: what happened and what to do next
	Violations []Violation   // for KindInvalid: all faults at once
	After      time.Duration // how long to wait before the next attempt
	// Members are additional members of the answer, such as "current_version" or "allowed_actions".
	Members map[string]any
}

// Violation is one fault in an input.
type Violation struct {
	Pointer string `json:"pointer"` // JSON pointer into the request body; "" is the whole body
	Code    string `json:"code"`    // stable, kebab-case
	Message string `json:"message"`
	Allowed []any  `json:"allowed,omitempty"` // values or bounds that are accepted
}

// Error returns the code and the detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code
	}
	return e.Code + ": " + e.Detail
}

// Is reports whether target is an *Error of the same kind and code, for errors.Is.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Kind == e.Kind
}

// New returns an error of a kind, with a formatted detail.
func New(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Violated returns the error for an input with these faults.
func Violated(v []Violation) *Error {
	return &Error{
		Kind: KindInvalid, Code: CodeValidation, Detail: fmt.Sprintf("%d fault(s) in the request; see errors", len(v)),
		Violations: v,
	}
}

// Absent is the one answer for what is absent and for what belongs to another tenant, or to another customer: a
// 404 (D24), so that nobody learns which ids exist. The rows of another tenant are behind the tenant walls
// (internal/postgres/migrations/0007_walls.sql); within a tenant, sees in internal/app/permission.go decides.
func Absent() *Error {
	return &Error{Kind: KindNotFound, Code: CodeNotFound, Detail: "There is no such thing here."}
}

// Of returns the *Error in the chain of err, or nil when err is internal.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
