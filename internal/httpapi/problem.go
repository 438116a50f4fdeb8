package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// problemType is what a problem's type URI begins with; its code follows.
const problemType = "/problems/"

// statuses is the one place that knows which status a kind of fault becomes.
var statuses = map[fault.Kind]int{
	fault.KindInvalid:             http.StatusUnprocessableEntity,
	fault.KindMalformed:           http.StatusBadRequest,
	fault.KindUnauthenticated:     http.StatusUnauthorized,
	fault.KindForbidden:           http.StatusForbidden,
	fault.KindNotFound:            http.StatusNotFound,
	fault.KindConflict:            http.StatusConflict,
	fault.KindPrecondition:        http.StatusPreconditionFailed,
	fault.KindPreconditionMissing: http.StatusPreconditionRequired,
	fault.KindTooMany:             http.StatusTooManyRequests,
	fault.KindUnavailable:         http.StatusServiceUnavailable,
}

// Codes of faults that only HTTP has.
const (
	codeRouteNotFound = "route-not-found"
	codeMethod        = "method-not-allowed"
	codeTooLarge      = "body-too-large"
	codeMediaType     = "unsupported-media-type"
	codeNotAcceptable = "not-acceptable"
	codeBodyTimeout   = "body-timeout"
	codeInternal      = "internal"
	codeUnavailable   = "unavailable"
)

// titles say what a code means, the same each time it occurs; a code without one takes its status's.
var titles = map[string]string{
	fault.CodeIllegalTransition: "The order does not take this in its present state",
	fault.CodeVersionConflict:   "Somebody changed it in the meantime",
	fault.CodeKeyInUse:          "A request with this Idempotency-Key is still being worked on",
	fault.CodeKeyReused:         "This Idempotency-Key was used for another request",
	fault.CodeNotFound:          "Not found",
	fault.CodeForbidden:         "Your role or key may not do this",
	fault.CodeValidation:        "The request has faults",
	"total-mismatch":            "The total is not what you expected",
	"payment-amount-mismatch":   "The payment is not the amount due",
	"price-expired":             "The prices are too old",
	"order-empty":               "The order has no items",
	"currency-not-priced":       "There is no exchange rate for this currency",
	"version-required":          "A version is required",
	"precondition-failed":       "The version is not the one you named",
	"unauthenticated":           "Who are you?",
	"rate-limited":              "Too many requests",
	"not-stuck":                 "Nothing is stuck here",
	"second-person-required":    "This takes a second person",
	"grounds-differ":            "The two signatures do not agree",
	"not-abandonable":           "This is not given up",
	"not-adoptable":             "There is nothing to be found",
	"not-by-hand":               "This is not moved by hand",
	"not-signed":                "Nobody has signed this",
	"not-your-signature":        "This is somebody else's signature",
	codeIdempotencyKey:          "The Idempotency-Key is malformed",
	"too-many-webhooks":         "There are enough webhooks",
	"webhook-disabled":          "This webhook is disabled",
	"webhooks-not-set-up":       "Webhooks are not set up here",
	"bad-cursor":                "The cursor is not of this list",
	"idempotency-key-required":  "An Idempotency-Key is required",
	codeMalformedJSON:           "The body is not acceptable JSON",
	codeRouteNotFound:           "There is no such path",
	codeMethod:                  "This path does not take this method",
	codeTooLarge:                "The body is too large",
	codeMediaType:               "The body must be JSON",
	codeInternal:                "Something went wrong on our side",
	codeUnavailable:             "Not available at the moment",
}

// problem is every error's answer (RFC 9457). It never quotes what was sent, and never shows a stack,
// SQL or a provider's text.
type problem struct {
	Type      string         `json:"type" doc:"Stable URI of the kind of problem; ends in the code." format:"uri-reference" example:"/problems/version-conflict"`
	Title     string         `json:"title" doc:"What the code means, the same each time."`
	Status    int            `json:"status" doc:"The HTTP status."`
	Detail    string         `json:"detail,omitempty" doc:"What happened this time, and what to do next."`
	Instance  string         `json:"instance" doc:"Names this one occurrence." format:"uri"`
	Code      string         `json:"code" doc:"Stable, kebab-case." example:"version-conflict"`
	RequestID string         `json:"request_id" doc:"Tell it to us when you ask." format:"uuid"`
	Errors    []problemFault `json:"errors,omitempty" doc:"All faults of the request at once." nullable:"false"`
	Members   map[string]any `json:",embed" doc:"Further members, such as current_version or allowed_actions."`

	retryAfter int    // seconds; 0 is none
	allow      string // methods, of 405
}

// problemFault is one fault of a request: of its body at Pointer, or of a parameter.
type problemFault struct {
	Pointer   *string `json:"pointer,omitzero" doc:"JSON pointer into the body; empty for the whole." example:"/items/0/plan"`
	Parameter string  `json:"parameter,omitempty" doc:"Name of a query or header parameter."`
	Code      string  `json:"code" doc:"Stable, kebab-case."`
	Message   string  `json:"message" doc:"For a person."`
	Allowed   []any   `json:"allowed,omitempty" doc:"Values or bounds that would be accepted." nullable:"false"`
}

// TransformSchema documents that further members may stand beside the fixed ones.
func (*problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	delete(s.Properties, "Members")
	s.Required = []string{"type", "title", "status", "instance", "code", "request_id"}
	s.AdditionalProperties = true
	return s
}

