package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// pageOfEntries is how many rows of witness log or table are read at once while they are verified.
const pageOfEntries = 2000

// EachEntry hands over a tenant's chain link by link, until visit fails.
func EachEntry(ctx context.Context, log AuditLog, t tenant.ID, visit func(auditlog.Entry) error) error {
	for after := int64(0); ; {
		links, err := log.Entries(ctx, t, after, pageOfEntries)
		if err != nil {
			return fmt.Errorf("read the witness log of tenant %s behind n %d: %w", t, after, err)
		}
		for _, entry := range links {
			if err := visit(entry); err != nil {
				return err
			}
			after = entry.N
		}
		if len(links) < pageOfEntries {
			return nil
		}
	}
}

// VerifyEvents compares a tenant's events with what the witness saw of them, page by page: every event that
// is older than before must have been seen, with the same content, and nothing else. tell hears of each
// page, with how many events of the table it held.
//
// Of each page the log is read first: an event is in the table before it can be on the topic, so what was
// seen must be there then.
func VerifyEvents(
	ctx context.Context, log AuditLog, table EventTable, t tenant.ID, before time.Time, tell func(told int,
		found []auditlog.Difference) error,
) error {
	for after := (auditlog.Place{}); ; {
		seen, err := log.EntriesByEvent(ctx, t, after, pageOfEntries)
		if err != nil {
			return fmt.Errorf("read the witness log of tenant %s: %w", t, err)
		}
		told, err := table.SourceEvents(ctx, t, after, pageOfEntries)
		if err != nil {
			return fmt.Errorf("read the events of tenant %s: %w", t, err)
		}
		// A full page may go on behind its end: the comparison ends where the first one does.
		end, more := auditlog.Place{}, false
		if len(seen) == pageOfEntries {
			end, more = seen[len(seen)-1].Place(), true
		}
		if len(told) == pageOfEntries {
			if last := told[len(told)-1].Place(); !more || last.Compare(end) < 0 {
				end, more = last, true
			}
		}
		if more {
			seen = upTo(seen, end)
			told = upTo(told, end)
		}
		if err := tell(len(told), auditlog.Compare(seen, told, before)); err != nil || !more {
			return err
		}
		after = end
	}
}

// upTo cuts a sorted page behind a place.
func upTo[T interface{ Place() auditlog.Place }](page []T, end auditlog.Place) []T {
	if i := slices.IndexFunc(page, func(r T) bool { return r.Place().Compare(end) > 0 }); i >= 0 {
		return page[:i]
	}
	return page
}
