// Package fault holds the closed sets of what can go wrong: the kinds of error a caller can act on,
// and (class.go) the classes of a provider's answers. It knows no status codes: httpkit alone does.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is chosen for what the caller does next.
type Kind uint8

// The kinds. An error that is no *Error is internal: ours to mend, its text never shown.
const (
	KindInvalid             Kind = iota + 1 // can never succeed as sent: every fault at once, with its pointer
	KindMalformed                           // cannot be read at all
	KindUnauthenticated                     // nobody we know
	KindForbidden                           // this role may not
	KindNotFound                            // absent, or another tenant's: never say which
	KindConflict                            // state, version or key moved: read again, then decide
	KindPrecondition                        // If-Match does not hold
	KindPreconditionMissing                 // a version is required
	KindTooMany                             // slow down, see After
	KindUnavailable                         // our side: the same key later, see After
)

// Codes that more than one package names. A code never changes once published.
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
	Code       string      // stable, kebab-case; ends the problem's type URI
	Detail     string      // one sentence for a person: what happened and what to do next
	Violations []Violation // for KindInvalid: all faults at once
	After      time.Duration
	// Members are further members of the answer, such as "current_version" or "allowed_actions".
	Members map[string]any
}

// Violation is one fault of an input.
type Violation struct {
	Pointer string `json:"pointer"` // JSON pointer into the request body, "" for the whole
	Code    string `json:"code"`    // stable, kebab-case
	Message string `json:"message"`
	Allowed []any  `json:"allowed,omitempty"` // values or bounds that would be accepted
}

// Error is the code and its detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code
	}
	return e.Code + ": " + e.Detail
}

// Is makes errors.Is match by code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code && t.Kind == e.Kind
}

// New makes an error of a kind with a formatted detail.
func New(k Kind, code, format string, args ...any) *Error {
	return &Error{Kind: k, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Violated carries all faults of an input.
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

// Of returns the *Error in err's chain, or nil when err is internal.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
