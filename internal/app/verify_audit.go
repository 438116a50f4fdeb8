package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// pageOfEntries is how many rows of the audit log or of the events are read at once.
const pageOfEntries = 2000

// EachEntry calls visit with each entry of a tenant's chain, in sequence, until visit returns an error.
func EachEntry(ctx context.Context, log AuditLog, t tenant.ID, visit func(auditlog.Entry) error) error {
	for after := int64(0); ; {
		entries, err := log.Entries(ctx, t, after, pageOfEntries)
		if err != nil {
			return fmt.Errorf("read the audit log of tenant %s after n %d: %w", t, after, err)
		}
		for _, entry := range entries {
			if err := visit(entry); err != nil {
				return err
			}
			after = entry.N
		}
		if len(entries) < pageOfEntries {
			return nil
		}
	}
}

// VerifyEvents compares a tenant's events with its audit log, page by page. Every event that is older than before must
// be in the log, with the same content, and the log must hold nothing else. visitPage gets the differences of each
// page and the number of events in it.
//
// It reads the log before the events of each page: an event is in the table before it is on the topic, so what the log
// holds must be in the table then.
func VerifyEvents(
	ctx context.Context, log AuditLog, table EventTable, t tenant.ID, before time.Time,
	visitPage func(events int, differences []auditlog.Difference) error,
) error {
	for after := (auditlog.Place{}); ; {
		seen, err := log.EntriesByEvent(ctx, t, after, pageOfEntries)
		if err != nil {
			return fmt.Errorf("read the audit log of tenant %s: %w", t, err)
		}
		events, err := table.SourceEvents(ctx, t, after, pageOfEntries)
		if err != nil {
			return fmt.Errorf("read the events of tenant %s: %w", t, err)
		}
		// A full page may continue after its end, so the comparison stops at the earlier of the two ends.
		end, more := auditlog.Place{}, false
		if len(seen) == pageOfEntries {
			end, more = seen[len(seen)-1].Place(), true
		}
		if len(events) == pageOfEntries {
			if last := events[len(events)-1].Place(); !more || last.Compare(end) < 0 {
				end, more = last, true
			}
		}
		if more {
			seen = upTo(seen, end)
			events = upTo(events, end)
		}
		if err := visitPage(len(events), auditlog.Compare(seen, events, before)); err != nil || !more {
			return err
		}
		after = end
	}
}

// upTo returns the rows of a sorted page that are not after a place.
func upTo[T interface{ Place() auditlog.Place }](page []T, end auditlog.Place) []T {
	if i := slices.IndexFunc(page, func(r T) bool { return r.Place().Compare(end) > 0 }); i >= 0 {
		return page[:i]
	}
	return page
}
