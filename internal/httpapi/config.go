package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/httpkit"
)

// Config is what the API needs beside the use cases. Now, NewRequestID, Hub and Log are required.
type Config struct {
	// Now is wall time: it fills the rate buckets and sets write deadlines, and no answer has it.
	Now func() time.Time
	// NewRequestID makes a request's id: a UUID, for it ends the problem's instance too.
	NewRequestID func() string
	// HTTPS says that clients come over https: then HSTS is sent.
	HTTPS bool
	Hub   app.OrderChanges
	Log   *slog.Logger
	// Ready answers /readyz: nil when the database answers with the schema we know. nil means always.
	Ready func(context.Context) error
	// Degraded names what of the process cannot do its work now, though it serves: /readyz tells it. nil
	// means nothing, ever.
	Degraded func() []string
	// Closing ends the streams when it is closed, so that a server that is to stop does not wait for
	// them. nil means never.
	Closing <-chan struct{}
	Limits  httpkit.Limits
	Stream  StreamTimes
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
