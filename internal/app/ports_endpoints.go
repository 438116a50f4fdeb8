package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// WebhookConsumer is the consumer that turns events into webhook deliveries: its group, and its name
// in the inbox. It is one of the portal's (D19), so it hears every event.
const WebhookConsumer event.Consumer = "portal-webhooks"

// EndpointID names a webhook endpoint.
type EndpointID = id.Of[Endpoint]

// PostingID names a webhook delivery. Its unit of work has the same id.
type PostingID = id.Of[Posting]

// Endpoint is where a tenant wants its events posted.
type Endpoint struct {
	ID           EndpointID
	Version      int // +1 with every change by a person, and with every move of the state
	URL          string
	Description  string
	Types        []event.Type // that it hears; none: all
	State        EndpointState
	Why          EndpointReason // of a state that is not active
	Since        time.Time      // of the state
	Failures     int            // calls in a row that failed
	RestingUntil time.Time      // after failures in a row: nothing is called before
	Secrets      []SecretInfo   // the newest first
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DeletedAt    time.Time
}

// Hears tells whether the endpoint wants an event.
func (e Endpoint) Hears(t event.Type) bool {
	for _, want := range e.Types {
		if want == t {
			return true
		}
	}
	return len(e.Types) == 0
}

// EndpointState of an endpoint; the numbers are stored.
type EndpointState uint8

// The states.
const (
	EndpointActive   EndpointState = 1 // events are posted
	EndpointFailing  EndpointState = 2 // a delivery was never taken: events are kept, nothing is called
	EndpointDisabled EndpointState = 3 // by a person or by its own 410: events are not kept
)

// String is the name used in the API.
func (s EndpointState) String() string { return [...]string{"", "active", "failing", "disabled"}[s] }

// EndpointReason says why an endpoint is not active.
type EndpointReason string

// The reasons.
const (
	EndpointExhausted EndpointReason = "exhausted" // a delivery ran out of calls
	EndpointGone      EndpointReason = "gone"      // it answered 410
	EndpointByHand    EndpointReason = "by-hand"
)

// SecretInfo is what may be known of a signing secret: everything but itself.
type SecretInfo struct {
	CreatedAt time.Time
	ExpiresAt time.Time // zero: it is the present one
}

// SealedSecret is a signing secret as it is stored: under a keyset of its own, which the key of the
// webhooks wraps.
type SealedSecret struct {
	ID              id.Of[SealedSecret]
	Wrapped, Sealed []byte
}

// Posting is one event on its way to one endpoint.
type Posting struct {
	ID         PostingID
	Endpoint   EndpointID
	Order      order.ID
	Seq        int
	Event      event.ID
	Type       event.Type
	State      PostingState
	Calls      int
	LastStatus int // of HTTP; 0: no answer came, or nothing was called yet
	LastResult PostResult
	CreatedAt  time.Time
	NextAt     time.Time // by the schedule; zero when there is none
	DoneAt     time.Time
	Log        []PostingCall // when asked for, the newest first
}

// PostingState of a webhook delivery; the numbers are stored.
type PostingState uint8

// The states.
const (
	PostingPending   PostingState = 0
	PostingDelivered PostingState = 1
	PostingFailed    PostingState = 2
	PostingDropped   PostingState = 3 // its endpoint was deleted first
)

// String is the name used in the API.
func (s PostingState) String() string {
	return [...]string{"pending", "delivered", "failed", "dropped"}[s]
}

// PostResult is what became of a call.
type PostResult string

// The results. Everything but PostTaken is tried again, but for PostGone.
const (
	PostTaken    PostResult = "delivered"      // 2xx
	PostGone     PostResult = "gone"           // 410: never call again
	PostBusy     PostResult = "busy"           // 429 or 503
	PostRedirect PostResult = "redirected"     // 3xx: never followed
	PostRefused  PostResult = "refused"        // any other status
	PostTimeout  PostResult = "no-answer"      // not in time
	PostNoName   PostResult = "name-not-found" // the host's name does not resolve
	PostNoRoute  PostResult = "unreachable"    // no connection, or it broke
	PostBadTLS   PostResult = "tls"            // no trusted TLS 1.2 or newer
	PostNotOpen  PostResult = "forbidden-address"
)

// PostingCall is one line of the delivery log.
type PostingCall struct {
	N       int
	At      time.Time
	Status  int
	Result  PostResult
	Took    time.Duration
	Excerpt string // the beginning of the answer, printable, at most 1 KiB
}

// PostingFilter selects webhook deliveries of an endpoint, newest first.
type PostingFilter struct {
	State  *PostingState
	Cursor string
	Limit  int
}

