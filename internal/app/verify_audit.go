package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/witness"
)

// pageOfLinks is how many rows of witness log or table are read at once while they are verified.
const pageOfLinks = 2000

// EachLink hands over a tenant's chain link by link, until visit fails.
func EachLink(ctx context.Context, log WitnessLog, t tenant.ID, visit func(witness.Link) error) error {
	for after := int64(0); ; {
		links, err := log.Links(ctx, t, after, pageOfLinks)
		if err != nil {
			return fmt.Errorf("read the witness log of tenant %s behind n %d: %w", t, after, err)
		}
		for _, l := range links {
			if err := visit(l); err != nil {
				return err
			}
			after = l.N
		}
		if len(links) < pageOfLinks {
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
func VerifyEvents(ctx context.Context, log WitnessLog, table EventTable, t tenant.ID, before time.Time, tell func(told int, found []witness.Difference) error) error {
	for after := (witness.Place{}); ; {
		seen, err := log.LinksByEvent(ctx, t, after, pageOfLinks)
		if err != nil {
			return fmt.Errorf("read the witness log of tenant %s: %w", t, err)
		}
		told, err := table.Told(ctx, t, after, pageOfLinks)
		if err != nil {
			return fmt.Errorf("read the events of tenant %s: %w", t, err)
		}
		// A full page may go on behind its end: the comparison ends where the first one does.
		end, more := witness.Place{}, false
		if len(seen) == pageOfLinks {
			end, more = seen[len(seen)-1].Place(), true
		}
		if len(told) == pageOfLinks {
			if last := told[len(told)-1].Place(); !more || last.Compare(end) < 0 {
				end, more = last, true
			}
		}
		if more {
			seen = upTo(seen, end)
			told = upTo(told, end)
		}
		if err := tell(len(told), witness.Compare(seen, told, before)); err != nil || !more {
			return err
		}
		after = end
	}
}

// upTo cuts a sorted page behind a place.
func upTo[T interface{ Place() witness.Place }](page []T, end witness.Place) []T {
	if i := slices.IndexFunc(page, func(r T) bool { return r.Place().Compare(end) > 0 }); i >= 0 {
		return page[:i]
	}
	return page
}
