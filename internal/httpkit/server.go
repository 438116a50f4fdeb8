package httpkit

import (
	"net/http"
	"time"
)

// The bounds of every server. A client that is slow on purpose holds a connection no longer than these; a
// stream sets a deadline of WriteTimeout for each of its writes.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 15 * time.Second
	WriteTimeout      = 30 * time.Second
	IdleTimeout       = 60 * time.Second
	MaxHeaderBytes    = 16 << 10

	// RequestTimeout ends a request's work before WriteTimeout would cut its answer off.
	RequestTimeout = 20 * time.Second
)

// NewServer makes a server of a handler with these bounds. It listens nowhere yet.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: ReadHeaderTimeout, ReadTimeout: ReadTimeout,
		WriteTimeout: WriteTimeout, IdleTimeout: IdleTimeout, MaxHeaderBytes: MaxHeaderBytes,
	}
}
