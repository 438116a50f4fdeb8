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

// WebhookEndpointID names a webhook endpoint.
type WebhookEndpointID = id.Of[WebhookEndpoint]

// WebhookDeliveryID names a webhook delivery. Its task has the same id.
type WebhookDeliveryID = id.Of[WebhookDelivery]

// Endpoint is where a tenant wants its events posted.
type WebhookEndpoint struct {
	ID           WebhookEndpointID
	Version      int // +1 with every change by a person, and with every move of the state
	URL          string
	Description  string
	Types        []event.Type // that it hears; none: all
	State        WebhookEndpointState
	Why          WebhookEndpointReason // of a state that is not active
	Since        time.Time             // of the state
	Failures     int                   // calls in a row that failed
	RestingUntil time.Time             // after failures in a row: nothing is called before
	Secrets      []SecretInfo          // the newest first
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DeletedAt    time.Time
}

// Hears reports whether the endpoint wants an event.
func (e WebhookEndpoint) Subscribes(t event.Type) bool {
	for _, want := range e.Types {
		if want == t {
			return true
		}
	}
	return len(e.Types) == 0
}

// WebhookEndpointState of an endpoint; the numbers are stored.
type WebhookEndpointState uint8

// The states.
const (
	WebhookEndpointActive   WebhookEndpointState = 1 // events are posted
	WebhookEndpointFailing  WebhookEndpointState = 2 // a delivery was never taken: events are kept, nothing is called
	WebhookEndpointDisabled WebhookEndpointState = 3 // by a person or by its own 410: events are not kept
)

// String is the name used in the API.
func (s WebhookEndpointState) String() string {
	return [...]string{"", "active", "failing", "disabled"}[s]
}

// WebhookEndpointReason says why an endpoint is not active.
type WebhookEndpointReason string

// The reasons.
const (
	WebhookEndpointExhausted WebhookEndpointReason = "exhausted" // a delivery ran out of calls
	WebhookEndpointGone      WebhookEndpointReason = "gone"      // it answered 410
	WebhookEndpointByHand    WebhookEndpointReason = "by-hand"
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

// WebhookDelivery is one event on its way to one endpoint.
type WebhookDelivery struct {
	ID              WebhookDeliveryID
	WebhookEndpoint WebhookEndpointID
	Order           order.ID
	Seq             int
	Event           event.ID
	Type            event.Type
	State           WebhookDeliveryState
	Calls           int
	LastStatus      int // of HTTP; 0: no answer came, or nothing was called yet
	LastResult      PostResult
	CreatedAt       time.Time
	NextAt          time.Time // by the schedule; zero when there is none
	DoneAt          time.Time
	Log             []WebhookDeliveryCall // when asked for, the newest first
}

// WebhookDeliveryState of a webhook delivery; the numbers are stored.
type WebhookDeliveryState uint8

// The states.
const (
	WebhookDeliveryPending   WebhookDeliveryState = 0
	WebhookDeliveryDelivered WebhookDeliveryState = 1
	WebhookDeliveryFailed    WebhookDeliveryState = 2
	WebhookDeliveryDropped   WebhookDeliveryState = 3 // its endpoint was deleted first
)

// String is the name used in the API.
func (s WebhookDeliveryState) String() string {
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

// WebhookDeliveryCall is one line of the delivery log.
type WebhookDeliveryCall struct {
	N       int
	At      time.Time
	Status  int
	Result  PostResult
	Took    time.Duration
	Excerpt string // the beginning of the answer, printable, at most 1 KiB
}

// WebhookDeliveryFilter selects webhook deliveries of an endpoint, newest first.
type WebhookDeliveryFilter struct {
	State  *WebhookDeliveryState
	Cursor string
	Limit  int
}

// WebhookEndpointStore reads what tenants may see of their webhooks. Absent, deleted or another tenant's is
// fault.Absent().
type WebhookEndpointStore interface {
	WebhookEndpoints(ctx context.Context, t tenant.ID) ([]WebhookEndpoint, error)
	WebhookEndpoint(ctx context.Context, t tenant.ID, e WebhookEndpointID) (WebhookEndpoint, error)
	WebhookDeliveries(ctx context.Context, t tenant.ID, e WebhookEndpointID,
		f WebhookDeliveryFilter) (Page[WebhookDelivery], error)
	// WebhookDelivery reads one with its log.
	WebhookDelivery(ctx context.Context, t tenant.ID, e WebhookEndpointID,
		delivery WebhookDeliveryID) (WebhookDelivery, error)
}

// WebhookEndpointTx is the part of a transaction that is about webhooks. Whoever changes an endpoint or a
// delivery of it holds the endpoint's lock first.
type WebhookEndpointTx interface {
	// ListWebhookEndpoints reads a tenant's endpoints and settings; nobody adds one meanwhile.
	ListWebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, Settings, error)
	// SubscribedWebhookEndpoints reads the endpoints that are not disabled; none of them changes its state
	// meanwhile.
	SubscribedWebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, error)
	// LockWebhookEndpoint locks an endpoint, and reads one of its deliveries with its task when asked for.
	LockWebhookEndpoint(ctx context.Context, e WebhookEndpointID, also WebhookDeliveryID) (LockedWebhookEndpoint, error)

	// PutWebhookEndpoint queues an endpoint, new or changed; MoveWebhookEndpoint only its state and record, which is
	// all that a worker may.
	PutWebhookEndpoint(e WebhookEndpoint)
	MoveWebhookEndpoint(e WebhookEndpoint)
	// NoteFailing queues that the tenant's admins are told: an endpoint, as MoveWebhookEndpoint has it, is failing
	// since now, and what its last call came to. The same version again is the same note.
	NoteFailing(e WebhookEndpoint, last WebhookDeliveryCall)
	// AddSecret queues a new present secret. The one before is valid until then, one older than that
	// no more.
	AddSecret(e WebhookEndpointID, s SealedSecret, until time.Time)
	// DropSecrets queues the end of all secrets of an endpoint.
	DropSecrets(e WebhookEndpointID)
	// AddWebhookDelivery queues a delivery and its task. The inbox sees to it that an event comes once.
	AddWebhookDelivery(delivery WebhookDelivery, task fulfil.Task)
	// SaveWebhookDelivery queues what a call changed; call is nil where none was made.
	SaveWebhookDelivery(delivery WebhookDelivery, task fulfil.Task, call *WebhookDeliveryCall)
	// HoldWebhookDeliveries queues that what is pending at an endpoint waits until it is released.
	HoldWebhookDeliveries(e WebhookEndpointID)
	// RestWebhookDeliveries queues that nothing of it is due before a moment; ReleaseWebhookDeliveries that everything
	// is due by its own schedule again; DropWebhookDeliveries that what is pending never goes.
	RestWebhookDeliveries(e WebhookEndpointID, until time.Time)
	ReleaseWebhookDeliveries(e WebhookEndpointID)
	DropWebhookDeliveries(e WebhookEndpointID)
}

