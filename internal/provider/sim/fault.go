package sim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is a rule of the fault script. Empty members match everything. The rule lets the first Nth-1 matching calls
// pass and then acts on Times calls (0: on all), each with the probability Rate (0: always). If several rules apply
// to a call, all of them count it and the oldest one acts.
type Fault struct {
	ID        int     `json:"id,omitempty"` // given by the server
	Label     string  `json:"label,omitempty"`
	Item      string  `json:"item,omitempty"`
	Product   string  `json:"product,omitempty"`
	Step      string  `json:"step,omitempty"`
	Operation string  `json:"operation"`
	Kind      string  `json:"fault"`
	Nth       int     `json:"nth,omitempty"`
	Times     int     `json:"times,omitempty"`
	Rate      float64 `json:"rate,omitempty"`
	AfterS    float64 `json:"after_s,omitempty"` // seconds, divided by the speed; each kind has its own default
}

// Kinds of faults that refuse the call, without any effect.
const (
	Refused         = "refused"           // 503 with a code that says that nothing was done: Retryable
	Locked          = "locked"            // 423: Retryable
	ErrorBefore     = "error"             // 500 before the effect
	Unavailable     = "unavailable"       // 503 before the effect
	RateLimited     = "rate_limited"      // 429, Retry-After of AfterS (default 1)
	RateLimitedBare = "rate_limited_bare" // 429 that does not say how long
	Unauthorized    = "unauthorized"      // 401
	Forbidden       = "forbidden"         // 403 by policy
	OverQuota       = "quota"             // 403 by quota
	Invalid         = "invalid"           // 422
	NoCapacity      = "no_capacity"       // refused at once, because there is no capacity
	Protected       = "protected"         // delete: protection is on
	NotFound        = "not_found"         // 404, or an empty list, whatever exists
	PendingSecret   = "pending"           // credentials: not available yet
)

// Kinds of faults that damage the reply or the resource.
const (
	Timeout     = "timeout"       // hangs, then the connection ends; no effect
	Late        = "late"          // hangs like Timeout, but takes effect AfterS later (default 15)
	LostReply   = "lost_reply"    // takes effect, then the connection ends
	Malformed   = "malformed"     // takes effect, then sends half a body
	Slow        = "slow"          // takes effect, and replies AfterS later (default 5)
	Duplicate   = "duplicate"     // create: carried out twice, as if an SDK had sent it again
	Stuck       = "stuck"         // create: pending for ever; delete: deleting for ever, until it is repeated
	FailedBuild = "failed"        // create: pending, then failed; delete: deleting, then failed
	NoValidHost = "no_valid_host" // create: accepted, then failed, because there is no capacity
	Vanish      = "vanish"        // create: gone AfterS after it was ready (default 60)
	ListLag     = "list_lag"      // create: missing from lists for AfterS (default 10)
	GetLag      = "get_lag"       // create: not found by id for AfterS (default 10)
	Orphan      = "orphan"        // delete: a child volume stays behind
	Once        = "once"          // credentials: each further read replaces them
)

// refusal is the answer of a kind without effect.
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

// kindsOf returns the kinds that an operation can have.
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

// check returns an error that says in one sentence what is wrong with a rule.
func (f Fault) check() error {
	kinds := kindsOf(f.Operation)
	if kinds == nil {
		return fmt.Errorf("operation must be one of create, observe, delete, credentials, look, list")
	}
	if !slices.Contains(kinds, f.Kind) {
		return fmt.Errorf("fault for operation %s must be one of %s", f.Operation, strings.Join(kinds, ", "))
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
		(f.Step == "" || f.Step == c.Step)
}

// after returns the rule's delay, which the speed divides.
func (f Fault) after() time.Duration {
	seconds := f.AfterS
	if seconds == 0 {
		seconds = map[string]float64{RateLimited: 1, Late: 15, Slow: 5, Vanish: 60, ListLag: 10, GetLag: 10}[f.Kind]
	}
	return time.Duration(seconds * float64(time.Second))
}

// rule is a Fault with the numbers of calls that it has seen and acted on.
type rule struct {
	Fault
	seen, fired int
}
