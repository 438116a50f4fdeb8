package process_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// With the fallback an hour away, only the payment's event can start anything (D20).
func TestThePaymentsEventStartsProvisioningWithinSecondsAndIsNamedAsItsCause(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.config.Fallback = time.Hour
	base := r.start()
	o, confirmed := r.placePaidOrder(base, vps("caused"))
	o = r.waitAtRest(base, o.ID)
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	all := r.apiEvents(base, o.ID)
	topic := r.topicEvents(o.ID, len(all))
	var payment event.ID
	causes := map[event.Type]event.ID{}
	for _, ev := range topic {
		switch ev.Type {
		case order.EvPaymentConfirmed:
			payment = ev.ID
		case order.EvValidating, order.EvProvisioningStarted:
			causes[ev.Type] = ev.Causation
			delay := ev.At.Sub(confirmed)
			t.Logf("%s came %s after the payment", ev.Type, delay)
			if delay > time.Minute {
				t.Errorf("%s came %s after the payment, want it long before the hour of the fallback", ev.Type, delay)
			}
		}
	}
	want := map[event.Type]event.ID{order.EvValidating: payment, order.EvProvisioningStarted: payment}
	if diff := cmp.Diff(want, causes); diff != "" || payment.IsZero() {
		t.Errorf("causes (-want the payment's event +got):\n%s", diff)
	}
	wantSameEvents(t, all, topic)
}

// With the next poll an hour away, only commits can wake relay and feeder.
func TestCommitsWakeTheRelayAndTheWorkers(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.config.Fallback, r.config.Poll = time.Hour, time.Hour
	base := r.start()
	o, _ := r.placePaidOrder(base, vps("woken"))
	if o = r.waitAtRest(base, o.ID); o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
}

// wantSameEvents requires each event of the API exactly once on the topic, in the same order.
func wantSameEvents(t *testing.T, api []apiEvent, topic []event.Event) {
	t.Helper()
	var want, got []string
	for i, e := range api {
		want = append(want, fmt.Sprintf("%d %s %s", i+1, e.ID, e.Type))
	}
	for _, e := range topic {
		got = append(got, fmt.Sprintf("%d %s %s", e.Seq, e.ID, e.Type))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-API +topic):\n%s", diff)
	}
}

// calls returns the cloud's own log of an operation on one step of an item.
func (r *rig) calls(operation, item, step string) []sim.Call {
	r.t.Helper()
	return slices.DeleteFunc(r.sim.Calls(operation, item), func(c sim.Call) bool { return c.Step != step })
}

// The waits of D5 are 2, 4, 8, 16 and 30 s, plus a jitter of at most a tenth; at ten times the speed they are
// a tenth of that. The test measures them in the cloud's own log. No wait may be shorter. How much longer one
// is depends on the machine, so it is only printed: a test of internal/app, whose clock does not run by
// itself, checks the jitter. The process is stopped once while it builds and once while it compensates, and
// another goes on.
//
// The test measures time, so it does not run in parallel with others of the package.
func TestAFailingStepIsCalledSixTimesAtItsTimesWhenBuiltAndWhenCompensatedAcrossRestarts(t *testing.T) {
	const speed = 10
	r := newRig(t, speed)
	r.sim.Script(sim.Fault{Label: "broken", Step: "server", Operation: sim.OpCreate, Kind: sim.Refused})
	r.sim.Script(sim.Fault{Label: "broken", Step: "port", Operation: sim.OpDelete, Kind: sim.Refused})
	base, stop := r.run()
	o, _ := r.placePaidOrder(base, vps("whole"), vps("broken"))
	broken := o.Items[1].ID
	failing := []struct{ operation, step string }{{sim.OpCreate, "server"}, {sim.OpDelete, "port"}}
	for _, f := range failing {
		const before = 4 // another process can start within the wait after the fourth call
		kafkatest.Eventually(t, "four calls of "+f.operation, func() bool {
			return len(r.calls(f.operation, broken, f.step)) >= before
		})
		stop()
		base, stop = r.run()
		kafkatest.Eventually(t, "six calls of "+f.operation, func() bool {
			return len(r.calls(f.operation, broken, f.step)) >= 6
		})
	}
	o = r.waitAtRest(base, o.ID)
	if o.Settlement != "stuck" || o.Items[0].State != "delivered" || o.Items[1].State != "stuck" {
		t.Errorf("the order: %+v; want the first item delivered, the clean-up of the second stuck", o)
	}
	for _, f := range failing {
		calls := r.calls(f.operation, broken, f.step)
		if len(calls) != 6 {
			t.Fatalf("%d calls of %s, want 6", len(calls), f.operation)
		}
		for i, seconds := range []int{2, 4, 8, 16, 30} {
			least := time.Duration(seconds) * time.Second / speed
			most := least*11/10 + time.Minute // a busy machine, or a new leader of the queue, which takes up to 15 s
			got := calls[i+1].At.Sub(calls[i].At)
			t.Logf("%s: retry %d after %s, %.0f %% over", f.operation, i+1, got, 100*(got.Seconds()/least.Seconds()-1))
			if got < least || got > most {
				t.Errorf("%s: retry %d came after %s, want %s to %s", f.operation, i+1, got, least, most)
			}
		}
	}
}

