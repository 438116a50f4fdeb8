package process

import (
	"time"

	"github.com/google/uuid"
)

// wallClock is real time; speed divides the waits of policy alone (ADR 0008).
type wallClock struct{ speed int }

// WallClock is real time with policy waits divided by speed: 1 in production.
func WallClock(speed int) interface {
	Now() time.Time
	Speed() int
} {
	return wallClock{max(1, speed)}
}

func (wallClock) Now() time.Time { return time.Now().UTC() }

func (c wallClock) Speed() int { return c.speed }

// NewID makes a UUIDv7: ids made together lie together in every index.
func NewID() [16]byte { return uuid.Must(uuid.NewV7()) }
