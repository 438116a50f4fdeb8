package httpkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// problemType is the beginning of a problem's type URI. The code follows.
const problemType = "/problems/"

// The codes of faults that only HTTP has.
const (
	CodeMalformedJSON    = "malformed-json"
	CodeRouteNotFound    = "route-not-found"
	CodeMethodNotAllowed = "method-not-allowed"
	CodeBodyTooLarge     = "body-too-large"
	CodeMediaType        = "unsupported-media-type"
	CodeNotAcceptable    = "not-acceptable"
	CodeBodyTimeout      = "body-timeout"
	CodeInternal         = "internal"
	CodeUnavailable      = "unavailable"
)

// Problem is the answer to every error (RFC 9457). It never quotes what was sent, and never shows a stack trace,
// SQL or a provider's text. The tags doc, example and format are for the schema of the OpenAPI document.
type Problem struct {
	Type      string         `json:"type" doc:"Stable URI of the kind of problem. It ends in the code." format:"uri-reference" example:"/problems/version-conflict"`
	Title     string         `json:"title" doc:"What the code means. It is the same each time."`
	Status    int            `json:"status" doc:"The HTTP status."`
	Detail    string         `json:"detail,omitempty" doc:"What happened this time, and what to do next."`
	Instance  string         `json:"instance" doc:"Identifies this occurrence." format:"uri"`
	Code      string         `json:"code" doc:"Stable, kebab-case." example:"version-conflict"`
	RequestID string         `json:"request_id" doc:"Quote it when you contact us." format:"uuid"`
	Errors    []ProblemFault `json:"errors,omitempty" doc:"All faults of the request at once." nullable:"false"`
	Members   map[string]any `json:",embed" doc:"Additional members, such as current_version or allowed_actions."`

	retryAfter int    // of the header Retry-After, in seconds; 0 means no header
	allow      string // of the header Allow: the methods, for a 405
}

// ProblemFault is one fault of a request: at Pointer in its body, or in the query or header Parameter.
type ProblemFault struct {
	Pointer   *string `json:"pointer,omitzero" doc:"JSON pointer into the body; empty for the whole body." example:"/items/0/plan"`
	Parameter string  `json:"parameter,omitempty" doc:"The name of a query or header parameter."`
	Code      string  `json:"code" doc:"Stable, kebab-case."`
	Message   string  `json:"message" doc:"An explanation for a person."`
	Allowed   []any   `json:"allowed,omitempty" doc:"Values or bounds that are accepted." nullable:"false"`
}

// Internal returns what a client sees of an internal error. The log has the error itself, with the request id.
func Internal() *fault.Error {
	return &fault.Error{
		Code: CodeInternal,
		Detail: "Something went wrong on our side. Our log has the cause under the request id. " +
			"A retry with the same Idempotency-Key is safe.",
	}
}

// StatusError is a fault that only HTTP has, so that there is no fault.Kind for it.
type StatusError struct {
	Status       int
	Code, Detail string
	Allow        string // for a 405: the methods of the path
}

// Error returns the code and the detail.
func (e *StatusError) Error() string { return e.Code + ": " + e.Detail }

// ParameterError is a fault in a query or header parameter. It has no pointer, because it is not in the body.
type ParameterError struct {
	Name      string
	Violation fault.Violation
}

// Error returns the name of the parameter and the message.
func (e *ParameterError) Error() string { return e.Name + ": " + e.Violation.Message }

func (e *ParameterError) problem(requestID string) *Problem {
	p := NewProblem(http.StatusUnprocessableEntity, fault.CodeValidation,
		"1 fault(s) in the request; see errors", requestID)
	v := e.Violation
	p.Errors = []ProblemFault{{Parameter: e.Name, Code: v.Code, Message: v.Message, Allowed: v.Allowed}}
	return p
}

