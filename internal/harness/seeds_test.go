package harness_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/failpoint"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// These are the numbers of seeds that are played. PLATFORMA_SEED plays a single seed or a range.
const (
	seedsPerTest = 50
	seedsPerSoak = 1000
)

// Many faults happen at once. When they are over and an operator has redriven all dead letters, every order is settled
// and every invariant holds.
func TestEveryOrderSettlesAfterSeededFaults(t *testing.T) {
	t.Parallel()
	first, last := 1, seedsPerTest
	if soak() {
		last = seedsPerSoak
	}
	if s := os.Getenv("PLATFORMA_SEED"); s != "" {
		from, to, several := strings.Cut(s, "-")
		if !several {
			to = from
		}
		var err, err2 error
		first, err = strconv.Atoi(from)
		last, err2 = strconv.Atoi(to)
		if err != nil || err2 != nil || first < 1 {
			t.Fatalf("PLATFORMA_SEED is %q, want a number from 1, or two such as 51-100", s)
		}
	}
	for n := first; n <= last; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("repeat with: PLATFORMA_SEED=%d go test -count=1 -run SeededFaults ./internal/harness", n)
				}
			})
			f := drawPlan(uint32(n))
			t.Log(f)
			f.play(t)
		})
	}
}

// faultPlan is the order of a seed and the faults that happen to it.
type faultPlan struct {
	seed         uint32
	policy       string
	method       string
	naming       provider.Naming
	items        []app.ItemInput
	faults       []sim.Fault
	mails        []embedded.MailAnswer
	crashes      []failpoint.Moment
	cancel       int // after so many rounds; 0 is never
	outages      map[int]time.Duration
	cloudRestart int // after so many rounds; 0 is never
	faultsEnd    int // after so many rounds
	vanish       bool
}

// String describes the plan in one line.
func (f faultPlan) String() string {
	var items, faults []string
	for _, it := range f.items {
		items = append(items, it.Label)
	}
	for _, x := range f.faults {
		faults = append(faults, strings.TrimSpace(fmt.Sprintf("%s %s %s nth=%d times=%d rate=%g after=%g", x.Operation,
			x.Kind, x.Label, x.Nth, x.Times, x.Rate, x.AfterS)))
	}
	return fmt.Sprintf("seed %d: %s %s %s, items %v, faults %q, mails %v, crashes %v, cancel %d, outages %v, "+
		"cloud restart %d, faults end %d",
		f.seed, f.policy, f.method, f.naming, items, faults, f.mails, f.crashes, f.cancel, f.outages,
		f.cloudRestart, f.faultsEnd)
}

// faultsOf are the faults of the simulated cloud that a seed draws from, by operation.
var faultsOf = map[string][]string{
	sim.OpCreate: {
		sim.Refused, sim.Locked, sim.ErrorBefore, sim.Unavailable, sim.RateLimited, sim.RateLimitedBare,
		sim.Unauthorized, sim.Forbidden, sim.Timeout, sim.LostReply, sim.Malformed, sim.OverQuota, sim.Invalid,
		sim.NoCapacity, sim.Late, sim.Duplicate, sim.Stuck, sim.FailedBuild, sim.NoValidHost, sim.Vanish, sim.ListLag,
		sim.GetLag,
	},
	sim.OpDelete: {
		sim.Refused, sim.Locked, sim.ErrorBefore, sim.Unavailable, sim.RateLimited, sim.Unauthorized, sim.Forbidden,
		sim.Timeout, sim.LostReply, sim.Malformed, sim.Protected, sim.NotFound, sim.Late, sim.Stuck, sim.FailedBuild,
		sim.Orphan,
	},
	sim.OpObserve: {
		sim.Refused, sim.ErrorBefore, sim.Unavailable, sim.RateLimited, sim.Unauthorized, sim.Timeout,
		sim.LostReply, sim.Malformed, sim.NotFound,
	},
	sim.OpLook: {
		sim.Refused, sim.ErrorBefore, sim.Unavailable, sim.RateLimited, sim.Unauthorized, sim.Timeout,
		sim.LostReply, sim.Malformed, sim.NotFound,
	},
	sim.OpCredentials: {
		sim.Refused, sim.ErrorBefore, sim.RateLimited, sim.Unauthorized, sim.Forbidden, sim.Timeout,
		sim.LostReply, sim.Malformed, sim.PendingSecret, sim.Once,
	},
}

// operations are drawn from; creates and deletes come more often than reads.
var operations = []string{
	sim.OpCreate, sim.OpCreate, sim.OpCreate, sim.OpDelete, sim.OpDelete, sim.OpObserve, sim.OpLook, sim.OpCredentials,
}

// mailFaults are the answers of the mail server that do not keep a test waiting in real time.
var mailFaults = []embedded.MailAnswer{
	embedded.MailTryLater, embedded.MailGreylisted, embedded.MailRejected, embedded.MailNoSuchUser,
	embedded.MailTLSRefused, embedded.MailAnswerLost, embedded.MailDroppedFirst, embedded.MailAccepted,
}

