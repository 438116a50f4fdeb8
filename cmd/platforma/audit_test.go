package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/harness"
)

// runOnDatabase runs a command that reads the database, and requires a status and texts in its output.
func (d *desk) runOnDatabase(status int, args []string, want ...string) string {
	d.t.Helper()
	out, errs, got := d.runWith([]string{"DATABASE_URL=" + d.DB.OwnerURL()}, args...)
	if got != status {
		d.t.Errorf("platforma %s: status %d, want %d: %s%s", strings.Join(args, " "), got, status, out, errs)
	}
	for _, w := range want {
		if !strings.Contains(out+errs, w) {
			d.t.Errorf("platforma %s does not say %q: %s%s", strings.Join(args, " "), w, out, errs)
		}
	}
	return out
}

// decodeFromDatabase is runOnDatabase for a command that prints JSON.
func (d *desk) decodeFromDatabase(status int, args string, into any) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(d.runOnDatabase(status, argsOf(args))), into); err != nil {
		d.t.Fatalf("platforma %s: %v", args, err)
	}
}

// exec runs a statement as the database's superuser.
func (d *desk) exec(sql string) {
	d.t.Helper()
	if _, err := d.DB.Super(d.t).Exec(d.t.Context(), sql); err != nil {
		d.t.Fatal(err)
	}
}

func argsOf(s string) []string { return strings.Fields(s) }

// The audit log covers several orders that ended in different ways.
func TestTheAuditLogVerifiesUntilSomebodyTampersWithIt(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.stuckOrder()
	d.Drain(d.PaidOrder(harness.VPS()), d.PaidOrder(harness.VPS(), harness.Storage()))
	d.CheckInvariants()
	events := len(d.Events)

	// The database and the exported file give the same head.
	out := d.runOnDatabase(0, argsOf("audit verify"), "alpha  whole, head ")
	head := regexp.MustCompile(`head \d+:([0-9a-f]{64})`).FindStringSubmatch(out)
	if head == nil {
		t.Fatalf("no head is printed: %s", out)
	}
	export := filepath.Join(t.TempDir(), "audit.jsonl")
	lines := d.runOnDatabase(0, argsOf("audit export"))
	if n := strings.Count(lines, "\n"); n != events {
		t.Errorf("%d lines exported, want one for each of %d events", n, events)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(export, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verifyFile := func(status int, want ...string) {
		t.Helper()
		args := []string{"audit", "verify", "--file", export, "--head", d.Tenant.ID.String() + "=" + head[1]}
		out, errs, got := d.runWith(nil, args...) // without a database
		for _, w := range want {
			if !strings.Contains(out+errs, w) {
				t.Errorf("verifying the file does not say %q: %s%s", w, out, errs)
			}
		}
		if got != status {
			t.Errorf("verifying the file: status %d, want %d: %s%s", got, status, out, errs)
		}
	}
	write(lines)
	verifyFile(0, head[1])
	rows := strings.SplitAfter(lines, "\n")
	write(strings.Join(append(rows[:2:2], rows[3:]...), ""))
	verifyFile(1, "BROKEN at n 3")
	write(strings.Replace(lines, `"order.created"`, `"order.updated"`, 1))
	verifyFile(1, "BROKEN at n 1", "the row was changed")
	write(strings.Join(rows[:len(rows)-2], ""))
	verifyFile(1, "never had the head "+head[1])
	write("{\n")
	verifyFile(1, "row 1")

	// Table and audit log agree. The harness's clock is in the past, so no event is too young to be compared.
	d.runOnDatabase(0, argsOf("events verify"), " 0 differences", "found no fault of the topic")
	d.runOnDatabase(0, argsOf("audit findings"), "found no fault of the topic")
	d.runOnDatabase(0, []string{"audit", "verify", "--tenant", "alpha", "--head", "alpha=" + head[1]}, "whole")
	d.runOnDatabase(1, []string{"audit", "verify", "--tenant", "nobody"}, `no organisation "nobody"`)
	d.runOnDatabase(1, []string{"audit", "verify", "--head", "alpha=12"}, "64 digits")
	d.runOnDatabase(1, []string{"audit", "verify", "--head", "gamma=" + head[1]}, `"gamma" is no organisation`)

	// An event is on the topic twice.
	second := d.Events[0]
	second.Offset += 1000
	if err := d.UseCases.Audit.AuditEvent(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	d.runOnDatabase(1, argsOf("audit findings"), "duplicate", "nothing was applied twice")
	d.runOnDatabase(0, argsOf("audit findings --since 2100-01-01T00:00:00Z"))
	d.runOnDatabase(1, argsOf("events verify"), "duplicate")
	d.runOnDatabase(0, argsOf("events verify --since 2100-01-01T00:00:00Z"))
	var findings []auditlog.Finding
	d.decodeFromDatabase(1, "audit findings --json", &findings)
	if len(findings) != 1 || findings[0].Kind != auditlog.Duplicate {
		t.Errorf("as JSON: %+v", findings)
	}

	// A superuser, whom no tenant wall stops, changes events and the audit log.
	d.exec(`UPDATE order_event SET data = (data::text || ' ')::json WHERE seq = 2`)
	d.runOnDatabase(1, argsOf("events verify --since 2100-01-01T00:00:00Z"), "seq 2: data: the audit log has hash")
	d.exec(`DELETE FROM audit_log WHERE n > 5`)
	d.runOnDatabase(0, argsOf("audit verify"), "head 5:")
	d.runOnDatabase(1, []string{"audit", "verify", "--head", "alpha=" + head[1]}, "never had the head "+head[1])
	d.exec(`UPDATE audit_log SET off = off + 1 WHERE n = 4`)
	d.runOnDatabase(1, argsOf("audit verify"), "BROKEN at n 4")
	var report struct {
		Whole  bool
		Chains []struct {
			Slug   string
			Broken *auditlog.Break
		}
	}
	d.decodeFromDatabase(1, "audit verify --json", &report)
	if report.Whole || len(report.Chains) == 0 {
		t.Errorf("as JSON: %+v", report)
	}
}

func TestRunbookSaysWhatToDoAboutEveryFinding(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"gap", "duplicate", "order", "conflict", "foreign"} {
		if !strings.Contains(string(raw), "\n### "+kind+"\n") {
			t.Errorf("the runbook has nothing on %s", kind)
		}
	}
	if n := len(auditlog.Kinds()); n != 5 {
		t.Errorf("%d kinds of findings, this test knows 5", n)
	}
}
