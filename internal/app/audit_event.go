package app

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AuditEvent is the Audit consumer. It records what is on the topic, and where, in a hash chain that nobody else
// writes, so that the two can be compared. The audit log itself is its inbox. If something is wrong with a record,
// it stores and logs a finding and still records it: the Audit consumer skips nothing and parks nothing. It runs
// under the audit login.
func (a *App) AuditEvent(ctx context.Context, ev event.Event) error {
	done, err := a.audit(ctx, []event.Event{ev})
	if err == nil && done.Fresh == 0 && len(done.Findings) == 0 {
		return ErrDuplicate
	}
	return err
}

// AuditEvents is AuditEvent for many events (an EffectAll). After an error the events before the faulty one are
// recorded.
func (a *App) AuditEvents(ctx context.Context, evs []event.Event) (Handled, error) {
	done, err := a.audit(ctx, evs)
	if err != nil {
		return Handled{}, err
	}
	h := Handled{Applied: done.Fresh}
	for _, f := range done.Findings {
		if !f.Kind.ContinuesChain() {
			h.Applied++ // the record is in no chain but was new
		}
	}
	h.Duplicates = len(evs) - h.Applied
	return h, nil
}

func (a *App) audit(ctx context.Context, evs []event.Event) (Appended, error) {
	now := a.Now()
	seen := make([]auditlog.Entry, len(evs))
	for i, ev := range evs {
		seen[i] = auditlog.NewEntry(ev, now)
	}
	done, err := a.AuditLog.AppendAuditLog(ctx, seen)
	for _, f := range done.Findings {
		a.alarm(ctx, f)
	}
	return done, err
}

// alarms counts the findings since the process started.
type alarms struct {
	mu     sync.Mutex
	counts map[auditlog.Kind]int64 // guarded by mu
}

// Findings returns how many findings of each kind this process's Audit consumer made since it started. It holds
// every kind, also those without any.
func (a *App) Findings() map[auditlog.Kind]int64 {
	a.alarms.mu.Lock()
	defer a.alarms.mu.Unlock()
	all := map[auditlog.Kind]int64{}
	for _, k := range auditlog.Kinds() {
		all[k] = a.alarms.counts[k]
	}
	return all
}

// alarm counts and logs a finding. Operators are alerted by it; docs/runbook.md says what to do about each kind.
func (a *App) alarm(ctx context.Context, f auditlog.Finding) {
	a.alarms.mu.Lock()
	if a.alarms.counts == nil {
		a.alarms.counts = map[auditlog.Kind]int64{}
	}
	a.alarms.counts[f.Kind]++
	a.alarms.mu.Unlock()
	a.Log.ErrorContext(ctx, "audit finding: the topic is not as it must be", "kind", string(f.Kind), "tenant",
		f.Tenant, "order", f.Order, "seq", f.Seq,
		"topic", f.Topic, "partition", f.Partition, "offset", f.Offset, "detail", f.Detail)
}

// AuditRefusals stores the records that the Audit consumer refused, as findings, because the audit login can write
// nothing else.
func (a *App) AuditRefusals() Refusals { return auditRefusals{a} }

type auditRefusals struct{ *App }

// Refuse stores a refused record as a finding of kind Foreign.
func (a auditRefusals) Refuse(ctx context.Context, r Refusal) error {
	f := auditlog.Finding{
		Tenant: claimedTenant(r.Headers), Kind: auditlog.Foreign, Topic: r.TopicID, Partition: r.Partition, Offset: r.Offset,
		Detail: fmt.Sprintf("%s: the record has data of hash %s", r.Code, auditlog.Hash(r.DataSHA256)), At: r.At,
	}
	added, err := a.AuditLog.AddFinding(ctx, f)
	if added {
		a.alarm(ctx, f)
	}
	return err
}

// claimedTenant returns the tenant that a refused record's headers name. It is zero when they name none or two.
func claimedTenant(headers map[string]string) tenant.ID {
	var found tenant.ID
	for name, value := range headers {
		if !strings.EqualFold(name, "ce_tenantid") {
			continue
		}
		t, err := id.Parse[tenant.Tenant](value)
		if err != nil || !found.IsZero() && found != t {
			return tenant.ID{}
		}
		found = t
	}
	return found
}

// LogAuditHeads logs the head of each tenant's chain. Kept outside the database, these log lines show whether a
// chain was rewritten: platforma audit verify takes them as --head. It returns the number of heads.
func (a *App) LogAuditHeads(ctx context.Context) (int, error) {
	heads, err := a.AuditLog.Heads(ctx)
	for _, h := range heads {
		a.Log.InfoContext(ctx, "audit head", "tenant", h.Tenant, "n", h.N, "hash", h.Hash)
	}
	return len(heads), err
}
