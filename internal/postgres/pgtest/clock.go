package pgtest

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/id"
)

// Clock is the clock of a test. It does not move by itself. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex
	now    time.Time // guarded by mu
	n      uint64    // number of ids made, guarded by mu
	suffix [4]byte   // part of every id, to tell the ids of two clocks apart; guarded by mu
}

// NewClock returns a clock that is set to a Monday morning.
func NewClock() *Clock {
	c := &Clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	copy(c.suffix[:], randomBytes(4))
	return c
}

// Mark makes the following ids the same in every run with the same n.
func (c *Clock) Mark(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	binary.BigEndian.PutUint32(c.suffix[:], n)
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Speed returns 1: waits are not shortened.
func (c *Clock) Speed() int { return 1 }

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set sets the clock.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// NewID returns a UUIDv7 of the clock's time. Each is larger than the one before unless the clock is set back.
func (c *Clock) NewID() [16]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	u := [16]byte(id.AtOrAfter[Clock](c.now))
	u[6] = 0x70 | byte(c.n>>32)&0x0f
	u[8] = 0x80
	binary.BigEndian.PutUint32(u[9:13], uint32(c.n))
	copy(u[13:], c.suffix[:3])
	u[7] = c.suffix[3]
	return u
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic("no randomness: " + err.Error())
	}
	return b
}