// Error is the code with its detail.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus tells huma the status.
func (p *problem) GetStatus() int { return p.Status }

// ContentType tells huma the media type.
func (p *problem) ContentType(string) string { return problemJSON }

// internalFault hides what went wrong on our side; what it was stands in the log, under the request id.
func internalFault() *fault.Error {
	return &fault.Error{Code: codeInternal, Detail: "Something went wrong on our side. Nothing more is known here; the request id finds it in our log. The same Idempotency-Key makes a retry safe."}
}

// problemOf renders a fault of any origin. A plain error is internal: its text is hidden, and shown
// tells the caller to log it.
func problemOf(err error, requestID string) (p *problem, hidden bool) {
	f := fault.Of(err)
	var only *statusFault
	var parameter *parameterError
	switch {
	case f != nil:
	case errors.As(err, &only):
		p = newProblem(only.status, only.code, only.detail, requestID)
		p.allow = only.allow
		return p, false
	case errors.As(err, &parameter):
		p = newProblem(http.StatusUnprocessableEntity, fault.CodeValidation, "1 fault(s) in the request; see errors", requestID)
		p.Errors = []problemFault{{Parameter: parameter.name, Code: parameter.v.Code, Message: parameter.v.Message, Allowed: parameter.v.Allowed}}
		return p, false
	case errors.Is(err, context.DeadlineExceeded):
		f, hidden = unavailable(), true
	case errors.Is(err, context.Canceled): // the client has gone
		f = unavailable()
	default:
		f, hidden = internalFault(), true
	}
	status, ok := statuses[f.Kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	p = newProblem(status, f.Code, f.Detail, requestID)
	for _, v := range f.Violations {
		p.Errors = append(p.Errors, faultOf(v))
	}
	for name, value := range f.Members {
		if !reserved[name] {
			if p.Members == nil {
				p.Members = map[string]any{}
			}
			p.Members[name] = value
		}
	}
	if f.Kind == fault.KindTooMany || f.Kind == fault.KindUnavailable || f.After > 0 {
		p.retryAfter = max(1, int(math.Ceil(f.After.Seconds())))
	}
	return p, hidden
}

var reserved = map[string]bool{"type": true, "title": true, "status": true, "detail": true, "instance": true, "code": true, "request_id": true, "errors": true}

func faultOf(v fault.Violation) problemFault {
	return problemFault{Pointer: &v.Pointer, Code: v.Code, Message: v.Message, Allowed: v.Allowed}
}

func newProblem(status int, code, detail, requestID string) *problem {
	title, ok := titles[code]
	if !ok {
		title = http.StatusText(status)
	}
	return &problem{Type: problemType + code, Title: title, Status: status, Detail: detail, Instance: "urn:uuid:" + requestID, Code: code, RequestID: requestID}
}

func unavailable() *fault.Error {
	return &fault.Error{
		Kind: fault.KindUnavailable, Code: codeUnavailable, After: time.Second,
		Detail: "This could not be finished in time. Try again; the same Idempotency-Key makes it safe.",
	}
}

// answer renders the problem with its headers.
func (p *problem) answer() (app.Answer, error) {
	body, err := encodeJSON(p)
	if err != nil {
		return app.Answer{}, fmt.Errorf("encode problem %s: %w", p.Code, err)
	}
	a := app.Answer{Status: p.Status, Header: map[string]string{"Content-Type": problemJSON}, Body: body}
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

// The library reports its own findings (parameters, unreadable bodies) through these two variables and
// nothing else; they are set once, before any API exists, and hold no state.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return libraryProblem("", status, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		return libraryProblem(requestIDOf(ctx.Context()), status, errs)
	}
}

// libraryCodes name the statuses that the library itself may answer with.
var libraryCodes = map[int]string{
	http.StatusBadRequest: codeMalformedJSON, http.StatusNotFound: codeRouteNotFound, http.StatusNotAcceptable: codeNotAcceptable,
	http.StatusRequestTimeout: codeBodyTimeout, http.StatusRequestEntityTooLarge: codeTooLarge, http.StatusUnsupportedMediaType: codeMediaType,
	http.StatusUnprocessableEntity: fault.CodeValidation,
}

// libraryProblem takes over which parameter is meant and why, and drops the value that was sent.
func libraryProblem(requestID string, status int, errs []error) *problem {
	code, ok := libraryCodes[status]
	if !ok {
		status, code = http.StatusInternalServerError, codeInternal
	}
	p := newProblem(status, code, "", requestID)
	if status == http.StatusInternalServerError {
		p.Detail = internalFault().Detail
		return p
	}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue
		}
		p.Errors = append(p.Errors, parameterFault(d.ErrorDetail()))
	}
	p.Detail = fmt.Sprintf("%d fault(s) in the request; see errors", len(p.Errors))
	return p
}

func parameterFault(d *huma.ErrorDetail) problemFault {
	where, name, _ := strings.Cut(d.Location, ".")
	f := problemFault{Parameter: name, Code: "invalid-parameter", Message: d.Message}
	if where == "body" {
		whole := ""
		f = problemFault{Pointer: &whole, Code: "invalid", Message: "The body cannot be read."}
	}
	if d.Message == "unknown query parameter" {
		// Its name is what the caller sent, so it is not said back.
		f = problemFault{Parameter: "", Code: "unknown-parameter", Message: "The query has a parameter that this path does not take."}
	}
	return f
}
