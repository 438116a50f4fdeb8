package httpkit

import (
	"net/http"

	"github.com/platforma-cloud/orders/internal/fault"
)

// statuses maps each kind of fault to its HTTP status. There is no other such table.
var statuses = map[fault.Kind]int{
	fault.KindInvalid:             http.StatusUnprocessableEntity,
	fault.KindMalformed:           http.StatusBadRequest,
	fault.KindUnauthenticated:     http.StatusUnauthorized,
	fault.KindForbidden:           http.StatusForbidden,
	fault.KindNotFound:            http.StatusNotFound, // 404, another tenant's order too: see fault.Absent
	fault.KindConflict:            http.StatusConflict,
	fault.KindPrecondition:        http.StatusPreconditionFailed,
	fault.KindPreconditionMissing: http.StatusPreconditionRequired,
	fault.KindTooMany:             http.StatusTooManyRequests,
	fault.KindUnavailable:         http.StatusServiceUnavailable,
}

// Status returns the HTTP status of a kind of fault, or 500 if there is no such kind.
func Status(k fault.Kind) int {
	if status, ok := statuses[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}
