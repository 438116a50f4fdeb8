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

// WebhookConsumer is the consumer that turns events into webhook deliveries. It is the name of its consumer group,
// and its name in the inbox. It is one of the portal's consumers (D19), so it receives every event.
const WebhookConsumer event.Consumer = "portal-webhooks"

// WebhookEndpointID names a webhook endpoint.
type WebhookEndpointID = id.Of[WebhookEndpoint]

// WebhookDeliveryID names a webhook delivery. Its task has the same id.
type WebhookDeliveryID = id.Of[WebhookDelivery]

// WebhookEndpoint is a URL to which a tenant's events are posted.
type WebhookEndpoint struct {
	ID           WebhookEndpointID
	Version      int // rises by one with every change by a person and every change of the state
	URL          string
	Description  string
	Types        []event.Type // that it subscribes to; none: all
	State        WebhookEndpointState
	Why          WebhookEndpointReason // for a state other than active
	Since        time.Time             // when the state began
	Failures     int                   // consecutive failed calls
	RestingUntil time.Time             // no call is made before, after consecutive failures
	Secrets      []SecretInfo          // newest first
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DeletedAt    time.Time
}

// Subscribes reports whether the endpoint wants events of a type.
func (e WebhookEndpoint) Subscribes(t event.Type) bool {
	for _, want := range e.Types {
		if want == t {
			return true
		}
	}
	return len(e.Types) == 0
}

// WebhookEndpointState is the state of an endpoint; the numbers are stored.
type WebhookEndpointState uint8

// The states of an endpoint.
const (
	WebhookEndpointActive   WebhookEndpointState = 1 // events are posted
	WebhookEndpointFailing  WebhookEndpointState = 2 // a delivery ran out of calls: events wait, nothing is called
	WebhookEndpointDisabled WebhookEndpointState = 3 // by a person or by its own 410: no deliveries are queued
)

// String returns the name used in the API.
func (s WebhookEndpointState) String() string {
	return [...]string{"", "active", "failing", "disabled"}[s]
}

// WebhookEndpointReason says why an endpoint is not active.
type WebhookEndpointReason string

// The reasons.
const (
	WebhookEndpointExhausted WebhookEndpointReason = "exhausted" // a delivery ran out of calls
	WebhookEndpointGone      WebhookEndpointReason = "gone"      // it answered 410
	WebhookEndpointByHand    WebhookEndpointReason = "by-hand"   // a person disabled or deleted it
)

// SecretInfo describes a signing secret without the secret itself.
type SecretInfo struct {
	CreatedAt time.Time
	ExpiresAt time.Time // zero for the current one
}

// SealedSecret is a signing secret as it is stored: sealed under its own keyset, which the webhook KEK wraps.
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
	LastStatus      int // HTTP status; 0 when no answer came or no call was made yet
	LastResult      CallResult
	CreatedAt       time.Time
	NextAt          time.Time // next call by the schedule; zero when there is none
	DoneAt          time.Time
	Log             []WebhookDeliveryCall // when asked for, newest first
}

// WebhookDeliveryState is the state of a webhook delivery; the numbers are stored.
type WebhookDeliveryState uint8

// The states of a webhook delivery.
const (
	WebhookDeliveryPending   WebhookDeliveryState = 0
	WebhookDeliveryDelivered WebhookDeliveryState = 1
	WebhookDeliveryFailed    WebhookDeliveryState = 2
	WebhookDeliveryDropped   WebhookDeliveryState = 3 // its endpoint was deleted before
)

// String returns the name used in the API.
func (s WebhookDeliveryState) String() string {
	return [...]string{"pending", "delivered", "failed", "dropped"}[s]
}

// CallResult is the result of a call.
type CallResult string

// The results of a call. All but CallAccepted and CallGone are retried.
const (
	CallAccepted         CallResult = "delivered"         // 2xx
	CallGone             CallResult = "gone"              // 410: never call again
	CallBusy             CallResult = "busy"              // 429 or 503
	CallRedirected       CallResult = "redirected"        // 3xx, which is not followed
	CallRefused          CallResult = "refused"           // any other status
	CallTimedOut         CallResult = "no-answer"         // none in time
	CallNameNotFound     CallResult = "name-not-found"    // the host's name does not resolve
	CallUnreachable      CallResult = "unreachable"       // no connection, or it broke
	CallBadTLS           CallResult = "tls"               // no trusted TLS 1.2 or newer
	CallForbiddenAddress CallResult = "forbidden-address" // an address that must not be called
)

// WebhookDeliveryCall is one entry of the delivery log.
type WebhookDeliveryCall struct {
	N       int // from 1
	At      time.Time
	Status  int
	Result  CallResult
	Took    time.Duration
	Excerpt string // the beginning of the answer: printable, at most 1 KiB
}

// WebhookDeliveryFilter selects webhook deliveries of an endpoint, newest first.
type WebhookDeliveryFilter struct {
	State  *WebhookDeliveryState
	Cursor string
	Limit  int
}

// WebhookEndpointStore reads what a tenant may see of its webhooks. What is absent, deleted or another tenant's is
// fault.Absent().
type WebhookEndpointStore interface {
	WebhookEndpoints(ctx context.Context, t tenant.ID) ([]WebhookEndpoint, error)
	WebhookEndpoint(ctx context.Context, t tenant.ID, e WebhookEndpointID) (WebhookEndpoint, error)
	WebhookDeliveries(ctx context.Context, t tenant.ID, e WebhookEndpointID,
		f WebhookDeliveryFilter) (Page[WebhookDelivery], error)
	// WebhookDelivery reads a delivery with its log.
	WebhookDelivery(ctx context.Context, t tenant.ID, e WebhookEndpointID,
		delivery WebhookDeliveryID) (WebhookDelivery, error)
}