// LockedWebhookEndpoint is an endpoint under its lock.
type LockedWebhookEndpoint struct {
	WebhookEndpoint WebhookEndpoint
	Settings        Settings
	WebhookDelivery WebhookDelivery // when asked for
	Task            fulfil.Task     // its
}

// WebhookDeliveryJobs is where a worker finds what to post, and clears away what is over: its own login's part of
// the store.
type WebhookDeliveryJobs interface {
	// WebhookDeliveryJob reads a task's delivery and all it takes to post it. fault.Absent() when there is no
	// such task, or it is none of a webhook.
	WebhookDeliveryJob(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (WebhookDeliveryJob, error)
	// PurgeWebhooks empties the secrets that have expired by now and removes at most n deliveries that ended
	// before a moment, with their logs, of all tenants; it tells how many. It leaves alone what is pending, and
	// what failed unless its endpoint was deleted before that moment too.
	PurgeWebhooks(ctx context.Context, now, before time.Time, n int) (int, error)
}

// WebhookDeliveryJob is a delivery with all it takes to post it.
type WebhookDeliveryJob struct {
	Task            fulfil.Task
	WebhookDelivery WebhookDelivery
	WebhookEndpoint WebhookEndpoint
	Secrets         []SealedSecret // those that are valid now, the newest first
	At              time.Time      // of the event
	Data            []byte         // of the event, as it stands on the topic
}

// SecretBox seals signing secrets and opens them. It needs no database: sealing is the process's own
// key, and who may read what was sealed is the database's wall.
type SecretBox interface {
	SealSecret(t tenant.ID, e WebhookEndpointID, s id.Of[SealedSecret], secret string) (SealedSecret, error)
	OpenSecret(t tenant.ID, e WebhookEndpointID, s SealedSecret) (string, error)
}

// WebhookSender posts to endpoints of tenants.
type WebhookSender interface {
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
