package embedded

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// gate is the listener in front of the broker. It can be shut and opened again while the broker
// lives on, and looks at the first bytes of each Kafka frame: to keep nonsense away from the broker,
// which would fall over, and to lose chosen requests or answers.
type gate struct {
	addr  net.Addr
	known func(request int16) bool
	tls   *tls.Config // nil: none is spoken

	mu      sync.Mutex
	ln      net.Listener           // guarded by mu; nil while shut
	changed chan struct{}          // guarded by mu; closed and replaced when ln or closed changes
	closed  bool                   // guarded by mu
	conns   map[*gateConn]struct{} // guarded by mu

	loseAnswers  map[int16]int // guarded by mu: request to how many answers are still to be lost
	loseRequests map[int16]int // guarded by mu
}

// maxFrame is the largest request let through, Kafka's own default (socket.request.max.bytes).
const maxFrame = 100 << 20

var (
	errNotKafka = errors.New("not a Kafka request")
	errLost     = errors.New("lost on purpose")
)

func newGate(ln net.Listener, known func(int16) bool, conf *tls.Config) *gate {
	return &gate{
		addr: ln.Addr(), known: known, tls: conf, ln: ln,
		changed: make(chan struct{}), conns: make(map[*gateConn]struct{}),
		loseAnswers: make(map[int16]int), loseRequests: make(map[int16]int),
	}
}

// Addr is the same whether the gate is open or shut.
func (g *gate) Addr() net.Addr { return g.addr }

// Accept waits for the next connection, and while the gate is shut for its opening.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		ln, changed, closed := g.ln, g.changed, g.closed
		g.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if ln == nil {
			<-changed
			continue
		}
		conn, err := ln.Accept()
		if c := g.admit(ln, conn, err); c != nil {
			return c, nil
		}
		if err != nil && g.isAt(ln) {
			return nil, err
		}
	}
}

// admit takes a connection in, unless the gate was shut meanwhile.
func (g *gate) admit(ln net.Listener, conn net.Conn, err error) *gateConn {
	if err != nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ln != ln {
		_ = conn.Close()
		return nil
	}
	if g.tls != nil {
		conn = tls.Server(conn, g.tls) // it shakes hands with the first read
	}
	c := &gateConn{Conn: conn, gate: g, asked: make(map[int32]int16)}
	g.conns[c] = struct{}{}
	return c
}

func (g *gate) isAt(ln net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ln == ln
}

// Close ends the listener for good. Connections that are open stay: they are the broker's to close.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return g.stopListening()
}

// shut cuts every connection and refuses new ones.
func (g *gate) shut() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.stopListening()
	for c := range g.conns {
		_ = c.Conn.Close() // the broker closes it once more and forgets it
	}
	return err
}

// stopListening closes the listener; g.mu is held.
func (g *gate) stopListening() error {
	ln := g.ln
	g.ln = nil
	close(g.changed)
	g.changed = make(chan struct{})
	if ln == nil {
		return nil
	}
	return ln.Close()
}

// open listens again after shut.
func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ln != nil || g.closed {
		return nil
	}
	ln, err := net.Listen(g.addr.Network(), g.addr.String())
	if err != nil {
		return err
	}
	g.ln = ln
	close(g.changed)
	g.changed = make(chan struct{})
	return nil
}

// lose reports whether this request or answer is one to lose, and counts it.
func (g *gate) lose(which map[int16]int, key int16) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if which[key] == 0 {
		return false
	}
	which[key]--
	return true
}

// gateConn is one connection. Its Read is used by one goroutine at a time and its Write by another.
type gateConn struct {
	net.Conn
	gate *gate

	head []byte // Read only: the first bytes of the current frame, up to 12
	rest int    // Read only: how much of the current frame is still to come once head is whole

	mu    sync.Mutex
	asked map[int32]int16 // guarded by mu: correlation id to request, not yet answered
}

// Read hands the stream through and looks at the head of each frame: size, request, version,
// correlation id.
func (c *gateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	for b := p[:n]; len(b) > 0; {
		if c.rest > 0 {
			skip := min(c.rest, len(b))
			c.rest -= skip
			b = b[skip:]
			continue
		}
		c.head = append(c.head, b[0])
		b = b[1:]
		if herr := c.look(); herr != nil {
			_ = c.Conn.Close()
			return 0, herr
		}
	}
	return n, err
}

// look judges the head as far as it has come.
func (c *gateConn) look() error {
	switch len(c.head) {
	case 4:
		if size := binary.BigEndian.Uint32(c.head); size < 8 || size > maxFrame {
			return errNotKafka
		}
	case 12:
		key := int16(binary.BigEndian.Uint16(c.head[4:]))
		if !c.gate.known(key) {
			return errNotKafka
		}
		if c.gate.lose(c.gate.loseRequests, key) {
			return errLost
		}
		c.mu.Lock()
		c.asked[int32(binary.BigEndian.Uint32(c.head[8:]))] = key
		c.mu.Unlock()
		c.rest = int(binary.BigEndian.Uint32(c.head)) - 8
		c.head = c.head[:0]
	}
	return nil
}

// Write sends one answer: the broker writes each whole.
func (c *gateConn) Write(p []byte) (int, error) {
	if len(p) >= 8 {
		id := int32(binary.BigEndian.Uint32(p[4:]))
		c.mu.Lock()
		key, ok := c.asked[id]
		delete(c.asked, id)
		c.mu.Unlock()
		if ok && c.gate.lose(c.gate.loseAnswers, key) {
			_ = c.Conn.Close()
			return 0, errLost
		}
	}
	return c.Conn.Write(p)
}

// Close forgets the connection as well.
func (c *gateConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
