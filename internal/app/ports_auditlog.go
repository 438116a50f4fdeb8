package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AuditLog is the log of what the Audit consumer saw on the topic: the audit login's part of the store,
// which nobody else writes and nobody can change.
type AuditLog interface {
	// AppendAuditLog continues the chains of the records' tenants, in the order in which the records are given,
	// and files what is wrong about them. What was seen before changes nothing. It works in transactions of
	// at most 500 records and 31 tenants, each under the tenants' locks; when one fails its records are taken one
	// by one, so that only what stands behind the record at fault waits. With an error the answer holds
	// what was committed.
	AppendAuditLog(ctx context.Context, seen []auditlog.Entry) (Appended, error)
	// AddFinding files a finding, under the zero tenant when its own is none of ours; added is false when it
	// was there.
	AddFinding(ctx context.Context, f auditlog.Finding) (added bool, err error)
	// Heads are the chains' heads, of every tenant that has one.
	Heads(ctx context.Context) ([]auditlog.Head, error)
	// Links reads a tenant's chain behind a place; EntriesByEvent the same rows in the order of their events.
	Entries(ctx context.Context, t tenant.ID, after int64, limit int) ([]auditlog.Entry, error)
	EntriesByEvent(ctx context.Context, t tenant.ID, after auditlog.Place, limit int) ([]auditlog.Entry, error)
	// Findings of a tenant, or of nobody (the zero tenant), not older than since; oldest first.
	Findings(ctx context.Context, t tenant.ID, since time.Time) ([]auditlog.Finding, error)
}

// Witnessed is what AppendAuditLog did.
type Appended struct {
	Fresh    int                // links that were added
	Findings []auditlog.Finding // those that were not known
}

// EventTable is where the events are read that the witness is compared with: the worker's login.
type EventTable interface {
	// Told reads a tenant's events behind a place, in the order of their places.
	SourceEvents(ctx context.Context, t tenant.ID, after auditlog.Place, limit int) ([]auditlog.SourceEvent, error)
}
