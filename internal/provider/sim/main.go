package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/platforma-cloud/orders/internal/provider"
)

// Config is the configuration of `platforma sim`.
type Config struct {
	Listen string  // a loopback address, such as 127.0.0.1:8091; port 0 takes a free one
	Ledger string  // the path of the ledger
	Speed  float64 // 60 makes a minute a second; 0 means 1
	Seed   int64
	Naming provider.Naming
	Log    io.Writer // receives the ready line; may be nil
}

// Main runs the sim until ctx ends. When the sim accepts calls, Main writes one line, "sim: ready on
// http://ADDRESS".
func Main(ctx context.Context, cfg Config) (err error) {
	if !loopback(cfg.Listen) {
		return fmt.Errorf("sim listens on loopback addresses only, not on %q: it has no login", cfg.Listen)
	}
	s, err := NewServer(ServerConfig{Ledger: cfg.Ledger, Speed: cfg.Speed, Seed: cfg.Seed, Naming: cfg.Naming})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen for the sim: %w", err)
	}
	hs := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 16,
	}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(listener) }()
	if cfg.Log != nil {
		_, _ = fmt.Fprintf(cfg.Log, "sim: ready on http://%s\n", listener.Addr()) // a reader that is gone is not an error
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve the sim: %w", err)
	case <-ctx.Done():
	}
	return stop(hs) //nolint:contextcheck // ctx has ended, which is why the server stops
}

// stop gives running requests two seconds and then ends them. Their callers find out what happened by a read.
func stop(hs *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := hs.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = hs.Close()
	}
	if err != nil {
		return fmt.Errorf("stop the sim: %w", err)
	}
	return nil
}
