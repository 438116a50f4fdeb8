// Package provider is the contract between the engine and the clouds: what the engine may ask of a cloud, and
// what the answers mean. It must not know a cloud, a database or the engine. An adapter only translates: it does
// not retry or wait, keeps no state of its own, and sends one mutating request per Create. Ids are strings here,
// so that the contract needs no package of the domain.
package provider

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
)

// Provider is one account at one cloud. Every error it returns has an *Error in its chain, except when the
// context ended before anything was sent (use ClassOf). No request starts after the context has ended. All
// methods are safe for concurrent use.
type Provider interface {
	// Capabilities are constant for the life of the value.
	Capabilities() Capabilities

	// Validate checks one item against the provider's present facts (D13) without any effect: whether the
	// region offers the product, the image exists and there is capacity. The list is empty if nothing is
	// wrong. An error means that the provider could not be asked; the caller waits and never rejects the item
	// for it. Pointers are relative to the spec: "/region", "/plan", "/configuration/image". The facts may
	// change: Create may refuse what Validate accepted.
	Validate(ctx context.Context, s Spec) ([]Violation, error)

	// Check logs in and reads what the account offers, without any effect. It is for the operator who
	// configures the account. The Checkup lists what has to be corrected. An error means that the provider
	// could not be asked, and class Suspended that it refused the login.
	Check(ctx context.Context) (Checkup, error)

	// Quota compares the account's quota with the need of all specs of an order together.
	Quota(ctx context.Context, specs []Spec) (QuotaReport, error)

	// Plan returns the steps of an item in order of creation. Each step makes one resource. Plan is pure: it
	// sends nothing and returns the same on every call and in every process. It ignores k.Step; each step's Key
	// names its own. Step.Needs stays empty.
	Plan(s Spec, k Key) ([]Step, error)

	// Create first looks for a live resource of exactly the step's key and adopts it. If there is none, it
	// sends ONE mutating request and does nothing after it that can fail. It passes the id to j as soon as the
	// id is known. A nil error means that the request was accepted; Observe says when the resource is ready.
	// Class RateLimited or Suspended means that the request was certainly refused and made nothing.
	Create(ctx context.Context, s Step, j Journal) (Ref, error)

	// Observe reads one resource by its Ref or, if r is empty, all resources of the item's step in every
	// generation. If there is none, the phase is Absent and the error is nil.
	Observe(ctx context.Context, s Step, r Ref) (Observation, error)

	// Delete requests the removal of one resource or, if r is empty, of all resources of the item's step in
	// every generation. It is idempotent: nil means accepted or already absent. Observe says when the resource
	// is gone.
	Delete(ctx context.Context, s Step, r Ref) error

	// ListOwned walks every resource that carries the installation's label, of every kind that Plan can name
	// and also if it is incomplete. The first error ends the walk.
	ListOwned(ctx context.Context, sc Scope) iter.Seq2[Owned, error]

	// Credentials fetches what a customer needs to use the resources of one item: a JSON object with a string
	// member "kind" (D21). refs are the resources of all steps in plan order. A later call returns the same
	// access, or a new one that replaced it. Class Pending means that there are no credentials yet.
	Credentials(ctx context.Context, refs []Ref) (Secret, error)
}

// Ref is the provider's own id of a resource. Empty means that it is not known.
type Ref string

// Spec is what an item orders. It holds no secret.
type Spec struct {
	// Product is the catalogue's name: vps, kubernetes, database, gpu, private_cloud, object_storage.
	Product       string          `json:"product"`
	Plan          string          `json:"plan,omitempty"`
	Region        string          `json:"region"`
	Configuration json.RawMessage `json:"configuration,omitempty"` // a JSON object that the catalogue's schema accepts
	// Labels are "tenant", "order" and "item" (ids) and "label" (the item's own label). They are for people
	// and tests that look at the provider. No rule depends on them, and Hash leaves them out.
	Labels map[string]string `json:"labels,omitempty"`
}

// Step is one entry of an item's plan. It makes one resource.
type Step struct {
	Name   string
	Key    Key
	Spec   Spec
	Needs  []Ref  // refs of the item's earlier steps, in plan order; the engine sets them before Create
	Naming Naming // of this step; NamingUnique409 too if another resource with a unique name protects it
}