func TestOrdersGoOnWhileTheBrokerIsAwayAndEachEventFollowsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	r.config.Fallback = 2 * time.Second
	broker := r.broker.NeedEmbedded(t)
	base := r.start()
	before, _ := r.placePaidOrder(base, vps("before"))
	r.waitAtRest(base, before.ID)

	if err := broker.StopBroker(); err != nil {
		t.Fatal(err)
	}
	during, confirmed := r.placePaidOrder(base, vps("during"))
	during = r.waitAtRest(base, during.ID)
	t.Logf("without a broker at rest after %s", time.Since(confirmed))
	if during.State != "fulfilled" || during.Outcome != "full" {
		t.Errorf("without a broker the order is %s, outcome %s; want fulfilled, full", during.State, during.Outcome)
	}
	if err := broker.StartBroker(); err != nil {
		t.Fatal(err)
	}
	brokerBack := time.Now()
	after, _ := r.placePaidOrder(base, vps("after"))
	after = r.waitAtRest(base, after.ID)
	for _, o := range []orderView{before, during, after} {
		all := r.apiEvents(base, o.ID)
		if len(all) < 8 {
			t.Errorf("order %s has %d events only", o.ID, len(all))
		}
		wantSameEvents(t, all, r.topicEvents(o.ID, len(all)))
	}
	t.Logf("all events on the topic within %s of the broker's return", time.Since(brokerBack))
}

func TestAnOrderGoesThroughProcessesThatEachTakeAPartOfTheWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	base := r.start(process.API, process.Portal)
	r.start(process.Worker)
	r.start(process.Worker, process.Provision, process.Billing, process.Notify, process.Live)
	r.start(process.Relay, process.Audit)
	r.sim.Script(sim.Fault{Label: "broken", Operation: sim.OpCreate, Kind: sim.Invalid})
	o, _ := r.placePaidOrder(base, vps("first"), vps("second"), vps("broken"))
	o = r.waitAtRest(base, o.ID)
	if o.State != "fulfilled" || o.Outcome != "partial" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, partial", o.State, o.Outcome)
	}
	if live := len(r.sim.Live()); live != 4 {
		t.Errorf("%d resources live, want the port and server of two", live)
	}
	all := r.apiEvents(base, o.ID)
	wantSameEvents(t, all, r.topicEvents(o.ID, len(all)))
	kafkatest.Eventually(t, "the process with the API knows what the others' consumers did", func() bool {
		var routing struct {
			Consumers []struct {
				Name    string
				Applied int
			}
		}
		r.api(base, tenant.Operator, http.MethodGet, "/v1/routing", nil, &routing)
		seen := 0
		for _, c := range routing.Consumers {
			if strings.HasSuffix(c.Name, "audit") && c.Applied == len(all) ||
				strings.HasSuffix(c.Name, "provision") && c.Applied > 0 {
				seen++
			}
		}
		return seen == 2
	})
}

func TestAProcessThatRelaysIsDegradedWhileTheBrokerIsAwayAndStillServes(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	broker := r.broker.NeedEmbedded(t)
	base := r.start(process.API)
	relay := r.start(process.Relay)
	ready := func(at string) (status string) {
		t.Helper()
		var answer struct{ Status string }
		r.api(at, tenant.Customer, http.MethodGet, "/readyz", nil, &answer)
		return answer.Status
	}
	r.placePaidOrder(base, vps("before"))
	kafkatest.Eventually(t, "the relay is ready", func() bool { return ready(relay) == "ready" })
	if err := broker.StopBroker(); err != nil {
		t.Fatal(err)
	}
	r.placePaidOrder(base, vps("during"))
	kafkatest.Eventually(t, "the relay is degraded", func() bool { return ready(relay) == "degraded" })
	if got := ready(base); got != "ready" {
		t.Errorf("the API without a relay is %s while the broker is away, want ready", got)
	}
	if err := broker.StartBroker(); err != nil {
		t.Fatal(err)
	}
	kafkatest.Eventually(t, "the relay is ready again", func() bool { return ready(relay) == "ready" })
}

// The Audit consumer runs as it is deployed: in a process with no other role.
func TestAnAuditProcessRecordsEveryEventAndLogsItsHeads(t *testing.T) {
	t.Parallel()
	r := newRig(t, 10)
	base := r.start(process.API, process.Worker, process.Relay, process.Provision, process.Billing,
		process.Notify, process.Live)
	r.start(process.Audit)
	o, _ := r.placePaidOrder(base, vps("audited"))
	r.waitAtRest(base, o.ID)
	log, n := r.db.Audit(t), int64(0)
	kafkatest.Eventually(t, "the audit log has every event", func() bool {
		n = int64(len(r.apiEvents(base, o.ID)))
		heads, err := log.Heads(t.Context())
		return err == nil && len(heads) == 1 && heads[0].N == n
	})
	r.start(process.Audit) // it logs the heads when it starts, and then once a day
	heads, err := log.Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`msg="audit head" tenant=%s n=%d hash=%s`, r.tenant.ID, n, heads[0].Hash)
	kafkatest.Eventually(t, "the head is logged", func() bool { return strings.Contains(r.logs.String(), line) })
	if found, err := log.Findings(t.Context(), r.tenant.ID, time.Time{}); err != nil || len(found) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	if n := strings.Count(r.logs.String(), "audit finding"); n > 0 {
		t.Errorf("%d findings in the log:\n%s", n, r.logs)
	}
}
