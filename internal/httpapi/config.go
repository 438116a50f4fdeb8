package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// Config is what the API needs besides the use cases. Now, NewRequestID, Hub and Log are required.
type Config struct {
	// Now returns the wall time. It is used for rate limits and write deadlines, and is in no answer.
	Now func() time.Time
	// NewRequestID makes a request's id. It must be a UUID, because the instance of a problem is a URN of it.
	NewRequestID func() string
	// HTTPS says that clients use https. Answers then have HSTS.
	HTTPS bool
	Hub   app.OrderChanges
	Log   *slog.Logger
	// Ready returns nil if the database answers and has the schema that this version knows; /readyz calls it.
	// If it is nil, the process is always ready.
	Ready func(context.Context) error
	// Degraded returns the parts of the process that cannot work at the moment, although the process serves;
	// /readyz shows them. If it is nil, there are none.
	Degraded func() []string
	// Closing ends the streams when it is closed, so that the shutdown of the server does not wait for them.
	// If it is nil, streams end only when their clients leave.
	Closing <-chan struct{}
	Limits  httpkit.Limits
	Stream  StreamTimes
}

// StreamTimes are the intervals of an event stream. A zero field has its default.
type StreamTimes struct {
	Poll        time.Duration // between reads of new events without a wake-up; 2 s
	Heartbeat   time.Duration // between comments, which keep proxies from closing the connection; 15 s
	Reauthorise time.Duration // between checks that the caller may still read the order; 60 s
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
