package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AuditLog is the log of what the Audit consumer saw on the topic. Only the audit login can write it, and nobody
// can change an entry.
type AuditLog interface {
	// AppendAuditLog appends entries to the chains of their tenants, in the given sequence, and stores findings
	// about what is wrong with them. An entry that was seen before changes nothing. It works in transactions of
	// at most 500 entries and 31 tenants, each under the locks of the tenants. When a transaction fails, its
	// entries are appended one by one, so that only those after the faulty one wait. With an error, the result
	// holds what was committed.
	AppendAuditLog(ctx context.Context, seen []auditlog.Entry) (Appended, error)
	// AddFinding stores a finding, under the zero tenant when there is no tenant with its id. added is false when
	// it was stored before.
	AddFinding(ctx context.Context, f auditlog.Finding) (added bool, err error)
	// Heads returns the heads of all chains.
	Heads(ctx context.Context) ([]auditlog.Head, error)
	// Entries reads a tenant's chain after the entry with number after.
	Entries(ctx context.Context, t tenant.ID, after int64, limit int) ([]auditlog.Entry, error)
	// EntriesByEvent reads the entries of a tenant in the sequence of their events, after a place.
	EntriesByEvent(ctx context.Context, t tenant.ID, after auditlog.Place, limit int) ([]auditlog.Entry, error)
	// Findings returns the findings of a tenant, or of no tenant when t is zero, that are not older than since,
	// oldest first.
	Findings(ctx context.Context, t tenant.ID, since time.Time) ([]auditlog.Finding, error)
}

// Appended is what AppendAuditLog did.
type Appended struct {
	Fresh    int                // entries that were added
	Findings []auditlog.Finding // new ones
}

// EventTable is the source of the events with which the audit log is compared. It needs the worker's login.
type EventTable interface {
	// SourceEvents reads a tenant's events after a place, in the sequence of their places.
	SourceEvents(ctx context.Context, t tenant.ID, after auditlog.Place, limit int) ([]auditlog.SourceEvent, error)
}
