package process_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/facts"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// parked is a dead letter of an event as the desk tells it.
type parked struct {
	ID, Cause, State, Suggested string
	Tries                       int
	Event                       struct {
		Consumer, Type string
		Seq, Blocked      int
	}
}

func (r *rig) parked(base, state string) []parked {
	r.t.Helper()
	var page struct{ Data []parked }
	r.api(base, tenant.Operator, http.MethodGet, "/v1/dead-letters?cause=event-failed&state="+state, nil, &page)
	return page.Data
}

// The refund of an item is asked for, and billing cannot apply it: the order's other consumers go on, the
// money goes back by the fall-back (D20), the desk shows what is parked, and a redrive through the API takes
// billing to the end of the order's events.
func TestAPoisonEventOfBillingStandsOnTheDeskUntilItIsRedriven(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100)
	r.config.Fallback = 2 * time.Second
	heal := r.db.Poison(t, "billing", "billing.refund-requested")
	r.sim.Script(sim.Fault{Label: "broken", Part: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	base := r.start()
	o, _ := r.pays(base, vps("whole"), vps("broken"))
	o = r.follow(base, o.ID)
	if o.State != "fulfilled" || o.Outcome != "partial" || o.Settlement != "settled" || o.Items[1].State != "rolled_back" {
		t.Errorf("the order: %+v; want it fulfilled in part and settled, whatever billing does", o)
	}
	behind, last := 0, 0
	for _, e := range r.events(base, o.ID) {
		switch e.Type {
		case "billing.refund-requested":
			behind, last = 0, e.Seq
		case "order.service-delivered", "order.fulfilled", "billing.refund-accepted":
			behind, last = behind+1, e.Seq
		}
	}
	kafkatest.Eventually(t, "billing has parked the event, and holds those after it", func() bool {
		all := r.parked(base, "open")
		return len(all) == 1 && all[0].Event.Blocked == behind
	})
	letter := r.parked(base, "parked")[0]
	if letter.Event.Consumer != "billing" || letter.Event.Type != "billing.refund-requested" || letter.Tries != 6 ||
		letter.Suggested != "redrive" {
		t.Errorf("the letter: %+v", letter)
	}
	want := map[string]consumerFigures{"billing": {1, behind}}
	if diff := cmp.Diff(want, r.figures(base)); diff != "" {
		t.Errorf("parked and held by consumer (-want +got):\n%s", diff)
	}
	kafkatest.Eventually(t, "the operators are told of dead letters", func() bool {
		return slices.ContainsFunc(r.inbox.Messages(), func(m embedded.Message) bool {
			return m.To[0] == "operator@alpha.example" && strings.Contains(m.Subject, "new dead letter")
		})
	})
	heal()
	r.api(base, tenant.Operator, http.MethodPost, "/v1/dead-letters/"+letter.ID+"/redrive",
		map[string]any{"reason": "mended"}, nil)
	kafkatest.Eventually(t, "the letter is redriven", func() bool {
		return len(r.parked(base, "redriven")) == 1 && len(r.parked(base, "open")) == 0
	})
	var seq int
	if err := r.db.Super(t).QueryRow(t.Context(), `SELECT seq FROM inbox WHERE consumer = 'billing' AND order_id = $1
		AND parked_seq IS NULL`, o.ID).Scan(&seq); err != nil || seq != last {
		t.Errorf("billing has come to event %d (%v), want %d", seq, err, last)
	}
	if diff := cmp.Diff(map[string]consumerFigures{}, r.figures(base)); diff != "" {
		t.Errorf("parked and held once redriven (-want +got):\n%s", diff)
	}
	r.keepsItsPromises()
}

type consumerFigures struct{ Parked, Blocked int }

// figures are what GET /v1/routing tells of each consumer that has parked anything, by its name without the
// topic's.
func (r *rig) figures(base string) map[string]consumerFigures {
	r.t.Helper()
	var routing struct {
		Consumers []struct {
			Name         string
			Parked, Blocked int
		}
	}
	r.api(base, tenant.Operator, http.MethodGet, "/v1/routing", nil, &routing)
	got := map[string]consumerFigures{}
	for _, c := range routing.Consumers {
		if c.Parked+c.Blocked > 0 {
			got[c.Name[len(r.broker.Names.Events)+1:]] = consumerFigures{c.Parked, c.Blocked}
		}
	}
	return got
}

// keepsItsPromises waits until nothing is on its way, and looks at the whole from outside.
func (r *rig) keepsItsPromises() {
	r.t.Helper()
	var f invariant.Facts
	kafkatest.Eventually(r.t, "nothing is on its way", func() bool {
		var err error
		f, err = facts.Collect(r.t.Context(), facts.Sources{
			AdminURL: r.db.OwnerURL(), Brokers: r.broker.Brokers, Topic: r.broker.Names.Events, SimURL: r.sim.URL,
			InboxURL: r.inbox.HTTPURL(), Speed: r.config.Clock.Speed(),
		})
		if err != nil {
			r.t.Fatalf("look at the installation: %v", err)
		}
		return invariant.Resting(f)
	})
	for _, result := range invariant.Examine(f) {
		for _, v := range result.Violations {
			r.t.Error(v)
		}
	}
}
