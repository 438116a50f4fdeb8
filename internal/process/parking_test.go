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

// parkedEvent is the dead letter of a parked event as the API shows it.
type parkedEvent struct {
	ID, Cause, State, Suggested string
	Tries                       int
	Event                       struct {
		Consumer, Type string
		Seq, Blocked   int
	}
}

func (r *rig) parkedEvents(base, state string) []parkedEvent {
	r.t.Helper()
	var page struct{ Data []parkedEvent }
	r.api(base, tenant.Operator, http.MethodGet, "/v1/dead-letters?cause=event-failed&state="+state, nil, &page)
	return page.Data
}

// A refund is requested, and billing cannot apply that event. The order's other consumers go on, the fallback
// refunds the money (D20), the desk shows the parked event, and a redrive through the API brings billing to
// the end of the order's events.
func TestAPoisonEventOfBillingIsOnTheDeskUntilItIsRedriven(t *testing.T) {
	t.Parallel()
	r := newRig(t, 100)
	r.config.Fallback = 2 * time.Second
	heal := r.db.Poison(t, "billing", "billing.refund-requested")
	r.sim.Script(sim.Fault{Label: "broken", Step: "server", Operation: sim.OpCreate, Kind: sim.Invalid})
	base := r.start()
	o, _ := r.placePaidOrder(base, vps("whole"), vps("broken"))
	o = r.waitAtRest(base, o.ID)
	if o.State != "fulfilled" || o.Outcome != "partial" || o.Settlement != "settled" || o.Items[1].State != "rolled_back" {
		t.Errorf("the order: %+v; want it fulfilled in part and settled, whatever billing does", o)
	}
	blocked, last := 0, 0
	for _, e := range r.apiEvents(base, o.ID) {
		switch e.Type {
		case "billing.refund-requested":
			blocked, last = 0, e.Seq
		case "order.service-delivered", "order.fulfilled", "billing.refund-accepted":
			blocked, last = blocked+1, e.Seq
		}
	}
	kafkatest.Eventually(t, "billing has parked the event and blocked the later ones", func() bool {
		open := r.parkedEvents(base, "open")
		return len(open) == 1 && open[0].Event.Blocked == blocked
	})
	deadLetter := r.parkedEvents(base, "parked")[0]
	if deadLetter.Event.Consumer != "billing" || deadLetter.Event.Type != "billing.refund-requested" ||
		deadLetter.Tries != 6 || deadLetter.Suggested != "redrive" {
		t.Errorf("the dead letter: %+v", deadLetter)
	}
	want := map[string]consumerFigures{"billing": {1, blocked}}
	if diff := cmp.Diff(want, r.consumerFigures(base)); diff != "" {
		t.Errorf("parked and blocked by consumer (-want +got):\n%s", diff)
	}
	kafkatest.Eventually(t, "the operators are notified of the dead letter", func() bool {
		return slices.ContainsFunc(r.inbox.Messages(), func(m embedded.Message) bool {
			return m.To[0] == "operator@alpha.example" && strings.Contains(m.Subject, "new dead letter")
		})
	})
	heal()
	r.api(base, tenant.Operator, http.MethodPost, "/v1/dead-letters/"+deadLetter.ID+"/redrive",
		map[string]any{"reason": "mended"}, nil)
	kafkatest.Eventually(t, "the dead letter is redriven", func() bool {
		return len(r.parkedEvents(base, "redriven")) == 1 && len(r.parkedEvents(base, "open")) == 0
	})
	var seq int
	if err := r.db.Super(t).QueryRow(t.Context(), `
		SELECT seq
		FROM inbox
		WHERE consumer = 'billing' AND order_id = $1 AND parked_seq IS NULL`,
		o.ID).Scan(&seq); err != nil || seq != last {
		t.Errorf("billing's checkpoint is event %d (%v), want %d", seq, err, last)
	}
	if diff := cmp.Diff(map[string]consumerFigures{}, r.consumerFigures(base)); diff != "" {
		t.Errorf("parked and blocked after the redrive (-want +got):\n%s", diff)
	}
	r.checkInvariants()
}

type consumerFigures struct{ Parked, Blocked int }

// consumerFigures returns what GET /v1/routing shows of each consumer that has parked or blocked events, by
// its name without that of the topic.
func (r *rig) consumerFigures(base string) map[string]consumerFigures {
	r.t.Helper()
	var routing struct {
		Consumers []struct {
			Name            string
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

// checkInvariants waits until the installation is at rest, and checks the invariants from outside.
func (r *rig) checkInvariants() {
	r.t.Helper()
	var f invariant.Facts
	kafkatest.Eventually(r.t, "the installation is at rest", func() bool {
		var err error
		f, err = facts.Collect(r.t.Context(), facts.Sources{
			AdminURL: r.db.OwnerURL(), Brokers: r.broker.Brokers, Topic: r.broker.Names.Events, SimURL: r.sim.URL,
			InboxURL: r.inbox.HTTPURL(), Speed: r.config.Clock.Speed(),
		})
		if err != nil {
			r.t.Fatalf("collect the facts of the installation: %v", err)
		}
		return invariant.Resting(f)
	})
	for _, result := range invariant.Examine(f) {
		for _, v := range result.Violations {
			r.t.Error(v)
		}
	}
}
