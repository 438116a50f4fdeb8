// Package provider is the contract between the engine and whoever makes resources: what may be asked
// of a cloud, and what its answers mean. It knows no cloud, no database and no engine. An adapter
// behind it translates and decides nothing: no retries, no waiting, no state of its own, one mutating
// request per Create. Ids cross it as strings, so that it needs no package of the domain.
package provider

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Provider is one account at one cloud. Every error it returns has an *Error in its chain, but for a
// context that ended before anything was sent (use ClassOf). After the context ended no request starts.
// All methods may be called concurrently.
type Provider interface {
	// Capabilities are constant for the life of the value.
	Capabilities() Capabilities

	// Validate checks one item against the provider's own facts (D13) without any effect: does the
	// region offer the product, is the image known, is there room. No violation is an empty list; an
	// error means "could not be asked", which is a wait and never a rejection. Pointers are relative
	// to the spec: "/region", "/plan", "/configuration/image". The facts are racy: Create may refuse
	// what Validate let pass.
	Validate(ctx context.Context, s Spec) ([]Violation, error)

	// Check logs in and reads what the account offers, without any effect: it is for the operator who
	// configures the account. What has to be mended is listed in the Checkup; an error means "could not
	// be asked", and class Parked that the login was refused.
	Check(ctx context.Context) (Checkup, error)

	// Quota compares the account's quota with the need of a whole order at once.
	Quota(ctx context.Context, all []Spec) (QuotaReport, error)

	// Plan names the parts of an item in order of creation, each a resource with a life of its own.
	// It is pure, deterministic and without network: equal on every call and in every process. k's
	// Part is ignored; each step's Key carries its own. Step.Needs is left empty.
	Plan(s Spec, k Key) ([]Step, error)

	// Create first looks for a live resource of exactly the step's key and adopts it; else it sends
	// ONE mutating request and does nothing after it that can fail. j hears of the id the moment it is
	// known. A nil error means accepted: Observe says whether it is ready. Class RateLimited or Parked
	// means refused for certain: nothing was made.
	Create(ctx context.Context, s Step, j Journal) (Ref, error)

	// Observe reads one resource by its Ref or, when r is empty, all resources of the item's part,
	// of every generation. That nothing is there is Absent with a nil error.
	Observe(ctx context.Context, s Step, r Ref) (Observation, error)

	// Delete asks for the removal of one resource or, when r is empty, of all resources of the item's
	// part, of every generation. It is idempotent: nil means accepted or already absent, and Observe
	// says when it is gone.
	Delete(ctx context.Context, s Step, r Ref) error

	// ListOwned walks every resource of every kind that Plan can make and that carries the
	// installation's label, half-made ones included. The first error ends the walk.
	ListOwned(ctx context.Context, sc Scope) iter.Seq2[Owned, error]

	// Credentials fetches what the customer of these resources (all parts of one item, in plan order)
	// needs to enter: a JSON object with a string member "kind" (D21). It may be called again: the
	// access is the same, or was set anew. Class Pending means not there yet.
	Credentials(ctx context.Context, refs []Ref) (Secret, error)
}

// Ref is the provider's own id of a resource; empty means not known.
type Ref string

// Spec is what an item orders. Nothing of it is secret.
type Spec struct {
	// the catalogue's name: vps, kubernetes, database, gpu, private_cloud, object_storage
	Product       string          `json:"product"`
	Plan          string          `json:"plan,omitempty"`
	Region        string          `json:"region"`
	Configuration json.RawMessage `json:"configuration,omitempty"` // a JSON object, as the catalogue's schema has it
	// Labels are "tenant", "order" and "item" (ids) and "label" (the item's own label). They are for
	// people and tests looking at the provider; no rule depends on them, and they are not in Hash.
	Labels map[string]string `json:"labels,omitempty"`
}

// Step is one part of an item's plan.
type Step struct {
	Name   string
	Key    Key
	Spec   Spec
	Needs  []Ref  // refs of the item's earlier parts, in plan order: the engine fills them in before Create
	Naming Naming // of this part: a part behind a unique anchor counts as NamingUnique409
}

// Journal hears of ids as they become known; its caller writes them down at once.
type Journal interface {
	Learnt(ctx context.Context, r Ref) error
}

// JournalFunc is a function as a Journal.
type JournalFunc func(ctx context.Context, r Ref) error

