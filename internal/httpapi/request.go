package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// request is what is known of a request besides its decoded input. One goroutine has it.
type request struct {
	id      string
	http    *http.Request
	route   *route
	bearer  string
	caller  app.Caller
	ifMatch *int // nil: no If-Match
}

type requestKey struct{}

func requestFrom(ctx context.Context) *request {
	req, _ := ctx.Value(requestKey{}).(*request)
	return req
}

func requestIDOf(ctx context.Context) string {
	if req := requestFrom(ctx); req != nil {
		return req.id
	}
	return ""
}

// attrs are the fields of a log line: ids, never text of a customer.
func (q *request) attrs(more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("request_id", q.id), slog.String("method", q.http.Method)}
	if q.route != nil {
		attrs = append(attrs, slog.String("route", q.route.Path))
	}
	if !q.caller.Tenant.IsZero() {
		attrs = append(attrs, slog.String("tenant", q.caller.Tenant.String()), slog.String("member", q.caller.Member.String()))
	}
	return append(attrs, more...)
}

// guard goes before every route: who is asking, how often, under which key, and is the body what the
// route's schema says. The order is 401, 429, 400, then form.
func (s *server) guard(hc huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(hc)
	req := requestFrom(hc.Context())
	req.route, _ = hc.Operation().Metadata["route"].(*route)
	if err := s.admit(req, w, r, hc.Operation()); err != nil {
		s.fail(w, req, err)
		return
	}
	if req.route.Stream {
		next(hc)
		return
	}
	ctx, cancel := context.WithTimeout(hc.Context(), requestTimeout)
	defer cancel()
	next(huma.WithContext(hc, ctx))
}

func (s *server) admit(req *request, w http.ResponseWriter, r *http.Request, op *huma.Operation) error {
	if err := s.authenticate(req, r); err != nil {
		return err
	}
	now, limit := s.cfg.Now(), s.limits.read
	if req.route.Key {
		limit = s.limits.write
	}
	if err := limit(req.caller.Tenant, hashOf(req.bearer), now); err != nil {
		return err
	}
	if !req.route.Write() {
		return nil
	}
	key, err := parseKey(r.Header)
	if err != nil && req.route.Key {
		return err
	}
	if req.ifMatch, err = parseIfMatch(r.Header); err != nil && req.route.Versioned {
		return err
	}
	raw, err := readBody(w, r)
	if err != nil {
		return err
	}
	if err := s.checkForm(r, op, raw); err != nil {
		return err
	}
	req.caller.NeedsKey = req.route.Key
	if key != "" && req.route.Key {
		req.caller.Key = &app.IdempotencyKey{Key: key, Fingerprint: fingerprint(r, req.caller.Actor, raw)}
	}
	r.Header.Set("Content-Type", applicationJSON) // however it was spelt: the library knows one spelling
	return nil
}

// authenticate finds who is asking. Whatever is wrong with a key, the answer is one and the same 401.
func (s *server) authenticate(req *request, r *http.Request) error {
	addr, now := addressOf(r), s.cfg.Now()
	if wait, blocked := s.limits.failed.blocked(addr, now); blocked {
		return tooMany(wait)
	}
	bearer, ok := bearerOf(r.Header)
	if !ok {
		return unauthenticated()
	}
	actor, err := s.useCases.Authenticate(r.Context(), bearer)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindUnauthenticated {
		s.limits.failed.count(addr, now)
		return unauthenticated()
	}
	if err != nil {
		return err
	}
	req.bearer = bearer
	req.caller = app.Caller{Actor: actor, Traceparent: traceparent(r.Header), RequestID: req.id}
	return nil
}

func unauthenticated() *fault.Error {
	return fault.New(fault.KindUnauthenticated, "unauthenticated", "Send a valid API key as Authorization: Bearer <key>.")
}

// maxBearer is longer than any key we make.
const maxBearer = 512

func bearerOf(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxBearer
}

var traceparentForm = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// traceparent takes over the caller's trace when it has the form of W3C Trace Context, version 00.
func traceparent(h http.Header) string {
	if t := h.Get("Traceparent"); traceparentForm.MatchString(t) {
		return t
	}
	return ""
}

// never is a version that no row has: a well-formed ETag of somebody else's making matches nothing.
const never = -1

// parseIfMatch reads the version out of an If-Match: one strong ETag as we give them, "7". Weak ones
// never match (RFC 9110, section 13.1.1).
func parseIfMatch(h http.Header) (*int, error) {
	values := h.Values("If-Match")
	if len(values) == 0 {
		return nil, nil
	}
	tag := strings.TrimSpace(values[0])
	strong := strings.TrimPrefix(tag, "W/")
	if len(values) > 1 || len(strong) < 2 || strong[0] != '"' || strings.Index(strong[1:], `"`) != len(strong)-2 {
		return nil, fault.New(fault.KindMalformed, "if-match-malformed", `Send one ETag as you got it, such as If-Match: "7".`)
	}
	version, err := strconv.Atoi(strong[1 : len(strong)-1])
	if err != nil || version < 0 || strong != tag {
		version = never
	}
	return &version, nil
}

func etag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// readBody reads at most MaxBody bytes and puts them back for the decoder.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return nil, bodyFault(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return raw, nil
}

// bodyFault is for a body that could not be read.
func bodyFault(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &statusFault{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, detail: "A body has at most 65536 bytes."}
	}
	return malformed("The body could not be read to its end.")
}

// checkForm holds a body against the schema of its route: every fault at once.
func (s *server) checkForm(r *http.Request, op *huma.Operation, raw []byte) error {
	if op.RequestBody == nil {
		return nil
	}
	if len(raw) == 0 {
		if op.RequestBody.Required {
			return malformed("This needs a body.")
		}
		return nil
	}
	if err := contentFault(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	body, err := parseJSON(raw)
	if err != nil {
		return err
	}
	if faults := checkBody(s.api.OpenAPI().Components.Schemas, op.RequestBody.Content[applicationJSON].Schema, body); len(faults) > 0 {
		return fault.Violated(faults)
	}
	return nil
}

// precondition joins the version of a body with that of If-Match.
func (q *request) precondition(version *int) app.Precondition {
	return app.Precondition{Version: version, IfMatch: q.ifMatch}
}
