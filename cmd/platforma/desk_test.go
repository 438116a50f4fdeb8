package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/httpapi"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

// desk runs the binary's commands against the API of a harness.
type desk struct {
	*harness.Harness
	t       *testing.T
	url     string
	goldIDs map[string]string // by the id of this run: the id that replaces it in golden files
}

func openDesk(t *testing.T, opts ...harness.Option) *desk {
	t.Helper()
	d := &desk{Harness: harness.New(t, opts...), t: t, goldIDs: map[string]string{}}
	var n atomic.Int64
	srv := httptest.NewServer(httpapi.New(d.UseCases.API, httpapi.Config{
		Now: d.Clock.Now, Hub: app.NewHub(), Log: slog.New(slog.DiscardHandler),
		NewRequestID: func() string { return fmt.Sprintf("0190ffff-0000-7000-8000-%012x", n.Add(1)) },
	}))
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

// run runs the binary with the key of a role and returns its output and its exit status.
func (d *desk) run(r tenant.Role, args ...string) (stdout, stderr string, status int) {
	d.t.Helper()
	return d.runWith([]string{"PLATFORMA_API=" + d.url, "PLATFORMA_API_KEY=" + d.Tenant.Keys[r]}, args...)
}

func (d *desk) runWith(env []string, args ...string) (stdout, stderr string, status int) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), binary, args...)
	var out, err bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.t.TempDir(), &out, &err
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir}, env...)
	runErr := cmd.Run()
	var exit *exec.ExitError
	if runErr != nil && !errors.As(runErr, &exit) {
		d.t.Fatalf("platforma %s: %v", strings.Join(args, " "), runErr)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

var anyID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// normalize replaces what differs from run to run by fixed text of the same width.
func (d *desk) normalize(s string) string {
	s = strings.ReplaceAll(s, d.url, "http://api.example")
	s = regexp.MustCompile(`ORD-[0-9A-Z]{8}`).ReplaceAllString(s, "ORD-XXXXXXXX")
	// the jitter depends on the task's id
	s = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`).ReplaceAllString(s, "hh:mm:ss.mmm")
	s = regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(s, "hh:mm:ss")
	s = regexp.MustCompile(`port-[0-9a-f]+|vol-[0-9a-f]+`).ReplaceAllString(s, "port-ref")
	return anyID.ReplaceAllStringFunc(s, func(id string) string {
		if d.goldIDs[id] == "" {
			d.goldIDs[id] = fmt.Sprintf("00000000-0000-7000-8000-%012d", len(d.goldIDs)+1)
		}
		return d.goldIDs[id]
	})
}

// wantGolden compares what a command printed with a file of testdata.
func (d *desk) wantGolden(name string, r tenant.Role, status int, args ...string) string {
	d.t.Helper()
	out, errs, got := d.run(r, args...)
	if got != status {
		d.t.Errorf("platforma %s ended with %d, want %d: %s", strings.Join(args, " "), got, status, errs)
	}
	printed := d.normalize("$ platforma "+strings.Join(args, " ")+"\n") + d.normalize(out+errs)
	// How often a build is polled, and when a mail is sent meanwhile, depends on the item's id.
	printed = regexp.MustCompile(`(?m)^.*  pending .*  -\n`).ReplaceAllString(printed, "")
	if args[1] == "saga" {
		printed = regexp.MustCompile(`(do +(?:port|bucket)) +\d+`).ReplaceAllString(printed, "$1  n")
		printed = regexp.MustCompile(`(\S) {2,}`).ReplaceAllString(printed, "$1  ")
		blocks := strings.Split(printed, "\n\n")
		printed = blocks[0] + "\n\n" + strings.Join(slices.DeleteFunc(blocks[1:], func(b string) bool {
			return !strings.HasPrefix(b, "provision")
		}), "\n\n") + "\n"
	}
	path := filepath.Join("testdata", "desk", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(printed), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatalf("no golden file (go test ./cmd/platforma -run Desk -update writes it): %v", err)
	}
	if diff := cmp.Diff(string(golden), printed); diff != "" {
		d.t.Errorf("platforma %s (-%s +printed):\n%s", strings.Join(args, " "), path, diff)
	}
	return out
}

// stuckOrder returns an order whose compensation is stuck, and the id of its dead letter.
func (d *desk) stuckOrder() (order.ID, string) {
	d.t.Helper()
	d.Sim.Script(sim.Fault{Label: "vps", Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	d.Sim.Script(sim.Fault{Label: "vps", Step: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	o := d.PaidOrder(harness.VPS(), harness.Labelled(harness.Storage(), "backup"))
	d.Drain(o)
	d.Sim.ClearFaults()
	open := app.DeadLetterOpen
	page, err := d.UseCases.API.DeadLetters(d.t.Context(), d.As(tenant.Operator), app.DeadLetterFilter{
		Order: o, State: &open, Cause: "compensation-exhausted", Limit: 10,
	})
	if err != nil || len(page.Data) != 1 {
		d.t.Fatalf("open dead letters of the compensation: %+v, %v", page.Data, err)
	}
	return o, page.Data[0].ID.String()
}

func TestDeskCommandsPrintWhatAnOperatorNeeds(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	o, l := d.stuckOrder()
	number := d.Order(o).Order.Number
	op := tenant.Operator
	d.wantGolden("orders-list", op, 0, "orders", "list")
	d.wantGolden("orders-show", op, 0, "orders", "show", number)
	d.wantGolden("orders-watch-stuck", op, 1, "orders", "watch", o.String())
	d.wantGolden("deadletters-list", op, 0, "deadletters", "list", "--order", number)
	d.wantGolden("deadletters-groups", op, 0, "deadletters", "groups")
	d.wantGolden("deadletters-dry-run", op, 0, "deadletters", "redrive", "--cause", "compensation-exhausted", "--dry-run")
	d.wantGolden("abandon-first", op, 0, "deadletters", "abandon", l, "--reason", "removed_by_hand", "--proof",
		"ticket OPS-311", "--text", "deleted at the console")
	d.wantGolden("deadletters-show", op, 0, "deadletters", "show", l)
	d.wantGolden("abandon-same-person", op, 1, "deadletters", "abandon", l, "--reason", "removed_by_hand")
	d.wantGolden("abandon-second", tenant.Admin, 0, "deadletters", "abandon", l, "--reason", "removed_by_hand")
	d.wantGolden("redrive-refused", op, 1, "deadletters", "redrive", l)
	d.Drain(o)
	d.wantGolden("orders-watch-fulfilled", op, 0, "orders", "watch", number)
	d.wantGolden("deadletters-none", op, 0, "deadletters", "list")
	d.wantGolden("work-list", op, 0, "workitems", "list")
	refund := d.Order(o).Order.Refunds[0].ID.String()
	d.wantGolden("work-done", op, 0, "workitems", "done", refund, "--reason", "transfer 17")
	d.wantGolden("work-none", op, 0, "workitems", "list")
	d.wantGolden("orders-saga", op, 0, "orders", "saga", number)
}

func TestDeskCommandsPrintTheTimesOfEveryCall(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	o, l := d.stuckOrder()
	saga, errs, _ := d.run(tenant.Operator, "orders", "saga", o.String())
	show, showErrs, _ := d.run(tenant.Operator, "deadletters", "show", l)
	detail, err := d.UseCases.API.DeadLetter(t.Context(), d.As(tenant.Operator), id.MustParse[app.DeadLetter](l))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, e := range detail.Calls {
		if e.What != app.LogAnswer || e.Class != fault.Retryable {
			continue
		}
		calls++
		if at := e.At.Format("15:04:05.000"); !strings.Contains(saga, at) {
			t.Errorf("orders saga does not print the call at %s: %s%s", at, saga, errs)
		}
		if at := e.At.Format("2006-01-02 15:04:05"); !strings.Contains(show, at) {
			t.Errorf("deadletters show does not print the call at %s: %s%s", at, show, showErrs)
		}
		next := e.Next.Format("15:04:05.000")
		if !e.Next.IsZero() && (!strings.Contains(show, next) || !strings.Contains(saga, next)) {
			t.Errorf("the wait until %s is not printed", next)
		}
	}
	if calls != 6 {
		t.Errorf("%d failed calls, want 6", calls)
	}
}

func TestDeskCommandsRedriveAndWithdraw(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	o, l := d.stuckOrder()
	op := tenant.Operator
	if _, errs, status := d.run(op, "deadletters", "abandon", l, "--reason", "verified_absent",
		"--proof", "T-1"); status != 0 {
		t.Fatalf("sign: %s", errs)
	}
	d.wantGolden("abandon-withdraw", op, 0, "deadletters", "abandon", l, "--withdraw")
	d.wantGolden("redrive-one", op, 0, "deadletters", "redrive", l, "--reason", "the cloud is back")
	d.Drain(o)
	d.WantSummary(o, "fulfilled partial settled; vps rolled_back refund 20.10 accepted; backup delivered")
}

func TestDeskCommandsAdoptAResource(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	o, l := d.stuckOrder()
	op := tenant.Operator
	detail, err := d.UseCases.API.DeadLetter(t.Context(), d.As(op), id.MustParse[app.DeadLetter](l))
	if err != nil || len(detail.Remaining) != 1 || len(detail.Remaining[0].Refs) != 1 {
		t.Fatalf("left at the provider: %+v, %v; want one resource with its id", detail.Remaining, err)
	}
	left := detail.Remaining[0]
	if _, errs, status := d.run(op, "deadletters", "adopt", l, "--step", "volume", "--ref", "vol-1", "--reason",
		"seen"); status != 1 || !strings.Contains(errs, "no part of the item") {
		t.Errorf("a part that is not left: status %d, %s", status, errs)
	}
	out, errs, status := d.run(op, "deadletters", "adopt", l, "--step", left.Step, "--ref", left.Refs[0],
		"--reason", "seen at the console")
	if status != 0 || !strings.Contains(out, "The clean-up goes on.") ||
		!strings.Contains(out, "platforma orders saga "+o.String()) {
		t.Errorf("adopt: status %d, printed %q %s", status, out, errs)
	}
	d.Drain(o)
	d.WantSummary(o, "fulfilled partial settled; vps rolled_back refund 20.10 accepted; backup delivered")
}

func TestDeskCommandsSayWhatToDoWhenRefused(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	_, l := d.stuckOrder()
	d.wantGolden("error-role", tenant.Customer, 1, "deadletters", "list")
	d.wantGolden("error-absent", tenant.Operator, 1, "deadletters", "show", "01900000-0000-7000-8000-00000000dead")
	d.wantGolden("error-proof", tenant.Operator, 1, "deadletters", "abandon", l, "--reason", "other")
	d.wantGolden("error-which", tenant.Operator, 1, "deadletters", "redrive")
	d.wantGolden("error-number", tenant.Operator, 1, "orders", "show", "ORD-00000000")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"no installation": {nil, []string{"orders", "list"}, "platforma dev"},
		"no key":          {nil, []string{"orders", "list", "--api", d.url}, "PLATFORMA_API_KEY"},
		"wrong key":       {nil, []string{"orders", "list", "--api", d.url, "--key-file", key}, "expired or revoked"},
		"nobody answers": {
			[]string{"PLATFORMA_API_KEY=x"}, []string{"orders", "list", "--api", "http://127.0.0.1:1"}, "is --api right?",
		},
		"other tenant": {
			[]string{"PLATFORMA_API=" + d.url, "PLATFORMA_API_KEY=" + d.OtherTenant.Keys[tenant.Admin]},
			[]string{"deadletters", "abandon", l, "--reason", "other", "--text", "x", "--proof", "y"},
			"another organisation",
		},
	} {
		if out, errs, status := d.runWith(c.env, c.args...); status != 1 || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%s: status %d, printed %q %q, want %q", what, status, out, errs, c.want)
		}
	}
}

func TestDeskCommandsPrintTheAPIsOwnAnswerAsJSON(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	o, l := d.stuckOrder()
	for _, args := range [][]string{
		{"orders", "list"},
		{"orders", "show", o.String()},
		{"orders", "saga", o.String()},
		{"deadletters", "list"},
		{"deadletters", "groups"},
		{"deadletters", "show", l},
		{"deadletters", "redrive", l, "--dry-run"},
		{"workitems", "list"},
		{"deadletters", "abandon", l, "--reason", "other", "--text", "x", "--proof", "y"},
		{"deadletters", "abandon", l, "--withdraw"},
	} {
		out, errs, status := d.run(tenant.Operator, append(args, "--json")...)
		var v map[string]any
		if err := json.Unmarshal([]byte(out), &v); status != 0 || err != nil || len(v) == 0 {
			t.Errorf("platforma %s --json: status %d, %v: %.200s %s", strings.Join(args, " "), status, err, out, errs)
		}
	}
}

// The causes are written by hand: whoever adds one to package app must say in the runbook what to do about it.
func TestRunbookSaysWhatToDoForEveryCauseAndReason(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []string{
		"compensation-exhausted", "refund-failed", "delivery-failed", "step-failed", "validation-failed",
		"checkout-failed", "notice-failed",
	} {
		if !strings.Contains(string(raw), "\n### "+cause+"\n") {
			t.Errorf("the runbook has nothing on %s", cause)
		}
	}
	for _, g := range app.AllAbandonReasons() {
		if !strings.Contains(string(raw), "| `"+string(g)+"` |") {
			t.Errorf("the runbook does not say when %s holds", g)
		}
	}
}