// ProblemOf returns the problem for any error. An error that is no fault is internal: its text is not shown, and
// hidden reports that the caller has to log it. An exceeded deadline is hidden too, and its problem says when to
// try again.
func ProblemOf(err error, requestID string) (p *Problem, hidden bool) {
	f := fault.Of(err)
	var status *StatusError
	var parameter *ParameterError
	switch {
	case f != nil:
	case errors.As(err, &status):
		p = NewProblem(status.Status, status.Code, status.Detail, requestID)
		p.allow = status.Allow
		return p, false
	case errors.As(err, &parameter):
		return parameter.problem(requestID), false
	case errors.Is(err, context.DeadlineExceeded):
		f, hidden = unavailable(), true
	case errors.Is(err, context.Canceled): // the client has gone
		f = unavailable()
	default:
		f, hidden = Internal(), true
	}
	p = NewProblem(Status(f.Kind), f.Code, f.Detail, requestID)
	for _, v := range f.Violations {
		p.Errors = append(p.Errors, FaultOf(v))
	}
	for name, value := range f.Members {
		if !reserved[name] {
			if p.Members == nil {
				p.Members = map[string]any{}
			}
			p.Members[name] = value
		}
	}
	p.retryAfter = RetryAfter(f)
	return p, hidden
}

// RetryAfter returns the value of the Retry-After header in whole seconds. It is at least 1 if the client should
// try again, and 0 if there is no header.
func RetryAfter(f *fault.Error) int {
	if f.Kind != fault.KindTooMany && f.Kind != fault.KindUnavailable && f.After <= 0 {
		return 0
	}
	return max(1, int(math.Ceil(f.After.Seconds())))
}

// reserved holds the members of a problem that those of a fault cannot replace.
var reserved = map[string]bool{
	"type": true, "title": true, "status": true, "detail": true,
	"instance": true, "code": true, "request_id": true, "errors": true,
}

// FaultOf returns a fault of a body as problems and views show it.
func FaultOf(v fault.Violation) ProblemFault {
	return ProblemFault{Pointer: &v.Pointer, Code: v.Code, Message: v.Message, Allowed: v.Allowed}
}

// NewProblem returns a problem without faults and additional members.
func NewProblem(status int, code, detail, requestID string) *Problem {
	title, ok := titles[code]
	if !ok {
		title = http.StatusText(status)
	}
	return &Problem{
		Type: problemType + code, Title: title, Status: status, Detail: detail,
		Instance: "urn:uuid:" + requestID, Code: code, RequestID: requestID,
	}
}

func unavailable() *fault.Error {
	return &fault.Error{
		Kind: fault.KindUnavailable, Code: CodeUnavailable, After: time.Second,
		Detail: "This could not be finished in time. Try again; a retry with the same Idempotency-Key is safe.",
	}
}

// Answer renders the problem and its headers.
func (p *Problem) Answer() (app.Answer, error) {
	body, err := EncodeJSON(p)
	if err != nil {
		return app.Answer{}, fmt.Errorf("encode problem %s: %w", p.Code, err)
	}
	a := app.Answer{Status: p.Status, Header: map[string]string{"Content-Type": MediaProblem}, Body: body}
	if p.retryAfter > 0 {
		a.Header["Retry-After"] = strconv.Itoa(p.retryAfter)
	}
	if p.allow != "" {
		a.Header["Allow"] = p.allow
	}
	if p.Status == http.StatusUnauthorized {
		a.Header["WWW-Authenticate"] = "Bearer"
	}
	return a, nil
}

// Refusal renders an error as a problem answer. An error that the answer hides is logged here, once, with attrs.
func Refusal(ctx context.Context, log *slog.Logger, err error, attrs ...slog.Attr) (app.Answer, error) {
	p, hidden := ProblemOf(err, RequestID(ctx))
	if hidden {
		log.LogAttrs(ctx, slog.LevelError, "request failed", append(attrs, slog.Any("error", err))...)
	}
	return p.Answer()
}