// Journal records the ids of resources as soon as they are known.
type Journal interface {
	Record(ctx context.Context, r Ref) error
}

// JournalFunc makes a Journal of a function.
type JournalFunc func(ctx context.Context, r Ref) error

// Record calls f.
func (f JournalFunc) Record(ctx context.Context, r Ref) error { return f(ctx, r) }

// Phase is the state of a resource. The zero value is never returned with a nil error.
type Phase uint8

// The phases.
const (
	Absent   Phase = iota + 1 // does not exist; a read by key proves little while a create may be running
	Pending                   // being created
	Ready                     // usable
	Failed                    // a failed resource, which must be deleted
	Deleting                  // the deletion was accepted and is not finished
)

var phaseNames = [...]string{"unknown", "absent", "pending", "ready", "failed", "deleting"}

// String returns the phase's name in the saga log.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// Observation is the result of a read.
type Observation struct {
	// Phase is the phase of Matches[0]. If there are only resources of other generations, it is Deleting if
	// all of them are being deleted, else Failed with the fault code CodeStaleGeneration: they must never be
	// adopted (D8) and have to be deleted.
	Phase Phase
	// Matches are all live resources that were found: the key's own generation first, then the others, each
	// ordered by (created, id). Matches[0] is the one to keep. It is empty if and only if Phase is Absent.
	Matches  []Ref
	Progress uint8  // 0 to 100, of this step; the engine keeps the maximum
	Detail   string // the provider's word for what it is doing; no text for customers, no secret
	Fault    *Error // why the resource is Failed
	SpecHash string // Spec.Hash that the resource was created with, if the provider keeps it
	// Key is the key in the labels of Matches[0]; Tenant and Order may be empty. It is zero if the resource
	// does not carry our labels.
	Key Key
}

// CodeStaleGeneration is the fault code of an observation that found only other generations.
const CodeStaleGeneration = "stale-generation"

// Naming says what the provider does with a second create under one name.
type Naming uint8

// The naming modes, weakest first.
const (
	NamingNone      Naming = iota // creates a duplicate
	NamingUnique409               // refuses with a conflict
	NamingUpsert                  // returns the existing resource
)

var namingNames = [...]string{"none", "unique-409", "upsert"}

// String returns the mode's name in the configuration.
func (n Naming) String() string {
	if int(n) < len(namingNames) {
		return namingNames[n]
	}
	return "unknown"
}

// ParseNaming reads the name that String returns.
func ParseNaming(s string) (Naming, bool) {
	for i, name := range namingNames {
		if s == name {
			return Naming(i), true
		}
	}
	return NamingNone, false
}

// Capabilities say what an account offers and which times and limits apply to it.
type Capabilities struct {
	// Products and Regions are everything that the account can ever build. Empty means that only Check can say
	// it. The process refuses to start if a placement or the catalogue needs another one.
	Products, Regions []string
	Naming            Naming // the weakest mode of its steps
	Sim               bool   // the account is simulated; pages and mails say so

	CallTimeout   time.Duration // of one request
	Settle        time.Duration // how long a create without an answer may still take effect
	PollEvery     time.Duration // between two reads of a pending resource
	CreateTimeout time.Duration // of all steps of the slowest product; the reaper handles what is older
	DeleteTimeout time.Duration // of one step, from its first delete
	Rate          Rate
}

// Rate is an account's budget of requests.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Violation is one fault of a spec.
type Violation = fault.Violation

// QuotaReport compares the account's quota with the need of an order. If it has no lines, only Create finds out.
type QuotaReport struct {
	Lines []QuotaLine
}

// QuotaLine is the quota of one kind of capacity, counted in Unit.
type QuotaLine struct {
	Resource string `json:"resource"` // such as "vcpu"
	Region   string `json:"region,omitempty"`
	Unit     string `json:"unit"` // such as "GiB"
	Used     int64  `json:"used"`
	Limit    int64  `json:"limit"`
	Need     int64  `json:"need"`
}

// Exceeded returns the lines whose need does not fit.
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
	Installation string // required; resources of other installations are never listed
}

// Owned is a resource that carries our labels.
type Owned struct {
	Ref       Ref
	Kind      string // the provider's kind, such as "server"
	Region    string
	Key       Key // from the labels; Tenant and Order may be empty
	Phase     Phase
	CreatedAt time.Time
}
