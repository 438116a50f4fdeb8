package sim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a rule of the fault script. Empty members match everything. The first Nth-1 matching calls
// pass, then Times calls suffer (0: for ever), each with the probability Rate (0: always). Of several
// rules due at one call the oldest acts; all of them count the call.
type Fault struct {
	ID        int     `json:"id,omitempty"` // given by the server
	Label     string  `json:"label,omitempty"`
	Item      string  `json:"item,omitempty"`
	Product   string  `json:"product,omitempty"`
	Part      string  `json:"step,omitempty"`
	Operation string  `json:"operation"`
	Kind      string  `json:"fault"`
	Nth       int     `json:"nth,omitempty"`
	Times     int     `json:"times,omitempty"`
	Rate      float64 `json:"rate,omitempty"`
	AfterS    float64 `json:"after_s,omitempty"` // seconds, divided by the speed; each kind has its own default
}

// Kinds of faults that answer with a refusal and have no effect.
const (
	Refused         = "refused"           // 503, said to have done nothing: Retryable
	Locked          = "locked"            // 423: Retryable
	ErrorBefore     = "error"             // 500 before the effect
	Unavailable     = "unavailable"       // 503 before the effect
	RateLimited     = "rate_limited"      // 429, Retry-After of AfterS (default 1)
	RateLimitedBare = "rate_limited_bare" // 429 that does not say how long
	Unauthorized    = "unauthorized"      // 401
	Forbidden       = "forbidden"         // 403 by policy
	OverQuota       = "quota"             // 403 by quota
	Invalid         = "invalid"           // 422
	NoCapacity      = "no_capacity"       // refused at once for want of room
	Protected       = "protected"         // delete: protection is on
	NotFound        = "not_found"         // 404, or an empty list, whatever is there
	PendingSecret   = "pending"           // credentials: not there yet
)

// Kinds of faults that spoil the reply or the resource.
const (
	Timeout     = "timeout"       // hangs, then the connection ends; no effect
	Late        = "late"          // hangs likewise, and the effect comes AfterS later (default 15)
	LostReply   = "lost_reply"    // effect, then the connection ends
	Malformed   = "malformed"     // effect, then half a body
	Slow        = "slow"          // effect, and the reply AfterS later (default 5)
	Duplicate   = "duplicate"     // create: carried out twice, as an SDK's own re-send would
	Stuck       = "stuck"         // create: pending for ever; delete: deleting for ever (until asked again)
	FailedBuild = "failed"        // create: pending, then failed; delete: deleting, then failed
	NoValidHost = "no_valid_host" // create: accepted, then failed for want of room
	Vanish      = "vanish"        // create: gone AfterS after it was ready (default 60)
	ListLag     = "list_lag"      // create: missing from lists for AfterS (default 10)
	GetLag      = "get_lag"       // create: not found by id for AfterS (default 10)
	Orphan      = "orphan"        // delete: a child volume stays behind
	Once        = "once"          // credentials: each further read sets new ones
)

// refusal is the answer of a kind that has no effect.
type refusal struct {
	status int
	code   string
}

func refusalOf(kind string) (refusal, bool) {
	switch kind {
	case Refused:
		return refusal{http.StatusServiceUnavailable, codeMaintenance}, true
	case Locked:
		return refusal{http.StatusLocked, codeLocked}, true
	case ErrorBefore:
		return refusal{http.StatusInternalServerError, codeInternal}, true
	case Unavailable:
		return refusal{http.StatusServiceUnavailable, codeUnavailable}, true
	case RateLimited, RateLimitedBare:
		return refusal{http.StatusTooManyRequests, codeRateLimited}, true
	case Unauthorized:
		return refusal{http.StatusUnauthorized, codeUnauthorized}, true
	case Forbidden:
		return refusal{http.StatusForbidden, codeForbidden}, true
	case OverQuota:
		return refusal{http.StatusForbidden, codeQuota}, true
	case Invalid:
		return refusal{http.StatusUnprocessableEntity, codeInvalid}, true
	case NoCapacity:
		return refusal{http.StatusConflict, codeNoCapacity}, true
	case Protected:
		return refusal{http.StatusConflict, codeProtected}, true
	case PendingSecret:
		return refusal{http.StatusConflict, codePendingSecret}, true
	}
	return refusal{}, false
}

// kindsOf are the kinds that make sense for an operation.
func kindsOf(operation string) []string {
	always := []string{
		Refused, Locked, ErrorBefore, Unavailable, RateLimited, RateLimitedBare, Unauthorized, Forbidden,
		Timeout, LostReply, Malformed, Slow,
	}
	switch operation {
	case OpCreate:
		return append(always, OverQuota, Invalid, NoCapacity, Late, Duplicate, Stuck, FailedBuild, NoValidHost, Vanish,
			ListLag, GetLag)
	case OpDelete:
		return append(always, Protected, NotFound, Late, Stuck, FailedBuild, Orphan)
	case OpCredentials:
		return append(always, NotFound, PendingSecret, Once)
	case OpObserve, OpLook, OpList:
		return append(always, NotFound)
	}
	return nil
}

// check says in one sentence what is wrong with a rule.
func (f Fault) check() error {
	kinds := kindsOf(f.Operation)
	if kinds == nil {
		return fmt.Errorf("operation must be one of create, observe, delete, credentials, look, list")
	}
	if !slices.Contains(kinds, f.Kind) {
		return fmt.Errorf("fault of operation %s must be one of %s", f.Operation, strings.Join(kinds, ", "))
	}
	if f.Nth < 0 || f.Times < 0 || f.AfterS < 0 || f.Rate < 0 || f.Rate > 1 {
		return fmt.Errorf("nth, times and after_s must not be negative, rate must be in 0..1")
	}
	return nil
}

func (f Fault) matches(c Call) bool {
	return f.Operation == c.Operation &&
		(f.Label == "" || f.Label == c.Label) &&
		(f.Item == "" || f.Item == c.Item) &&
		(f.Product == "" || f.Product == c.Product) &&
		(f.Part == "" || f.Part == c.Part)
}

// after is the rule's delay in real time before the speed divides it.
func (f Fault) after() time.Duration {
	seconds := f.AfterS
	if seconds == 0 {
		seconds = map[string]float64{RateLimited: 1, Late: 15, Slow: 5, Vanish: 60, ListLag: 10, GetLag: 10}[f.Kind]
	}
	return time.Duration(seconds * float64(time.Second))
}

// rule is a Fault with its counts.
type rule struct {
	Fault
	seen, fired int
}
