package app

import (
	"errors"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Caller is who asks for something, and how the answer is kept for a repetition.
type Caller struct {
	tenant.Actor
	Key         *IdempotencyKey // of writes; nil when none was sent
	NeedsKey    bool            // a write by API: the tenant may demand a key
	Traceparent string
}

// IdempotencyKey makes a write's repetition return the first answer (D22).
type IdempotencyKey struct {
	Key         string
	Fingerprint [32]byte
	// Encode renders the use case's result, or the domain fault it ended with, inside the transaction.
	Encode func(result any, fault error) (Answer, error)
}

// Answer is a stored response: a replay is byte-identical.
type Answer struct {
	Status int
	Header map[string]string // Content-Type, ETag, Location
	Body   []byte
}

// Replayed ends a use case whose key was used before with the same request.
type Replayed struct{ Answer Answer }

// Error tells that this is no failure.
func (*Replayed) Error() string { return "replayed the stored answer of the idempotency key" }

// ErrDuplicate ends a consumer's effect that was applied before.
var ErrDuplicate = errors.New("event was applied before")

// ErrFenced ends a worker's move that was made from an epoch that is over.
var ErrFenced = errors.New("task has moved on")

// keyDemanded refuses a write by API without an Idempotency-Key where the tenant's settings demand one
// (require_key).
func (c Caller) keyDemanded(s Settings) error {
	if !c.NeedsKey || c.Key != nil || !s.RequireKey {
		return nil
	}
	return fault.New(fault.KindMalformed, "idempotency-key-required",
		"Your organisation demands an Idempotency-Key with every write. Send one of your own making, and the same one when "+
			"you repeat the request.")
}

func (c Caller) cause() event.Cause {
	return event.Cause{Actor: c.Actor, Traceparent: c.Traceparent}
}
