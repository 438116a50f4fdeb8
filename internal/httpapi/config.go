package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
)

// The bounds of requests and answers. The server that serves the handler sets the first four; a stream sets
// WriteTimeout anew for each write.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 15 * time.Second
	WriteTimeout      = 30 * time.Second
	IdleTimeout       = 60 * time.Second
	MaxHeaderBytes    = 16 << 10

	// MaxBody is the most bytes a request body may have: 413 beyond.
	MaxBody = 64 << 10
	// MaxDepth is how deep a request's JSON may nest.
	MaxDepth = 32

	// requestTimeout ends a request's work before WriteTimeout would cut its answer off.
	requestTimeout = 20 * time.Second
)

// Config is what the API needs beside the use cases. Now, NewRequestID, Hub and Log are required.
type Config struct {
	// Now is wall time: it fills the rate buckets and sets write deadlines, and stands in no answer.
	Now func() time.Time
	// NewRequestID makes the id that stands in each answer's X-Request-Id, in problems and in the log:
	// a UUID. The caller's own is never taken over, so that nobody writes into our log.
	NewRequestID func() string
	Hub          app.OrderChanges
	Log          *slog.Logger
	// Ready answers /readyz: nil when the database answers with the schema we know. nil means always.
	Ready func(context.Context) error
	// Degraded names what of the process cannot do its work now, though it serves: /readyz tells it. nil
	// means nothing, ever.
	Degraded func() []string
	// Closing ends the streams when it is closed, so that a server that is to stop does not wait for
	// them. nil means never.
	Closing <-chan struct{}
	Limits  Limits
	Stream  StreamTimes
}

// Limits bound how often somebody may call. A zero rate is no limit.
type Limits struct {
	// Requests and Writes hold per tenant and per API key.
	Requests, Writes Rate
	// FailedKeys is how many wrong API keys an address may present in a minute; then it is refused
	// until its minute is over, with a right key too.
	FailedKeys int
}

// Rate of a token bucket.
type Rate struct {
	PerSecond float64
	Burst     int
}

// DefaultLimits are the limits of an installation that sets none: per second and at once.
func DefaultLimits() Limits {
	return Limits{Requests: Rate{100, 200}, Writes: Rate{20, 40}, FailedKeys: 10}
}

// StreamTimes pace the event streams; a zero member takes its default.
type StreamTimes struct {
	Poll        time.Duration // look without having been woken: 2 s
	Heartbeat   time.Duration // a comment, so that proxies keep the connection: 15 s
	Reauthorise time.Duration // ask again whether the key and the order are still the caller's: 60 s
}

func (s StreamTimes) withDefaults() StreamTimes {
	if s.Poll == 0 {
		s.Poll = 2 * time.Second
	}
	if s.Heartbeat == 0 {
		s.Heartbeat = 15 * time.Second
	}
	if s.Reauthorise == 0 {
		s.Reauthorise = time.Minute
	}
	return s
}
