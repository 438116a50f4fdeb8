package app

import (
	"errors"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Caller is who calls a use case, and with which idempotency key.
type Caller struct {
	tenant.Actor
	Key         *IdempotencyKey // of a write; nil when none was sent
	NeedsKey    bool            // set for a write through the API, where the tenant may require a key
	Traceparent string
}

// IdempotencyKey makes a repeated write return the first answer (D22).
type IdempotencyKey struct {
	Key         string
	Fingerprint [32]byte
	// Encode renders the use case's result, or the domain fault it ended with, inside the transaction.
	Encode func(result any, fault error) (Answer, error)
}

// Answer is a stored response. A replay is byte-identical.
type Answer struct {
	Status int
	Header map[string]string // Content-Type, ETag, Location
	Body   []byte
}

// Replayed ends a use case whose key was used before with the same request.
type Replayed struct{ Answer Answer }

// Error makes Replayed an error, although it is no failure.
func (*Replayed) Error() string { return "replayed the stored answer of the idempotency key" }

// ErrDuplicate ends a consumer's effect for an event that was applied before.
var ErrDuplicate = errors.New("event was applied before")

// ErrFenced ends a worker's move whose epoch is no longer the task's.
var ErrFenced = errors.New("task has moved on")

// requireKey refuses a write through the API without an Idempotency-Key when the tenant's settings require one
// (require_idempotency_key).
func (c Caller) requireKey(s Settings) error {
	if !c.NeedsKey || c.Key != nil || !s.RequireKey {
		return nil
	}
	return fault.New(fault.KindMalformed, "idempotency-key-required",
		"Your organisation requires an Idempotency-Key with every write. Send a new one with each request, and the same one "+
			"when you repeat a request.")
}

func (c Caller) cause() event.Cause {
	return event.Cause{Actor: c.Actor, Traceparent: c.Traceparent}
}