// Learnt calls f.
func (f JournalFunc) Learnt(ctx context.Context, r Ref) error { return f(ctx, r) }

// Phase is where a resource stands. The zero value says nothing and is never returned with a nil error.
type Phase uint8

// The phases.
const (
	Absent   Phase = iota + 1 // not there: on a read by key it proves little while a create may be running
	Pending                   // being made
	Ready                     // usable
	Failed                    // a failed resource: has to be deleted
	Deleting                  // deletion accepted, not over
)

var phaseNames = [...]string{"unknown", "absent", "pending", "ready", "failed", "deleting"}

// String is the phase's name in the saga record.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// Observation is what a read found.
type Observation struct {
	// Phase is that of Matches[0]. When only resources of other generations are there, it is Deleting
	// if all of them are going, else Failed with the fault code CodeStaleGeneration: they are never
	// to be adopted (D8) and have to be deleted.
	Phase Phase
	// Matches is every live resource found: the key's own generation first, each by (created, id).
	// Matches[0] is the one to keep. Empty iff Phase is Absent.
	Matches  []Ref
	Progress uint8  // 0 to 100 of this part; the engine keeps the maximum
	Detail   string // the provider's word for what it is doing; no customer text, no secret
	Fault    *Error // why it Failed
	SpecHash string // Spec.Hash the resource was made with, where the provider can tell
	// Key is whose Matches[0] is as far as its labels tell (Tenant and Order may be empty); zero when it
	// does not carry ours, whoever's it is.
	Key Key
}

// CodeStaleGeneration is the fault code of an observation that found other generations only.
const CodeStaleGeneration = "stale-generation"

// Naming says what the provider does with a second create under one name.
type Naming uint8

// The naming modes, weakest first.
const (
	NamingNone      Naming = iota // makes a duplicate gladly
	NamingUnique409               // refuses with a conflict
	NamingUpsert                  // answers with the one that is there
)

var namingNames = [...]string{"none", "unique-409", "upsert"}

// String is the mode's name in configuration.
func (n Naming) String() string {
	if int(n) < len(namingNames) {
		return namingNames[n]
	}
	return "unknown"
}

// ParseNaming reads what String prints.
func ParseNaming(s string) (Naming, bool) {
	for i, name := range namingNames {
		if s == name {
			return Naming(i), true
		}
	}
	return NamingNone, false
}

// Capabilities say what an account offers and how to treat it.
type Capabilities struct {
	// Products and Regions are all that the account can ever build; empty: only asking it tells. A
	// placement or a catalogue that asks for another is refused at start.
	Products, Regions []string
	Naming            Naming // the weakest of its parts
	Sim               bool   // nothing is real: pages and mails say so

	CallTimeout   time.Duration // of one request
	Settle        time.Duration // how long a create without an answer may still take effect
	PollEvery     time.Duration // between two reads of something pending
	CreateTimeout time.Duration // of the slowest product, as a whole: older leftovers are the reaper's
	DeleteTimeout time.Duration // of one part, from its first delete
	Rate          Rate
}

// Rate is an account's budget of requests.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Violation is one fault of a spec.
type Violation = fault.Violation

// QuotaReport is the account's quota against the need of an order. Without lines the provider tells only
// at create.
type QuotaReport struct {
	Lines []QuotaLine
}

// QuotaLine is one resource of the quota, in Unit.
type QuotaLine struct {
	Resource string `json:"resource"` // such as "vcpu"
	Region   string `json:"region,omitempty"`
	Unit     string `json:"unit"` // such as "GiB"
	Used     int64  `json:"used"`
	Limit    int64  `json:"limit"`
	Need     int64  `json:"need"`
}

// Exceeded are the lines whose need does not fit.
func (r QuotaReport) Exceeded() []QuotaLine {
	var over []QuotaLine
	for _, l := range r.Lines {
		if l.Need > 0 && l.Used+l.Need > l.Limit {
			over = append(over, l)
		}
	}
	return over
}

// Scope limits ListOwned.
type Scope struct {
	Installation string // required: nothing of another installation is ever listed
}

// Owned is one resource that carries our labels.
type Owned struct {
	Ref       Ref
	Kind      string // the provider's kind, such as "server"
	Region    string
	Key       Key // as far as the labels tell: Tenant and Order may be empty
	Phase     Phase
	CreatedAt time.Time
}
