package pgtest

import (
	"context"
	"net"
	"sync/atomic"
)

// Trips counts the round trips of the connections that it dials. A write after a read begins a trip. The count is
// correct for one connection at a time.
type Trips struct {
	n       atomic.Int64
	written atomic.Bool
}

// Dial opens a connection; it is for postgres.Options.
func (c *Trips) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &countingConn{conn, c}, nil
}

// During returns the number of trips that fn makes.
func (c *Trips) During(fn func()) int64 {
	c.n.Store(0)
	c.written.Store(false)
	fn()
	return c.n.Load()
}

type countingConn struct {
	net.Conn
	count *Trips
}

// Write begins a trip unless one has begun.
func (c *countingConn) Write(b []byte) (int, error) {
	if !c.count.written.Swap(true) {
		c.count.n.Add(1)
	}
	return c.Conn.Write(b)
}

// Read ends the trip when data was received.
func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.count.written.Store(false)
	}
	return n, err
}
