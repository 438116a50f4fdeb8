package fault

import "slices"

// Class is what a provider's answer means for the engine. Adapters map an API's codes to classes,
// never its messages. The order matters to fulfil.Next: up to Parked, waiting costs no retry.
type Class uint8

// The classes.
const (
	None        Class = iota // it worked
	Pending                  // accepted and not yet ready: poll
	RateLimited              // 429 with Retry-After: wait as told
	Ambiguous                // bytes may have left and no clear answer came: look, never repeat blindly
	Suspended                // our own login was refused, or the breaker is open: the deadline moves along
	Capacity                 // no room now
	Retryable                // failed for certain, may work later: one of the six calls
	Invalid                  // can never succeed as asked: hard refusal
	Forbidden                // policy forbids it: hard refusal
	Quota                    // over quota: hard refusal
	Protected                // delete protection, held by others: undo is stuck at once
	NotFound                 // absent: success on delete, Absent on observe
)

var classNames = [...]string{
	"none", "pending", "rate-limited", "ambiguous", "suspended", "capacity", "retryable", "invalid", "forbidden", "quota",
	"protected", "not-found",
}

// ParseClass reads what String prints of a class.
func ParseClass(name string) (Class, bool) {
	i := slices.Index(classNames[:], name)
	return Class(max(i, 0)), i >= 0
}

// String is the class's name in logs, the saga record and dead letters.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}
