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

// audit runs one of the witness's commands on the desk's database, and wants a status and texts.
func (d *desk) audit(status int, args []string, want ...string) string {
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

func (d *desk) super(sql string) {
	d.t.Helper()
	if _, err := d.DB.Super(d.t).Exec(d.t.Context(), sql); err != nil {
		d.t.Fatal(err)
	}
}

func words(s string) []string { return strings.Fields(s) }

// A world that ran: some orders of every kind of end, and what the witness made of them.
func TestTheAuditOfAWorldThatRanVerifiesUntilSomebodyTampersWithIt(t *testing.T) {
	t.Parallel()
	d := openDesk(t)
	d.stuck()
	d.Drain(d.PaidOrder(harness.VPS()), d.PaidOrder(harness.VPS(), harness.Storage()))
	d.CheckInvariants()
	events := len(d.Events)

	// Whole, with the same head from the database and from the file that an auditor takes home.
	said := d.audit(0, words("audit verify"), "alpha  whole, head ")
	head := regexp.MustCompile(`head \d+:([0-9a-f]{64})`).FindStringSubmatch(said)
	if head == nil {
		t.Fatalf("no head is printed: %s", said)
	}
	export := filepath.Join(t.TempDir(), "witness.jsonl")
	lines := d.audit(0, words("audit export"))
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
		out, errs, got := d.runWith(nil, args...) // no database
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

	// Table and log agree; the clock of the world stands in the past, so nothing is on its way.
	d.audit(0, words("events verify"), " 0 differences", "nothing wrong about the topic")
	d.audit(0, words("audit findings"), "nothing wrong about the topic")
	d.audit(0, []string{"audit", "verify", "--tenant", "alpha", "--head", "alpha=" + head[1]}, "whole")
	d.audit(1, []string{"audit", "verify", "--tenant", "nobody"}, `no organisation "nobody"`)
	d.audit(1, []string{"audit", "verify", "--head", "alpha=12"}, "64 digits")
	d.audit(1, []string{"audit", "verify", "--head", "gamma=" + head[1]}, `"gamma" is no organisation`)

	// A second copy on the topic.
	again := d.Events[0]
	again.Offset += 1000
	if err := d.UseCases.Audit.AuditEvent(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	d.audit(1, words("audit findings"), "duplicate", "nothing was applied twice")
	d.audit(0, words("audit findings --since 2100-01-01T00:00:00Z"))
	d.audit(1, words("events verify"), "duplicate")
	d.audit(0, words("events verify --since 2100-01-01T00:00:00Z"))
	var all []auditlog.Finding
	if err := json.Unmarshal([]byte(d.audit(1, words("audit findings --json"))), &all); err != nil || len(all) != 1 ||
		all[0].Kind != auditlog.Duplicate {
		t.Errorf("as JSON: %+v, %v", all, err)
	}

	// Behind the walls.
	d.super(`UPDATE order_event SET data = (data::text || ' ')::json WHERE seq = 2`)
	d.audit(1, words("events verify --since 2100-01-01T00:00:00Z"), "seq 2: data: the audit log has hash")
	d.super(`DELETE FROM audit_log WHERE n > 5`)
	d.audit(0, words("audit verify"), "head 5:")
	d.audit(1, []string{"audit", "verify", "--head", "alpha=" + head[1]}, "never had the head "+head[1])
	d.super(`UPDATE audit_log SET off = off + 1 WHERE n = 4`)
	d.audit(1, words("audit verify"), "BROKEN at n 4")
	var report struct {
		Whole  bool
		Chains []struct {
			Slug   string
			Broken *auditlog.Break
		}
	}
	if err := json.Unmarshal([]byte(d.audit(1, words("audit verify --json"))), &report); err != nil || report.Whole ||
		len(report.Chains) == 0 {
		t.Errorf("as JSON: %+v, %v", report, err)
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
		t.Errorf("%d kinds, 5 are looked for", n)
	}
}
