package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

// serveMetrics serves Prometheus on a separate listener, which customers do not reach. It returns the listener's
// address and a function that stops it.
func serveMetrics(
	ctx context.Context, address string, h http.Handler,
) (at string, stop func(context.Context) error, err error) {
	var cfg net.ListenConfig
	lis, err := cfg.Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("listen for metrics (choose another --metrics-listen?): %w", err)
	}
	srv := httpkit.NewServer(h)
	srv.WriteTimeout = 10 * time.Second // by default, Prometheus gives up a scrape after 10 s
	go func() { _ = srv.Serve(lis) }()
	return lis.Addr().String(), srv.Shutdown, nil
}
