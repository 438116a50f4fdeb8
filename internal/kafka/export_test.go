package kafka

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Hook adds a hook to the relay's producing client: how a test dies in the middle of a transaction.
func (r *Relay) Hook(h kgo.Hook) { r.options = append(r.options, kgo.WithHooks(h)) }

// Forget makes the broker give a consumer that died up sooner than a shipped one.
func (c *Consumer) Forget(after time.Duration) {
	c.options = append(c.options, kgo.SessionTimeout(after))
}

// Client opens a client that reaches the brokers as the cluster says.
func (c Cluster) Client() (*kgo.Client, error) { return c.client() }

// With adds options to every client of the cluster: how a test logs in.
func (c Cluster) With(opts ...kgo.Opt) Cluster {
	c.options = append(slices.Clone(c.options), opts...)
	return c
}
