package httpkit

import (
	"net/http"
	"time"
)

// The limits of every server. A slow client cannot hold a connection for longer than these. A stream sets a
// deadline of WriteTimeout for each of its writes.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 15 * time.Second
	WriteTimeout      = 30 * time.Second
	IdleTimeout       = 60 * time.Second
	MaxHeaderBytes    = 16 << 10

	// RequestTimeout ends the work on a request before WriteTimeout would cut off its answer.
	RequestTimeout = 20 * time.Second
)

// NewServer returns a server for a handler, with these limits. It does not listen yet.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: ReadHeaderTimeout, ReadTimeout: ReadTimeout,
		WriteTimeout: WriteTimeout, IdleTimeout: IdleTimeout, MaxHeaderBytes: MaxHeaderBytes,
	}
}
