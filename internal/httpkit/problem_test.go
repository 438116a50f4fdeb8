package httpkit

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a committed file, or writes the file with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; if that is intended, write it with -update (-want +got):\n%s", name, diff)
	}
}

func TestProblemsAreThoseOfTheGoldenFile(t *testing.T) {
	t.Parallel()
	conflict := fault.New(fault.KindConflict, fault.CodeVersionConflict,
		"The order is at version 5, not 4. Read it again, then decide.")
	conflict.Members = map[string]any{"current_version": 5, "code": "must not replace ours", "status": 200}
	tooMany := fault.New(fault.KindTooMany, "redelivery-too-often", "At most 3 an hour.")
	tooMany.After = 90*time.Second + time.Millisecond
	down := fault.New(fault.KindUnavailable, "database-away", "Try again.")
	var out strings.Builder
	for _, err := range []error{
		fault.Violated([]fault.Violation{
			{
				Pointer: "/items/0/plan", Code: "plan-unknown", Message: "There is no such plan.",
				Allowed: []any{"core", "business"},
			}, {Pointer: "", Code: "order-odd", Message: "Odd."},
		}),
		fault.New(fault.KindMalformed, "malformed-json", "This is not JSON."),
		Unauthenticated(),
		fault.New(fault.KindForbidden, fault.CodeForbidden, "This needs payments:confirm."),
		fault.Absent(),
		conflict,
		fault.New(fault.KindPrecondition, "precondition-failed", "The order is at version 5."),
		fault.New(fault.KindPreconditionMissing, "version-required", "Send the version you read."),
		tooMany,
		down,
		Unroutable(http.NewServeMux(), httptest.NewRequest("GET", "/nowhere", nil),
			"The OpenAPI document at /openapi.json lists every path."),
		&StatusError{Status: 405, Code: CodeMethodNotAllowed, Detail: "Allow names them.", Allow: "GET, HEAD"},
		CheckMediaType("text/plain"),
		&ParameterError{
			Name: "cursor", Violation: fault.Violation{Code: "wrong-format", Message: "This is not a cursor of this list."},
		},
		fmt.Errorf("lock order: %w", context.DeadlineExceeded),
		errors.New("ERROR: duplicate key value violates unique constraint (SQLSTATE 23505)"),
	} {
		p, hidden := ProblemOf(fmt.Errorf("wrapped: %w", err), "01900000-0000-7000-8000-00000000beef")
		a, err := p.Answer()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%d hidden=%t", a.Status, hidden)
		for _, h := range []string{"Content-Type", "Retry-After", "Allow", "WWW-Authenticate"} {
			if v, ok := a.Header[h]; ok {
				fmt.Fprintf(&out, " %s=%s", h, v)
			}
		}
		fmt.Fprintf(&out, "\n%s\n\n", a.Body)
	}
	golden(t, "testdata/problems.txt", []byte(out.String()))
}

func TestRefusalLogsOnlyWhatItHides(t *testing.T) {
	t.Parallel()
	_, r := Front{NewRequestID: func() string { return "req-1" }}.Begin(httptest.NewRecorder(),
		httptest.NewRequest("GET", "/", nil))
	for err, wantLogged := range map[error]bool{
		errors.New("relation orders_pkey"):                     true,
		fault.New(fault.KindConflict, "moved", "It moved."):    false,
		fmt.Errorf("read order: %w", context.DeadlineExceeded): true,
		fmt.Errorf("read order: %w", context.Canceled):         false, // the client has gone
	} {
		var log bytes.Buffer
		a, encodeErr := Refusal(r.Context(), slog.New(slog.NewTextHandler(&log, nil)), err, slog.String("tenant", "acme"))
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		if !strings.Contains(string(a.Body), `"request_id":"req-1"`) || strings.Contains(string(a.Body), "relation") {
			t.Errorf("%v is answered with %s", err, a.Body)
		}
		if got := strings.Contains(log.String(), err.Error()) && strings.Contains(log.String(),
			"tenant=acme"); got != wantLogged {
			t.Errorf("%v: logged %q", err, log.String())
		}
		if !wantLogged && log.Len() > 0 {
			t.Errorf("%v: logged %q, want nothing", err, log.String())
		}
	}
}

func TestRetryAfterIsInWholeSecondsAndOnlyWhereARetryMayHelp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind  fault.Kind
		after time.Duration
		want  int
	}{
		{fault.KindTooMany, 0, 1},
		{fault.KindTooMany, 1500 * time.Millisecond, 2},
		{fault.KindTooMany, time.Minute, 60},
		{fault.KindUnavailable, 0, 1},
		{fault.KindConflict, 0, 0},
		{fault.KindConflict, 1, 1},
		{fault.KindInvalid, 0, 0},
	} {
		if got := RetryAfter(&fault.Error{Kind: c.kind, After: c.after}); got != c.want {
			t.Errorf("kind %d after %s: %d, want %d", c.kind, c.after, got, c.want)
		}
	}
}
