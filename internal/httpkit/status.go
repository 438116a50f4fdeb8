package httpkit

import (
	"net/http"

	"github.com/platforma-cloud/orders/internal/fault"
)

// statuses is the one table of which status a kind of fault becomes.
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

// Status is the HTTP status of a kind of fault: 500 for a kind that is none.
func Status(k fault.Kind) int {
	if status, ok := statuses[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}
