// Package facts collects invariant.Facts from a running installation. It calls the small readers in an order in which a
// legitimate change between two of them never looks like a fault. It decides nothing and must not know the product.
package facts

import (
	"context"
	"errors"
	"time"

	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/mailfacts"
	"github.com/platforma-cloud/orders/internal/invariant/pgfacts"
	"github.com/platforma-cloud/orders/internal/invariant/simfacts"
	"github.com/platforma-cloud/orders/internal/invariant/topicfacts"
)

// Sources say what to read. AdminURL is required. What is empty is not read, and the promises that need it are reported
// as not checked.
type Sources struct {
	AdminURL string   // PostgreSQL, with a role that bypasses row-level security
	Brokers  []string // host:port
	Topic    string   // of the events; the topic of dead letters has its name with a suffix
	SimURL   string   // the simulated provider
	InboxURL string   // the inbox for development
	// Quiet is how long an order must not have changed to be at rest (10 min on a running installation). 0 means
	// that everything is at rest, because the caller has waited for it.
	Quiet time.Duration
	Speed int           // of the installation's clock; 0 means 1
	Slack time.Duration // see invariant.Facts.Slack; 0 means that upper bounds of waits are not checked
	// Installation is needed if several installations share a provider: resources with another one's label are
	// left out. If it is empty, every resource at the provider is checked.
	Installation string
}

// installationLabel is on every resource that an installation made.
const installationLabel = "pf-inst"

// Collect reads all sources. It reads the provider's ledger first, because an intent is committed before its call, then
// the database, and then what must exist because of its rows: topic, mails, secrets.
func Collect(ctx context.Context, s Sources) (invariant.Facts, error) {
	if s.AdminURL == "" {
		return invariant.Facts{}, errors.New("collect facts: no database is given")
	}
	var cloud *invariant.Cloud
	var err error
	if s.SimURL != "" {
		if cloud, err = simfacts.Read(ctx, s.SimURL); err != nil {
			return invariant.Facts{}, err
		}
	}
	f, err := pgfacts.Read(ctx, s.AdminURL)
	if err != nil {
		return f, err
	}
	f.Cloud, f.Speed, f.Slack = cloud, s.Speed, s.Slack
	f.AtRest = s.Quiet == 0
	for i := range f.Orders {
		o := &f.Orders[i]
		o.AtRest = f.AtRest || f.At.Sub(o.UpdatedAt) >= s.Quiet
	}
	if len(s.Brokers) > 0 {
		if f.Topic, err = topicfacts.Read(ctx, s.Brokers, s.Topic); err != nil {
			return f, err
		}
	}
	if s.InboxURL != "" {
		if f.Mailbox, err = mailfacts.Read(ctx, s.InboxURL); err != nil {
			return f, err
		}
	}
	if cloud != nil {
		if err := simfacts.Secrets(ctx, s.SimURL, cloud); err != nil {
			return f, err
		}
		removeOthers(cloud, s.Installation)
	}
	return f, nil
}

// Await collects facts until everything is at rest, and returns the last ones. It calls pause between two collections.
// When pause fails or ctx ends, it returns the last facts, marked as not at rest, and ErrRestless.
func Await(ctx context.Context, s Sources, pause func(context.Context) error) (invariant.Facts, error) {
	s.Quiet = 0
	var last *invariant.Facts
	for {
		f, err := Collect(ctx, s)
		switch {
		case err != nil && ctx.Err() != nil && last != nil: // ctx ended during a collection
			return *last, ErrNotAtRest
		case err != nil:
			return f, err
		case invariant.Resting(f):
			return f, nil
		}
		f.AtRest = false
		for i := range f.Orders {
			f.Orders[i].AtRest = false
		}
		if last = &f; pause(ctx) != nil {
			return f, ErrNotAtRest
		}
	}
}

// ErrRestless is returned by Await if something is still in progress when it gives up.
var ErrNotAtRest = errors.New("something is still in progress")

// removeOthers removes the resources of other installations from the facts.
func removeOthers(c *invariant.Cloud, own string) {
	if own == "" {
		return
	}
	kept := c.Live[:0]
	for _, r := range c.Live {
		if label := r.Labels[installationLabel]; label == "" || label == own {
			kept = append(kept, r)
		}
	}
	c.Live = kept
}