// EndpointStore reads what tenants may see of their webhooks. Absent, deleted or another tenant's is
// fault.Absent().
type EndpointStore interface {
	Endpoints(ctx context.Context, t tenant.ID) ([]Endpoint, error)
	Endpoint(ctx context.Context, t tenant.ID, e EndpointID) (Endpoint, error)
	Postings(ctx context.Context, t tenant.ID, e EndpointID, f PostingFilter) (Page[Posting], error)
	// Posting reads one with its log.
	Posting(ctx context.Context, t tenant.ID, e EndpointID, p PostingID) (Posting, error)
}

// EndpointTx is the part of a transaction that is about webhooks. Whoever changes an endpoint or a
// delivery of it holds the endpoint's lock first.
type EndpointTx interface {
	// ListEndpoints reads a tenant's endpoints and settings; nobody adds one meanwhile.
	ListEndpoints(ctx context.Context) ([]Endpoint, Settings, error)
	// HearingEndpoints reads the endpoints that are not disabled; none of them changes its state
	// meanwhile.
	HearingEndpoints(ctx context.Context) ([]Endpoint, error)
	// LockEndpoint locks an endpoint, and reads one of its deliveries with its unit when asked for.
	LockEndpoint(ctx context.Context, e EndpointID, also PostingID) (EndpointFile, error)

	// PutEndpoint queues an endpoint, new or changed; MoveEndpoint only its state and record, which is
	// all that a worker may.
	PutEndpoint(e Endpoint)
	MoveEndpoint(e Endpoint)
	// NoteFailing queues that the tenant's admins are told: an endpoint, as MoveEndpoint has it, is failing
	// since now, and what its last call came to. The same version again is the same note.
	NoteFailing(e Endpoint, last PostingCall)
	// AddSecret queues a new present secret. The one before is valid until then, one older than that
	// no more.
	AddSecret(e EndpointID, s SealedSecret, until time.Time)
	// DropSecrets queues the end of all secrets of an endpoint.
	DropSecrets(e EndpointID)
	// AddPosting queues a delivery and its unit. The inbox sees to it that an event comes once.
	AddPosting(p Posting, u fulfil.Unit)
	// SavePosting queues what a call changed; call is nil where none was made.
	SavePosting(p Posting, u fulfil.Unit, call *PostingCall)
	// HoldPostings queues that what is pending at an endpoint waits until it is released.
	HoldPostings(e EndpointID)
	// RestPostings queues that nothing of it is due before a moment; ReleasePostings that everything
	// is due by its own schedule again; DropPostings that what is pending never goes.
	RestPostings(e EndpointID, until time.Time)
	ReleasePostings(e EndpointID)
	DropPostings(e EndpointID)
}

// EndpointFile is an endpoint under its lock.
type EndpointFile struct {
	Endpoint Endpoint
	Settings Settings
	Posting  Posting     // when asked for
	Unit     fulfil.Unit // its
}

// PostingJobs is where a worker finds what to post, and clears away what is over: its own login's part of
// the store.
type PostingJobs interface {
	// PostingJob reads a unit's delivery and all it takes to post it. fault.Absent() when there is no
	// such unit, or it is none of a webhook.
	PostingJob(ctx context.Context, t tenant.ID, u fulfil.UnitID) (PostingJob, error)
	// PurgeWebhooks empties the secrets that have expired by now and removes at most n deliveries that ended
	// before a moment, with their logs, of all tenants; it tells how many. It leaves alone what is pending, and
	// what failed unless its endpoint was deleted before that moment too.
	PurgeWebhooks(ctx context.Context, now, before time.Time, n int) (int, error)
}

// PostingJob is a delivery with all it takes to post it.
type PostingJob struct {
	Unit     fulfil.Unit
	Posting  Posting
	Endpoint Endpoint
	Secrets  []SealedSecret // those that are valid now, the newest first
	At       time.Time      // of the event
	Data     []byte         // of the event, as it stands on the topic
}

// SecretBox seals signing secrets and opens them. It needs no database: sealing is the process's own
// key, and who may read what was sealed is the database's wall.
type SecretBox interface {
	SealSecret(t tenant.ID, e EndpointID, s id.Of[SealedSecret], secret string) (SealedSecret, error)
	OpenSecret(t tenant.ID, e EndpointID, s SealedSecret) (string, error)
}

// Poster posts to endpoints of tenants.
type Poster interface {
	// CheckURL says what is wrong with an address before anything is posted there; nil when nothing is.
	CheckURL(address string) *fault.Violation
	// Post makes one call. It never fails: whatever happens is an answer.
	Post(ctx context.Context, p Post) PostAnswer
}

// Post is one call of an endpoint.
type Post struct {
	URL     string
	ID      string // of the message: the event's
	At      time.Time
	Body    []byte
	Secrets []string // each signs
}

// PostAnswer is what became of it.
type PostAnswer struct {
	Result  PostResult
	Status  int           // 0: no answer came
	After   time.Duration // what Retry-After asked for
	Excerpt string
}