func drawPlan(seed uint32) faultPlan {
	r := rand.New(rand.NewPCG(uint64(seed), 2026))
	f := faultPlan{
		seed: seed, policy: pick(r, []string{"per_item", "all_or_nothing"}),
		method:  pick(r, []string{"demo", "demo", "manual"}),
		naming:  pick(r, []provider.Naming{provider.NamingNone, provider.NamingUnique409, provider.NamingUpsert}),
		outages: map[int]time.Duration{},
	}
	for n := range 1 + r.IntN(4) {
		it := pick(r, harness.Products())
		f.items = append(f.items, harness.Labelled(it, fmt.Sprintf("%s-%d", it.Product, n+1)))
	}
	for range r.IntN(6) {
		x := sim.Fault{Operation: pick(r, operations), Nth: r.IntN(4), Times: 1 + r.IntN(4)}
		x.Kind = pick(r, faultsOf[x.Operation])
		if r.IntN(2) == 0 {
			x.Label = pick(r, f.items).Label
		}
		if r.IntN(4) == 0 {
			x.Nth, x.Times, x.Rate = 0, 0, 0.1+0.8*r.Float64()
		}
		if r.IntN(3) == 0 {
			x.AfterS = float64(1 + r.IntN(1200))
		}
		f.vanish = f.vanish || x.Kind == sim.Vanish
		f.faults = append(f.faults, x)
	}
	for range max(0, r.IntN(8)-4) {
		f.mails = append(f.mails, pick(r, mailFaults))
	}
	for range r.IntN(4) {
		f.crashes = append(f.crashes, failpoint.Moment{
			Point: pick(r, failpoint.Points()), Side: pick(r, failpoint.Sides()), Nth: 1 + r.IntN(3),
		})
	}
	if r.IntN(3) == 0 {
		f.cancel = 1 + r.IntN(60)
	}
	for range r.IntN(3) {
		f.outages[r.IntN(80)] = time.Duration(1+r.IntN(900)) * time.Second
	}
	if r.IntN(4) == 0 {
		f.cloudRestart = 1 + r.IntN(60)
	}
	f.faultsEnd = 40 + r.IntN(160)
	return f
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (f faultPlan) play(t *testing.T) {
	t.Helper()
	fp := failpoint.NewFailpoint(func(failpoint.Moment) { panic(harness.Crash{}) })
	h := harness.New(t, harness.WithSeed(f.seed), harness.WithGateway(), harness.WithFailpoints(fp),
		harness.WithSlowPolling(), harness.WithSim(func(c *sim.ServerConfig) {
			c.Naming, c.Speed, c.Seed = f.naming, 60, int64(f.seed)
		}))
	for _, x := range f.faults {
		h.Sim.Script(x)
	}
	h.Inbox.Script(f.mails...)
	fp.Set(f.crashes...)
	o := h.MustSubmit(f.policy, f.method, f.items...)
	if f.method == "manual" {
		h.RestartOnCrash(func() { h.Pay(h.Order(o)) })
		if agg := h.Order(o); agg.Order.State == order.PendingPayment {
			h.Pay(agg)
		}
	}
	for round := 1; round <= f.faultsEnd; round++ {
		if d := f.outages[round]; d > 0 {
			h.Outage(d)
		}
		if round == f.cloudRestart {
			h.Sim.Restart()
		}
		if round == f.cancel {
			h.TryCancel(o)
		}
		if !h.DrainOnce() {
			break
		}
	}
	h.Sim.ClearFaults()
	fired := fp.Fired()
	fp.Set()
	drainLong(t, h, o)
	redriveAll(t, h)
	found := h.RunReaper()
	t.Logf("%d deaths; %s", fired, h.Summary(o))
	if agg := h.Order(o); agg.Order.Settlement != order.SettlementSettled && (agg.Order.State != order.PendingPayment) {
		t.Errorf("the faults are over and the order is not settled: %s", h.Summary(o))
	}
	except := []string{}
	if f.vanish { // a resource that vanished at the cloud is an alarm for a person and is never replaced
		except = append(except, "I10")
	}
	if slices.ContainsFunc(found, func(x app.Finding) bool { return x.Kind == app.Unknown }) {
		t.Errorf("resources of no item: %+v", found)
	}
	h.CheckInvariants(except...)
}

// redriveAll redrives all dead letters until none is left.
func redriveAll(t *testing.T, h *harness.Harness) {
	t.Helper()
	for range 5 {
		page, err := h.UseCases.API.DeadLetters(t.Context(), h.As(tenant.Operator), app.DeadLetterFilter{Limit: 100})
		if err != nil {
			t.Fatalf("DeadLetters: %v", err)
		}
		tried := 0
		for _, dl := range page.Data {
			if dl.State != app.DeadLetterOpen {
				continue
			}
			if _, err := h.UseCases.API.RedriveDeadLetter(t.Context(), h.As(tenant.Operator), dl.ID,
				"the faults are over"); err == nil {
				tried++
			}
		}
		if tried == 0 {
			return
		}
		drainLong(t, h)
	}
}

// drainLong is Drain for orders that wait long. A build that never ends fails only at its deadline, which is days away
// for a private cloud.
func drainLong(t *testing.T, h *harness.Harness, orders ...order.ID) {
	t.Helper()
	for pause := time.Hour; pause < 30*24*time.Hour; pause *= 2 {
		for range 300 {
			if !h.DrainOnce() {
				return
			}
		}
		h.Outage(pause)
	}
	h.Drain(orders...)
}