// WebhookEndpointTx is the part of Tx for webhooks. Whoever changes an endpoint or one of its deliveries must hold
// the endpoint's lock.
type WebhookEndpointTx interface {
	// ListWebhookEndpoints reads a tenant's endpoints and settings. Until the commit nobody else adds an endpoint.
	ListWebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, Settings, error)
	// SubscribedWebhookEndpoints reads the endpoints that are not disabled. Until the commit none of them changes
	// its state.
	SubscribedWebhookEndpoints(ctx context.Context) ([]WebhookEndpoint, error)
	// LockWebhookEndpoint locks an endpoint. Unless also is zero, it reads that delivery with its task.
	LockWebhookEndpoint(ctx context.Context, e WebhookEndpointID, also WebhookDeliveryID) (LockedWebhookEndpoint, error)

	// PutWebhookEndpoint queues an endpoint, new or changed.
	PutWebhookEndpoint(e WebhookEndpoint)
	// MoveWebhookEndpoint queues an endpoint's state and failures, which is all that a worker may change.
	MoveWebhookEndpoint(e WebhookEndpoint)
	// NoteFailing queues an incident for the tenant's admins: the endpoint, as MoveWebhookEndpoint writes it, became
	// failing with this last call. The same version of the endpoint again is the same incident.
	NoteFailing(e WebhookEndpoint, last WebhookDeliveryCall)
	// AddSecret queues a new current secret. The previous one stays valid until then; older ones become invalid.
	AddSecret(e WebhookEndpointID, s SealedSecret, until time.Time)
	// DropSecrets queues the removal of all secrets of an endpoint.
	DropSecrets(e WebhookEndpointID)
	// AddWebhookDelivery queues a delivery and its task. The inbox ensures that each event is delivered once.
	AddWebhookDelivery(delivery WebhookDelivery, task fulfil.Task)
	// SaveWebhookDelivery queues a changed delivery and its task. call is nil when no call was made.
	SaveWebhookDelivery(delivery WebhookDelivery, task fulfil.Task, call *WebhookDeliveryCall)
	// HoldWebhookDeliveries makes an endpoint's pending deliveries wait until they are released.
	HoldWebhookDeliveries(e WebhookEndpointID)
	// RestWebhookDeliveries makes none of them due before a time.
	RestWebhookDeliveries(e WebhookEndpointID, until time.Time)
	// ReleaseWebhookDeliveries makes them due by their own schedules again.
	ReleaseWebhookDeliveries(e WebhookEndpointID)
	// DropWebhookDeliveries drops them for good.
	DropWebhookDeliveries(e WebhookEndpointID)
}

// LockedWebhookEndpoint is an endpoint under its lock.
type LockedWebhookEndpoint struct {
	WebhookEndpoint WebhookEndpoint
	Settings        Settings
	WebhookDelivery WebhookDelivery // when asked for
	Task            fulfil.Task     // of WebhookDelivery
}

// WebhookDeliveryJobs is the part of the store that workers use for webhooks. It needs the worker's login.
type WebhookDeliveryJobs interface {
	// WebhookDeliveryJob reads the delivery of a task with all that is needed to post it. It is fault.Absent() when
	// there is no such task, or the task is not a webhook's.
	WebhookDeliveryJob(ctx context.Context, t tenant.ID, taskID fulfil.TaskID) (WebhookDeliveryJob, error)
	// PurgeWebhooks erases the secrets that have expired at now. It also removes at most n deliveries, of all
	// tenants, that ended before a time, with their logs, and returns how many. It keeps pending deliveries, and
	// failed ones unless their endpoint was deleted before that time.
	PurgeWebhooks(ctx context.Context, now, before time.Time, n int) (int, error)
}

// WebhookDeliveryJob is a delivery with all that is needed to post it.
type WebhookDeliveryJob struct {
	Task            fulfil.Task
	WebhookDelivery WebhookDelivery
	WebhookEndpoint WebhookEndpoint
	Secrets         []SealedSecret // the valid ones, newest first
	At              time.Time      // of the event
	Data            []byte         // of the event, as it is on the topic
}

// SecretBox seals and opens signing secrets with a key of the process. It needs no database; the tenant wall
// protects what is sealed.
type SecretBox interface {
	SealSecret(t tenant.ID, e WebhookEndpointID, s id.Of[SealedSecret], secret string) (SealedSecret, error)
	OpenSecret(t tenant.ID, e WebhookEndpointID, s SealedSecret) (string, error)
}

// WebhookSender posts to the endpoints of tenants.
type WebhookSender interface {
	// CheckURL returns what is wrong with an endpoint's URL, or nil. It makes no call.
	CheckURL(address string) *fault.Violation
	// Post makes one call. It returns no error, because every outcome is a CallResult.
	Post(ctx context.Context, p Post) PostAnswer
}

// Post is one call to an endpoint.
type Post struct {
	URL     string
	ID      string // of the message, which is the event's
	At      time.Time
	Body    []byte
	Secrets []string // the body is signed with each
}

// PostAnswer is the outcome of a Post.
type PostAnswer struct {
	Result  CallResult
	Status  int           // HTTP status; 0 when no answer came
	After   time.Duration // from Retry-After
	Excerpt string
}
