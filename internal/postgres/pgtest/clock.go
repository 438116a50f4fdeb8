package pgtest

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/id"
)

// Clock is a test's time: it stands still until it is moved. It may be used by many goroutines.
type Clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
	n   uint64    // of ids made, guarded by mu
	seq [4]byte   // this clock's own mark in its ids
}

// NewClock begins on a Monday morning.
func NewClock() *Clock {
	c := &Clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
	copy(c.seq[:], randomBytes(4))
	return c
}

// Mark makes the ids that follow the same in every run with the same number.
func (c *Clock) Mark(n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	binary.BigEndian.PutUint32(c.seq[:], n)
}

// Now is the present moment.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Speed is 1: nothing is hurried.
func (c *Clock) Speed() int { return 1 }

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set moves the clock to a moment.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// NewID is a UUIDv7 by this clock, each larger than the one before while time does not go back.
func (c *Clock) NewID() [16]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	u := [16]byte(id.AtOrAfter[Clock](c.now))
	u[6] = 0x70 | byte(c.n>>32)&0x0f
	u[8] = 0x80
	binary.BigEndian.PutUint32(u[9:13], uint32(c.n))
	copy(u[13:], c.seq[:3])
	u[7] = c.seq[3]
	return u
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic("no randomness: " + err.Error())
	}
	return b
}
