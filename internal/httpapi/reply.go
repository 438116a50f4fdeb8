package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// route describes an operation beyond its Go types.
type route struct {
	Method, Path string
	ID           string // the operationId, which is also the name of its examples
	Tag          string
	Summary      string
	Description  string
	Who          string // the least role that may call it (D24)
	Status       int    // of success; 0 means 200
	Key          bool   // it takes an Idempotency-Key
	Versioned    bool   // it takes If-Match
	Stream       bool
	Errors       []int // statuses besides those that every route has
}

// Write reports whether the route's method is not GET. All such routes may change something, except a quote.
func (rt *route) Write() bool { return rt.Method != http.MethodGet }

// reply is the answer that a view makes of a use case's result.
type reply[T any] struct {
	Body     T
	ETag     string
	Location string
	Next     string // the cursor of the next page
}

// plain returns a reply that has only a body.
func plain[T any](body T) reply[T] { return reply[T]{Body: body} }

// response is an answer as huma sends it. The body is encoded already, because an idempotency key must store exactly
// the bytes that are sent.
type response struct {
	Status      int
	ContentType string `header:"Content-Type" hidden:"true"`
	ETag        string `header:"ETag" hidden:"true"`
	Location    string `header:"Location" hidden:"true"`
	Link        string `header:"Link" hidden:"true"`
	RetryAfter  string `header:"Retry-After" hidden:"true"`
	Challenge   string `header:"WWW-Authenticate" hidden:"true"`
	Replayed    string `header:"Idempotent-Replayed" hidden:"true"`
	Body        []byte
}

func toResponse(a app.Answer) *response {
	return &response{
		Status: a.Status, ContentType: a.Header["Content-Type"], ETag: a.Header["ETag"], Location: a.Header["Location"],
		Link: a.Header["Link"], RetryAfter: a.Header["Retry-After"], Challenge: a.Header["WWW-Authenticate"],
		Replayed: a.Header[httpkit.HeaderReplayed], Body: a.Body,
	}
}

// serve registers a route. The route decodes an I, calls one use case with it, and shows the result as a T.
func serve[I, R, T any](
	s *server, rt route,
	call func(ctx context.Context, c app.Caller, in *I) (R, error),
	show func(c app.Caller, result R) reply[T],
) {
	if rt.Status == 0 {
		rt.Status = http.StatusOK
	}
	op := s.operation(&rt, reflect.TypeFor[T]())
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*response, error) {
		req := requestFrom(ctx)
		c := req.caller
		exchange := httpkit.Exchange[R]{
			Show:   func(result R) (app.Answer, error) { return render(req, &rt, show(c, result)) },
			Refuse: func(err error) (app.Answer, error) { return s.problem(req, err) },
		}
		if c.Key != nil {
			c.Key.Encode = exchange.Encode
		}
		a, err := exchange.Answer(call(ctx, c, in))
		return toResponse(a), err
	})
}

// render returns an answer as it is sent, and as an idempotency key stores it.
func render[T any](req *request, rt *route, r reply[T]) (app.Answer, error) {
	body, err := httpkit.EncodeJSON(r.Body)
	if err != nil {
		return app.Answer{}, fmt.Errorf("encode the answer of %s: %w", rt.ID, err)
	}
	h := map[string]string{"Content-Type": httpkit.MediaJSON}
	if r.ETag != "" {
		h["ETag"] = r.ETag
	}
	if r.Location != "" {
		h["Location"] = r.Location
	}
	if r.Next != "" {
		h["Link"] = "<" + nextPage(req.http.URL, r.Next) + `>; rel="next"`
	}
	return app.Answer{Status: rt.Status, Header: h, Body: body}, nil
}

// nextPage returns the URL of the next page of a list.
func nextPage(u *url.URL, cursor string) string {
	q := u.Query()
	q.Set("cursor", cursor)
	return u.EscapedPath() + "?" + q.Encode()
}

// problem renders an error. An error that the answer must not show is logged here, once.
func (s *server) problem(req *request, err error) (app.Answer, error) {
	return httpkit.Refusal(req.http.Context(), s.cfg.Log, err, req.attrs()...)
}

