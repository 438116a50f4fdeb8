// Package facts collects invariant.Facts from a running installation: it calls the small readers in
// the order in which no honest change between two of them looks like a fault. It decides nothing and
// must not know the product.
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

// Sources say where to look. AdminURL is required; what is left empty is not looked at, and the
// promises that need it are reported as not checked.
type Sources struct {
	AdminURL string   // PostgreSQL, as a role that bypasses row-level security
	Brokers  []string // host:port
	Topic    string   // of the events; its dead letters' topic is named after it
	SimURL   string   // the simulated provider
	InboxURL string   // the inbox of development
	// Quiet is how long an order must not have changed to count as at rest (10 min on a running
	// installation). 0: everything is at rest, because the caller has waited for it.
	Quiet time.Duration
	Speed int           // of the installation's clock; 0 is 1
	Slack time.Duration // see invariant.Facts.Slack; 0: upper bounds of waits are not checked
	// Installation, where several share a provider: resources labelled with another are left out.
	// Empty: all that lives there is ours to explain.
	Installation string
}

// installationLabel is on every resource that an installation made.
const installationLabel = "pf-inst"

// Collect reads all sources. The provider's ledger comes first (an intent is committed before its
// call), then the database, then what the database's rows promise: topic, mails, secrets.
func Collect(ctx context.Context, s Sources) (invariant.Facts, error) {
	if s.AdminURL == "" {
		return invariant.Facts{}, errors.New("collect facts: no database to look at")
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
		leaveOut(cloud, s.Installation)
	}
	return f, nil
}

// Await collects until everything has come to rest, and returns what it saw then; pause is what lies
// between two looks. It gives up with ctx and returns the last look with ErrRestless: what is on its
// way in it counts as on its way.
func Await(ctx context.Context, s Sources, pause func(context.Context) error) (invariant.Facts, error) {
	s.Quiet = 0
	var last *invariant.Facts
	for {
		f, err := Collect(ctx, s)
		switch {
		case err != nil && ctx.Err() != nil && last != nil: // its patience ended in the middle of a look
			return *last, ErrRestless
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
			return f, ErrRestless
		}
	}
}

// ErrRestless is what Await answers when something is still on its way at the end of its patience.
var ErrRestless = errors.New("something is still on its way")

// leaveOut forgets the resources of other installations.
func leaveOut(c *invariant.Cloud, ours string) {
	if ours == "" {
		return
	}
	kept := c.Live[:0]
	for _, r := range c.Live {
		if of := r.Labels[installationLabel]; of == "" || of == ours {
			kept = append(kept, r)
		}
	}
	c.Live = kept
}
