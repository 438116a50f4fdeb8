package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/httpkit"
)

// serveMetrics answers Prometheus on a listener of its own, which customers do not reach. It gives the
// address, and how to stop.
func serveMetrics(
	ctx context.Context, address string, h http.Handler,
) (at string, stop func(context.Context) error, err error) {
	var cfg net.ListenConfig
	lis, err := cfg.Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("listen for metrics (choose another --metrics-listen?): %w", err)
	}
	srv := httpkit.NewServer(h)
	srv.WriteTimeout = 10 * time.Second // Prometheus gives a scrape up after 10 s by default
	go func() { _ = srv.Serve(lis) }()
	return lis.Addr().String(), srv.Shutdown, nil
}