// operation returns the OpenAPI operation of a route.
func (s *server) operation(rt *route, answer reflect.Type) huma.Operation {
	schemas := s.api.OpenAPI().Components.Schemas
	// The body is read, and its size limited, before the library sees it. -1 means no second limit.
	op := huma.Operation{
		Method: rt.Method, Path: rt.Path, OperationID: rt.ID, Summary: rt.Summary, Description: rt.describe(),
		Tags: []string{rt.Tag}, DefaultStatus: rt.Status, MaxBodyBytes: -1, SkipValidateBody: true,
		Metadata: map[string]any{"route": rt},
		Security: []map[string][]string{{"apiKey": {}}}, Responses: map[string]*huma.Response{},
	}
	if e := s.examples[rt.ID]; e.Request != nil {
		// The library adds the schema of the body.
		op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{httpkit.MediaJSON: {Example: e.Request}}}
	}
	ok := &huma.Response{Description: http.StatusText(rt.Status), Headers: map[string]*huma.Param{}}
	if answer != nil {
		media := &huma.MediaType{Schema: schemas.Schema(answer, true, rt.ID+"-response")}
		if e := s.examples[rt.ID]; e.Response != nil {
			media.Example = e.Response
		}
		ok.Content = map[string]*huma.MediaType{httpkit.MediaJSON: media}
	}
	op.Responses[strconv.Itoa(rt.Status)] = ok
	if rt.Key {
		op.Parameters = append(op.Parameters,
			header("Idempotency-Key", "1 to 255 visible ASCII characters, bare or in double quotes. A repeated request "+
				"with the same key gets the first answer again, for at least 24 hours.", `"6b1c7a52-order-4711"`))
		ok.Headers["Idempotent-Replayed"] = &huma.Param{
			Description: "true if this is the stored answer of the key.", Schema: &huma.Schema{Type: huma.TypeString},
		}
	}
	if rt.Versioned {
		op.Parameters = append(op.Parameters,
			header("If-Match", "The ETag that you read. A mismatch is a 412. The member version of the body has the same "+
				"meaning; there a mismatch is a 409.", `"7"`))
	}
	if rt.Stream {
		op.Parameters = append(op.Parameters,
			header("Last-Event-ID", "The seq of the last event that you received. The stream goes on after it.", "12"))
	}
	fault := schemas.Schema(reflect.TypeFor[problem](), true, "")
	for _, status := range rt.statuses() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status), Content: map[string]*huma.MediaType{httpkit.MediaProblem: {Schema: fault}},
		}
	}
	return op
}

// statuses returns the statuses of the problems that a route may answer with.
func (rt *route) statuses() []int {
	statuses := append([]int{400, 401, 403, 422, 429, 500, 503}, rt.Errors...)
	if rt.Key {
		statuses = append(statuses, 409, 413, 415)
	}
	if rt.Versioned {
		statuses = append(statuses, 412)
	}
	return statuses
}

func (rt *route) describe() string {
	if rt.Who == "" {
		return rt.Description
	}
	return rt.Description + "\n\n**Who may call it:** " + rt.Who + "."
}

func header(name, doc, sample string) *huma.Param {
	return &huma.Param{
		Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString}, Example: sample,
	}
}

// list is one page of a list.
type list[T any] struct {
	Data       []T     `json:"data" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"The cursor of the next page; null on the last page."`
}

func page[R, T any](p app.Page[R], view func(R) T) reply[list[T]] {
	out := list[T]{Data: make([]T, len(p.Data))}
	for i, r := range p.Data {
		out.Data[i] = view(r)
	}
	if p.Next != "" {
		out.NextCursor = &p.Next
	}
	return reply[list[T]]{Body: out, Next: p.Next}
}

// limitOf returns the size of a page, which is 50 if the request names none.
func limitOf(requested int) int {
	if requested == 0 {
		return 50
	}
	return requested
}

// badParameter returns the error for a query parameter in a wrong format.
func badParameter(name, message string, allowed ...any) error {
	return &httpkit.ParameterError{
		Name: name, Violation: fault.Violation{Code: "wrong-format", Message: message, Allowed: allowed},
	}
}
