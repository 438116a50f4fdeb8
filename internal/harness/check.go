package harness

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/facts"
)

// CheckInvariants checks the installation from outside, with the checker's own readers, and reports every broken
// invariant as an error of the test. While work is still under way it checks only the invariants that always hold.
// A test that breaks an invariant on purpose, for example by calling twice, names it in except.
func (h *Harness) CheckInvariants(except ...string) {
	h.t.Helper()
	for _, r := range invariant.Examine(h.facts()) {
		if slices.Contains(except, r.Invariant) {
			continue
		}
		for _, v := range r.Violations {
			h.t.Error(v)
		}
	}
}

func (h *Harness) facts() invariant.Facts {
	h.t.Helper()
	ctx := context.WithoutCancel(h.t.Context())
	f, err := facts.Collect(ctx, facts.Sources{
		AdminURL: h.DB.OwnerURL(), SimURL: h.Sim.URL, InboxURL: h.Inbox.HTTPURL(),
		Slack: 2 * time.Second, // the clock jumps to the next due task of all orders, so one order's call may be late
	})
	if err != nil {
		h.t.Fatalf("collect the facts: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	if h.outage || h.died { // a call that died on its way to the cloud is in no log
		f.Slack = 0
	}
	f.Died = h.died
	f.Topic = &invariant.Topic{Records: slices.Clone(h.broker.topic)}
	f.AtRest = invariant.Resting(f)
	for i := range f.Orders {
		f.Orders[i].AtRest = f.AtRest
	}
	return f
}

func topicRecord(offset int, m event.Message) invariant.Record {
	r := invariant.Record{Offset: int64(offset), Key: string(m.Key), Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, invariant.Header{Key: h.Key, Value: string(h.Value)})
	}
	return r
}
