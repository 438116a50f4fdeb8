package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// How long the secret before stays valid after a rotation.
const (
	rotationOverlap = 24 * time.Hour
	longestOverlap  = 7 * 24 * time.Hour
)

// RotateWebhookSecret gives an endpoint a new secret.
type RotateWebhookSecret struct {
	WebhookEndpoint WebhookEndpointID
	Overlap         *time.Duration // nil: a day; 0: the one before ends now, as after a leak
	Precondition
}

// RotateWebhookSecret makes a new secret. Until the overlap ends every call carries two signatures, so a
// receiver that knows either loses nothing.
func (a *App) RotateWebhookSecret(ctx context.Context, c Caller, in RotateWebhookSecret) (IssuedSecret, error) {
	return onWebhookEndpoint(ctx, a, c, in.WebhookEndpoint, WebhookDeliveryID{}, in.Precondition, func(tx Tx,
		f LockedWebhookEndpoint,
	) (IssuedSecret, error) {
		overlap := rotationOverlap
		if in.Overlap != nil {
			overlap = *in.Overlap
		}
		if overlap < 0 || overlap > longestOverlap {
			return IssuedSecret{}, fault.Violated([]fault.Violation{
				{
					Pointer: "/overlap_hours", Code: "out-of-range", Message: "Not between the bounds.",
					Allowed: []any{0, int(longestOverlap.Hours())},
				},
			})
		}
		e := f.WebhookEndpoint
		e.Version, e.UpdatedAt = e.Version+1, tx.Now()
		issued, err := a.issueSecret(tx, c.Tenant, e, tx.Now().Add(overlap))
		if err != nil {
			return IssuedSecret{}, err
		}
		tx.PutWebhookEndpoint(e)
		return issued, nil
	})
}
