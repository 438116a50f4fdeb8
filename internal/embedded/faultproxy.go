package embedded

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
)

// faultProxy is the listener in front of the broker. It can be stopped and started again while the
// broker keeps running. It reads the head of each Kafka frame, so that it can lose chosen requests or
// answers, and cut connections that do not speak Kafka: the broker would crash on them.
type faultProxy struct {
	addr  net.Addr
	known func(request int16) bool
	tls   *tls.Config // nil: no TLS

	mu      sync.Mutex
	ln      net.Listener            // guarded by mu; nil while stopped
	changed chan struct{}           // guarded by mu; closed and replaced when ln or closed changes
	closed  bool                    // guarded by mu
	conns   map[*proxyConn]struct{} // guarded by mu

	loseAnswers  map[int16]int // guarded by mu; how many answers are still to be lost, by request
	loseRequests map[int16]int // guarded by mu; likewise
}

// maxFrame is the size of the largest request that is accepted, in bytes: Kafka's own default
// (socket.request.max.bytes).
const maxFrame = 100 << 20

var (
	errNotKafka = errors.New("not a Kafka request")
	errLost     = errors.New("lost on purpose")
)

func newFaultProxy(ln net.Listener, known func(int16) bool, conf *tls.Config) *faultProxy {
	return &faultProxy{
		addr: ln.Addr(), known: known, tls: conf, ln: ln,
		changed: make(chan struct{}), conns: make(map[*proxyConn]struct{}),
		loseAnswers: make(map[int16]int), loseRequests: make(map[int16]int),
	}
}

// Addr returns the address of the proxy, also while it is stopped.
func (p *faultProxy) Addr() net.Addr { return p.addr }

// Accept waits for the next connection. While the proxy is stopped, it waits for its start.
func (p *faultProxy) Accept() (net.Conn, error) {
	for {
		p.mu.Lock()
		ln, changed, closed := p.ln, p.changed, p.closed
		p.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if ln == nil {
			<-changed
			continue
		}
		conn, err := ln.Accept()
		if c := p.admit(ln, conn, err); c != nil {
			return c, nil
		}
		if err != nil && p.listensOn(ln) {
			return nil, err
		}
	}
}

// admit registers a connection. It returns nil if the proxy was stopped meanwhile.
func (p *faultProxy) admit(ln net.Listener, conn net.Conn, err error) *proxyConn {
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != ln {
		_ = conn.Close()
		return nil
	}
	if p.tls != nil {
		conn = tls.Server(conn, p.tls) // the handshake takes place with the first read
	}
	c := &proxyConn{Conn: conn, proxy: p, pending: make(map[int32]int16)}
	p.conns[c] = struct{}{}
	return c
}

func (p *faultProxy) listensOn(ln net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ln == ln
}

// Close closes the listener for good. Open connections stay open: the broker closes them.
func (p *faultProxy) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.stopListening()
}

// stop cuts every connection and refuses new ones.
func (p *faultProxy) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.stopListening()
	for c := range p.conns {
		_ = c.Conn.Close() // the broker calls Close, which removes it from conns
	}
	return err
}

// stopListening closes the listener; p.mu is held.
func (p *faultProxy) stopListening() error {
	ln := p.ln
	p.ln = nil
	close(p.changed)
	p.changed = make(chan struct{})
	if ln == nil {
		return nil
	}
	return ln.Close()
}

// start listens again after stop.
func (p *faultProxy) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ln != nil || p.closed {
		return nil
	}
	ln, err := net.Listen(p.addr.Network(), p.addr.String())
	if err != nil {
		return err
	}
	p.ln = ln
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

// lose reports whether this request or answer is to be lost, and counts it. which is loseAnswers or
// loseRequests.
func (p *faultProxy) lose(which map[int16]int, key int16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if which[key] == 0 {
		return false
	}
	which[key]--
	return true
}

// proxyConn is one connection. One goroutine at a time calls Read, and another one Write.
type proxyConn struct {
	net.Conn
	proxy *faultProxy

	head []byte // used by Read only: the first bytes of the current frame, up to 12
	rest int    // used by Read only: how many bytes of the current frame follow its head

	mu      sync.Mutex
	pending map[int32]int16 // guarded by mu; requests that are not answered yet, by correlation id
}

// Read passes the stream through and checks the head of each frame: size, request, version, correlation
// id.
func (c *proxyConn) Read(p []byte) (int, error) {
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
		if herr := c.checkHead(); herr != nil {
			_ = c.Conn.Close()
			return 0, herr
		}
	}
	return n, err
}

// checkHead checks the part of the head that has been read.
func (c *proxyConn) checkHead() error {
	switch len(c.head) {
	case 4:
		if size := binary.BigEndian.Uint32(c.head); size < 8 || size > maxFrame {
			return errNotKafka
		}
	case 12:
		key := int16(binary.BigEndian.Uint16(c.head[4:]))
		if !c.proxy.known(key) {
			return errNotKafka
		}
		if c.proxy.lose(c.proxy.loseRequests, key) {
			return errLost
		}
		c.mu.Lock()
		c.pending[int32(binary.BigEndian.Uint32(c.head[8:]))] = key
		c.mu.Unlock()
		c.rest = int(binary.BigEndian.Uint32(c.head)) - 8
		c.head = c.head[:0]
	}
	return nil
}

// Write sends one answer. The broker writes each answer with one call.
func (c *proxyConn) Write(p []byte) (int, error) {
	if len(p) >= 8 {
		id := int32(binary.BigEndian.Uint32(p[4:]))
		c.mu.Lock()
		key, ok := c.pending[id]
		delete(c.pending, id)
		c.mu.Unlock()
		if ok && c.proxy.lose(c.proxy.loseAnswers, key) {
			_ = c.Conn.Close()
			return 0, errLost
		}
	}
	return c.Conn.Write(p)
}

// Close closes the connection and removes it from the proxy.
func (c *proxyConn) Close() error {
	c.proxy.mu.Lock()
	delete(c.proxy.conns, c)
	c.proxy.mu.Unlock()
	return c.Conn.Close()
}
