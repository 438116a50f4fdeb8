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

// AuditEvent is the Audit consumer: it writes down what stands on the topic, and where, in a chain of its
// own that nobody else writes, so that the two can be compared. The log itself is its inbox. What is wrong
// about a record is filed and logged loudly, and the record is witnessed all the same: the witness skips
// nothing and parks nothing. It runs under the audit login.
func (a *App) AuditEvent(ctx context.Context, ev event.Event) error {
	done, err := a.audit(ctx, []event.Event{ev})
	if err == nil && done.Fresh == 0 && len(done.Findings) == 0 {
		return ErrDuplicate
	}
	return err
}

// AuditEvents is AuditEvent for many at once (an EffectAll). After an error those before the event at
// fault are witnessed.
func (a *App) AuditEvents(ctx context.Context, evs []event.Event) (Handled, error) {
	done, err := a.audit(ctx, evs)
	if err != nil {
		return Handled{}, err
	}
	h := Handled{Applied: done.Fresh}
	for _, f := range done.Findings {
		if !f.Kind.Fresh() {
			h.Applied++ // the record is in no chain, and is news all the same
		}
	}
	h.Duplicates = len(evs) - h.Applied
	return h, nil
}

func (a *App) audit(ctx context.Context, evs []event.Event) (Appended, error) {
	now := a.Now()
	seen := make([]auditlog.Entry, len(evs))
	for i, ev := range evs {
		seen[i] = auditlog.Saw(ev, now)
	}
	done, err := a.AuditLog.AppendAuditLog(ctx, seen)
	for _, f := range done.Findings {
		a.alarm(ctx, f)
	}
	return done, err
}

// alarms counts what was found since the process started.
type alarms struct {
	mu sync.Mutex
	of map[auditlog.Kind]int64 // guarded by mu
}

// Findings counts, by kind, what this process's witness found wrong about the topic since it started.
// Every kind is there.
func (a *App) Findings() map[auditlog.Kind]int64 {
	a.alarms.mu.Lock()
	defer a.alarms.mu.Unlock()
	all := map[auditlog.Kind]int64{}
	for _, k := range auditlog.Kinds() {
		all[k] = a.alarms.of[k]
	}
	return all
}

// alarm is what an operator is woken by; the runbook says what to do about each kind.
func (a *App) alarm(ctx context.Context, f auditlog.Finding) {
	a.alarms.mu.Lock()
	if a.alarms.of == nil {
		a.alarms.of = map[auditlog.Kind]int64{}
	}
	a.alarms.of[f.Kind]++
	a.alarms.mu.Unlock()
	a.Log.ErrorContext(ctx, "audit finding: the topic is not as it must be", "kind", string(f.Kind), "tenant",
		f.Tenant, "order", f.Order, "seq", f.Seq,
		"topic", f.Topic, "partition", f.Partition, "offset", f.Offset, "detail", f.Detail)
}

// AuditRefusals is where the Audit consumer keeps the records that the guard refused: as findings, for
// its login writes nothing else.
func (a *App) AuditRefusals() Refusals { return auditRefusals{a} }

type auditRefusals struct{ *App }

// Refuse files a refused record as a foreign one.
func (w auditRefusals) Refuse(ctx context.Context, r Refusal) error {
	f := auditlog.Finding{
		Tenant: claimed(r.Headers), Kind: auditlog.Foreign, Topic: r.TopicID, Partition: r.Partition, Offset: r.Offset,
		Detail: fmt.Sprintf("%s: the record has data of hash %s", r.Code, auditlog.Hash(r.DataSHA256)), At: r.At,
	}
	added, err := w.AuditLog.AddFinding(ctx, f)
	if added {
		w.alarm(ctx, f)
	}
	return err
}

// claimed is the tenant that a refused record's headers name, zero when they name none or two.
func claimed(headers map[string]string) tenant.ID {
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

// TellAuditHeads logs how far each tenant's chain has come, and its hash there. Kept apart from the database,
// these lines show whether a chain was rewritten below them: platforma audit verify takes them as --head.
func (a *App) TellAuditHeads(ctx context.Context) (int, error) {
	heads, err := a.AuditLog.Heads(ctx)
	for _, h := range heads {
		a.Log.InfoContext(ctx, "audit head", "tenant", h.Tenant, "n", h.N, "hash", h.Hash)
	}
	return len(heads), err
}
