package process

import (
	"time"

	"github.com/google/uuid"
)

// wallClock is real time. Its speed divides only the waits that policy sets (ADR 0008).
type wallClock struct{ speed int }

// WallClock returns a clock of real time that divides policy waits by speed, which is 1 in production.
func WallClock(speed int) interface {
	Now() time.Time
	Speed() int
} {
	return wallClock{max(1, speed)}
}

func (wallClock) Now() time.Time { return time.Now().UTC() }

func (c wallClock) Speed() int { return c.speed }

// NewID returns a new UUIDv7. Ids made at about the same time are adjacent in every index.
func NewID() [16]byte { return uuid.Must(uuid.NewV7()) }
