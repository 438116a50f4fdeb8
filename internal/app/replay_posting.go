package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
)

// replayed marks the unit of a delivery that a person asked for: it is called even where its endpoint
// is failing, as the one call that shows whether it works again.
const replayed = "replay"

// ReplayPosting posts a delivery once more, with the same message id, whatever became of it before. To
// an active endpoint it goes with a fresh schedule. To a failing one it is a single call: taken, it
// brings the endpoint back into service and with it all that waits.
func (a *App) ReplayPosting(ctx context.Context, c Caller, e EndpointID, p PostingID) (Posting, error) {
	return onEndpoint(ctx, a, c, e, p, Precondition{}, func(tx Tx, f EndpointFile) (Posting, error) {
		if f.Endpoint.State == EndpointDisabled {
			return Posting{}, fault.New(fault.KindConflict, "webhook-disabled", "This webhook is disabled. Enable it first.")
		}
		p, u := f.Posting, f.Unit
		p.State, p.NextAt, p.DoneAt = PostingPending, tx.Now(), time.Time{}
		u.State, u.Try, u.Epoch, u.NextAt, u.Detail = fulfil.Queued, 0, u.Epoch+1, tx.Now(), replayed
		tx.SavePosting(p, u, nil)
		return p, nil
	})
}
