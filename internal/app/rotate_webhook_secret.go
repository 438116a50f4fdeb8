package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// How long the previous secret stays valid after a rotation: by default, and at most.
const (
	rotationOverlap = 24 * time.Hour
	longestOverlap  = 7 * 24 * time.Hour
)

// RotateWebhookSecret describes the rotation of an endpoint's secret.
type RotateWebhookSecret struct {
	WebhookEndpoint WebhookEndpointID
	Overlap         *time.Duration // nil: a day; 0: the previous secret ends now, as after a leak
	Precondition
}

// RotateWebhookSecret issues a new secret. Until the overlap ends, every call has two signatures, so a receiver that
// knows either secret accepts it.
func (a *App) RotateWebhookSecret(ctx context.Context, c Caller, in RotateWebhookSecret) (IssuedSecret, error) {
	rotate := func(tx Tx, locked LockedWebhookEndpoint) (IssuedSecret, error) {
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
		e := locked.WebhookEndpoint
		e.Version, e.UpdatedAt = e.Version+1, tx.Now()
		issued, err := a.issueSecret(tx, c.Tenant, e, tx.Now().Add(overlap))
		if err != nil {
			return IssuedSecret{}, err
		}
		tx.PutWebhookEndpoint(e)
		return issued, nil
	}
	return onWebhookEndpoint(ctx, a, c, in.WebhookEndpoint, WebhookDeliveryID{}, in.Precondition, rotate)
}
