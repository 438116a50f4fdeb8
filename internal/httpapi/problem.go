package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// problem is a problem answer as huma needs it: an error with a status, and a type with a schema.
type problem httpkit.Problem

// TransformSchema documents that a problem may have additional members.
func (*problem) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	delete(s.Properties, "Members")
	s.Required = []string{"type", "title", "status", "instance", "code", "request_id"}
	s.AdditionalProperties = true
	return s
}

// Error returns the code and the detail.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus returns the status, for huma.
func (p *problem) GetStatus() int { return p.Status }

// ContentType returns the media type, for huma.
func (p *problem) ContentType(string) string { return httpkit.MediaProblem }

// The library reports the faults that it finds itself, such as those of parameters, only through these two
// variables. They are set once, before any API exists, and hold no state.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return libraryProblem("", status, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		return libraryProblem(httpkit.RequestID(ctx.Context()), status, errs)
	}
}

// libraryCodes maps the statuses that the library itself may answer with to our codes.
var libraryCodes = map[int]string{
	http.StatusBadRequest: httpkit.CodeMalformedJSON, http.StatusNotFound: httpkit.CodeRouteNotFound,
	http.StatusNotAcceptable:  httpkit.CodeNotAcceptable,
	http.StatusRequestTimeout: httpkit.CodeBodyTimeout, http.StatusRequestEntityTooLarge: httpkit.CodeBodyTooLarge,
	http.StatusUnsupportedMediaType: httpkit.CodeMediaType,
	http.StatusUnprocessableEntity:  fault.CodeValidation,
}

// libraryProblem returns a problem for errors of the library. It names the parameters and the reasons, and leaves out
// the values that were sent.
func libraryProblem(requestID string, status int, errs []error) *problem {
	code, ok := libraryCodes[status]
	if !ok {
		status, code = http.StatusInternalServerError, httpkit.CodeInternal
	}
	p := (*problem)(httpkit.NewProblem(status, code, "", requestID))
	if status == http.StatusInternalServerError {
		p.Detail = httpkit.Internal().Detail
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

func parameterFault(d *huma.ErrorDetail) httpkit.ProblemFault {
	where, name, _ := strings.Cut(d.Location, ".")
	f := httpkit.ProblemFault{Parameter: name, Code: "invalid-parameter", Message: d.Message}
	if where == "body" {
		whole := ""
		f = httpkit.ProblemFault{Pointer: &whole, Code: "invalid", Message: "The body cannot be read."}
	}
	if d.Message == "unknown query parameter" {
		// The name is what the caller sent, so the answer does not quote it.
		f = httpkit.ProblemFault{
			Parameter: "", Code: "unknown-parameter", Message: "The query has a parameter that this path does not accept.",
		}
	}
	return f
}
