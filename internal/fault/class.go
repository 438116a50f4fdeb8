package fault

import "slices"

// Class is what a provider's answer means for the engine. Adapters map the codes of an API to classes, never
// its messages. The order of the values matters to fulfil.Next: up to Suspended, waiting uses up no retry.
type Class uint8

// The classes.
const (
	None        Class = iota // it worked
	Pending                  // accepted but not ready yet: poll
	RateLimited              // 429 with Retry-After: wait that long
	Ambiguous                // the request may have been sent and no clear answer came: observe, never repeat blindly
	Suspended                // our login was refused, or the circuit breaker is open: the deadline is extended
	Capacity                 // the provider has no room now
	Retryable                // failed for certain but may work later: uses up one of the six calls
	Invalid                  // can never succeed as requested: a hard refusal
	Forbidden                // a policy forbids it: a hard refusal
	Quota                    // over quota: a hard refusal
	Protected                // delete protection, or in use by others: the compensation is stuck at once
	NotFound                 // absent: success of a delete, Absent of an observation
)

var classNames = [...]string{
	"none", "pending", "rate-limited", "ambiguous", "suspended", "capacity", "retryable", "invalid", "forbidden", "quota",
	"protected", "not-found",
}

// ParseClass returns the class that String prints as name.
func ParseClass(name string) (Class, bool) {
	i := slices.Index(classNames[:], name)
	return Class(max(i, 0)), i >= 0
}

// String returns the name of the class as logs, the saga log and dead letters have it.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}
