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

// CheckWorld looks at the world from outside, through the checker's own readers, and fails the test
// for every promise it finds broken. Of a world in which something is still on its way only what
// always holds is asked. A test that breaks a promise on purpose, such as an adapter that calls twice,
// names it.
func (w *Harness) CheckWorld(except ...string) {
	w.t.Helper()
	for _, r := range invariant.Examine(w.facts()) {
		if slices.Contains(except, r.Invariant) {
			continue
		}
		for _, v := range r.Violations {
			w.t.Error(v)
		}
	}
}

func (w *Harness) facts() invariant.Facts {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	f, err := facts.Collect(ctx, facts.Sources{
		AdminURL: w.DB.OwnerURL(), SimURL: w.Sim.URL, InboxURL: w.Inbox.HTTPURL(),
		Slack: 2 * time.Second, // the clock moves only when told, but to what is due next of all work
	})
	if err != nil {
		w.t.Fatalf("look at the world: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	if w.paused || w.died { // an attempt that died on its way to the cloud is in no log
		f.Slack = 0
	}
	f.Died = w.died
	f.Topic = &invariant.Topic{Records: slices.Clone(w.broker.topic)}
	f.AtRest = invariant.Resting(f)
	for i := range f.Orders {
		f.Orders[i].AtRest = f.AtRest
	}
	return f
}

func recordOf(offset int, m event.Message) invariant.Record {
	r := invariant.Record{Offset: int64(offset), Key: string(m.Key), Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, invariant.Header{Key: h.Key, Value: string(h.Value)})
	}
	return r
}
