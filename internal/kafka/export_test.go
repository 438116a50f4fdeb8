package kafka

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Hook adds a hook to the relay's producing client. Tests use it to end the process in the middle of a
// transaction.
func (r *Relay) Hook(h kgo.Hook) { r.options = append(r.options, kgo.WithHooks(h)) }

// SessionTimeout sets how soon the broker gives up a consumer that died. Tests need it sooner than the
// product.
func (c *Consumer) SessionTimeout(after time.Duration) {
	c.options = append(c.options, kgo.SessionTimeout(after))
}

// Client opens a client that reaches the brokers as the cluster says.
func (c Cluster) Client() (*kgo.Client, error) { return c.client() }

// With adds options to every client of the cluster. Tests use it to log in.
func (c Cluster) With(opts ...kgo.Opt) Cluster {
	c.options = append(slices.Clone(c.options), opts...)
	return c
}
