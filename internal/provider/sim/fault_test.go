package sim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

func TestFaultActsFromTheNthCallOnAndAsOftenAsItSays(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	b.Script(sim.Fault{Product: "vps", Operation: sim.OpCreate, Kind: sim.Refused, Nth: 2, Times: 2})
	var got []fault.Class
	for _, item := range []string{"a", "b", "c", "d"} {
		_, err := b.p.Create(t.Context(), b.steps(vps(), item)[0], nil)
		got = append(got, provider.ClassOf(err))
		if item == "b" {
			b.Restart() // the counts are in the ledger
		}
	}
	if diff := cmp.Diff([]fault.Class{fault.None, fault.Retryable, fault.Retryable, fault.None}, got); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
}

func TestFaultMatchesItemLabelProductAndStep(t *testing.T) {
	t.Parallel()
	match := []sim.Fault{{Item: "item-a"}, {Label: "vps-1"}, {Product: "vps"}, {Step: "port"}, {}}
	miss := []sim.Fault{{Item: "item-b"}, {Label: "vps-2"}, {Product: "gpu"}, {Step: "server"}}
	for i, f := range append(match, miss...) {
		b := newTestCloud(t, nil)
		f.Kind = sim.Forbidden
		for _, operation := range []string{sim.OpCreate, sim.OpObserve, sim.OpDelete} {
			f.Operation = operation
			b.Script(f)
		}
		want := fault.Forbidden
		if i >= len(match) {
			want = fault.None
		}
		step := b.steps(vps(), "item-a")[0]
		_, created := b.p.Create(t.Context(), step, nil)
		_, seen := b.p.Observe(t.Context(), step, "")
		for _, err := range []error{
			created, seen, b.p.Delete(t.Context(), step, ""), b.p.Delete(t.Context(), step, "port-1"),
		} {
			if got := provider.ClassOf(err); got != want {
				t.Errorf("%+v: class %s, want %s", f, got, want)
			}
		}
	}
}

func TestFaultsByRateAreRepeatable(t *testing.T) {
	t.Parallel()
	run := func(seed int64) (outcome string) {
		b := newTestCloud(t, func(c *sim.ServerConfig) { c.Seed = seed })
		b.Script(sim.Fault{Operation: sim.OpObserve, Kind: sim.ErrorBefore, Rate: 0.5})
		step := b.steps(vps(), "item")[0]
		for range 64 {
			if _, err := b.p.Observe(t.Context(), step, ""); err != nil {
				outcome += "x"
				continue
			}
			outcome += "."
		}
		return outcome
	}
	first := run(7)
	if again := run(7); again != first {
		t.Errorf("the same seed caused\n%s and\n%s", first, again)
	}
	if other := run(8); other == first {
		t.Errorf("another seed caused the same faults %s", other)
	}
	if n := strings.Count(first, "x"); n < 16 || n > 48 {
		t.Errorf("%d of 64 calls failed at rate 0.5", n)
	}
}

func TestReaperWalksAllPages(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	for i := range 503 { // a page holds 500
		labels := map[string]string{"pf-inst": "inst", "pf-item": fmt.Sprint(i), "pf-step": "port", "pf-gen": "1"}
		b.Plant(sim.Foreign{Name: fmt.Sprintf("port-of-%d", i), Kind: "port", Region: "lj-1", Labels: labels})
	}
	items := map[string]bool{}
	for o, err := range b.p.ListOwned(t.Context(), provider.Scope{Installation: "inst"}) {
		if err != nil {
			t.Fatal(err)
		}
		items[o.Key.Item] = true
	}
	if len(items) != 503 {
		t.Errorf("ListOwned walked %d items, want 503", len(items))
	}
	b.Script(sim.Fault{Operation: sim.OpList, Kind: sim.Unauthorized})
	for o, err := range b.p.ListOwned(t.Context(), provider.Scope{Installation: "inst"}) {
		if provider.ClassOf(err) != fault.Suspended {
			t.Errorf("ListOwned with a refused login = %+v, %v", o, err)
		}
	}
}

func TestInvalidFaultsAreRefused(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	for _, body := range []string{
		`{"operation":"create","fault":"orphan"}`, `{"operation":"make","fault":"error"}`, `{"operation":"create"}`,
		`{"operation":"create","fault":"error","times":-1}`, `{"operation":"create","fault":"error","whom":"x"}`, `{`,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/faults", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Error(err)
		}
		if answer.StatusCode != http.StatusUnprocessableEntity && answer.StatusCode != http.StatusBadRequest {
			t.Errorf("POST /faults %s = %d", body, answer.StatusCode)
		}
	}
}

func TestLateCreateTakesEffectAfterItsCallerGaveUp(t *testing.T) {
	t.Parallel()
	for naming, wantLive := range map[provider.Naming]int{
		provider.NamingNone: 2, provider.NamingUnique409: 1, provider.NamingUpsert: 1,
	} {
		b := newTestCloud(t, withNaming(naming))
		b.Script(sim.Fault{Operation: sim.OpCreate, Kind: sim.Late, Times: 1, AfterS: 20})
		lost, repeated := b.steps(vps(), "lost")[0], b.steps(vps(), "repeated")[0]
		if _, err := b.p.Create(t.Context(), lost, nil); provider.ClassOf(err) != fault.Ambiguous {
			t.Fatalf("%s: Create = %v, want class ambiguous", naming, err)
		}
		b.Advance(19 * time.Second)
		b.wantPhase(lost, "", provider.Absent)
		b.Restart()
		b.Advance(time.Second)
		if o := b.wantPhase(lost, "", provider.Pending); len(o.Matches) != 1 {
			t.Errorf("%s: late create made %q", naming, o.Matches)
		}

		b.Script(sim.Fault{Operation: sim.OpCreate, Kind: sim.Late, Times: 1, AfterS: 20, Item: "repeated"})
		if _, err := b.p.Create(t.Context(), repeated, nil); provider.ClassOf(err) != fault.Ambiguous {
			t.Fatalf("%s: Create = %v, want class ambiguous", naming, err)
		}
		b.create(repeated) // too early: that a read finds nothing proves nothing
		b.Advance(time.Minute)
		if o := b.observe(repeated, ""); len(o.Matches) != wantLive {
			t.Errorf("%s: a create repeated too early left %q, want %d", naming, o.Matches, wantLive)
		}
	}
}

func TestDuplicateIsMadeOnlyWhereNamesAreNotUnique(t *testing.T) {
	t.Parallel()
	for naming, want := range map[provider.Naming]int{
		provider.NamingNone: 2, provider.NamingUnique409: 1, provider.NamingUpsert: 1,
	} {
		b := newTestCloud(t, withNaming(naming))
		b.Script(sim.Fault{Operation: sim.OpCreate, Kind: sim.Duplicate})
		step := b.steps(vps(), "item")[0]
		first := b.create(step)
		if o := b.observe(step, ""); len(o.Matches) != want || o.Matches[0] != first {
			t.Errorf("%s: matches %q after %q, want %d", naming, o.Matches, first, want)
		}
	}
}

func TestResourceReachesThePhaseOfItsFault(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, c := range []struct {
		kind  string
		after time.Duration
		want  provider.Phase
		class fault.Class
	}{
		{kind: sim.Stuck, after: 30 * day, want: provider.Pending},
		{kind: sim.FailedBuild, after: time.Hour, want: provider.Failed, class: fault.Retryable},
		{kind: sim.NoValidHost, after: 3 * time.Second, want: provider.Failed, class: fault.Capacity},
		{kind: sim.Vanish, after: day, want: provider.Absent},
	} {
		b := newTestCloud(t, nil)
		b.Script(sim.Fault{Operation: sim.OpCreate, Kind: c.kind})
		step := b.steps(vps(), "item")[0]
		r := b.create(step)
		b.wantPhase(step, r, provider.Pending)
		b.Advance(c.after)
		b.Restart()
		o := b.wantPhase(step, r, c.want)
		if c.want == provider.Failed && (o.Fault == nil || o.Fault.Class != c.class) {
			t.Errorf("%s: fault %v, want class %s", c.kind, o.Fault, c.class)
		}
		if err := b.p.Delete(t.Context(), step, r); err != nil {
			t.Errorf("%s: Delete = %v", c.kind, err)
		}
		b.Advance(time.Hour)
		if live := b.Live(); len(live) != 0 {
			t.Errorf("%s: after the delete there are still %+v", c.kind, live)
		}
	}
}

func TestListsAndReadsByIDLagSeparately(t *testing.T) {
	t.Parallel()
	for kind, hidden := range map[string]bool{sim.ListLag: false, sim.GetLag: true} {
		b := newTestCloud(t, nil)
		b.Script(sim.Fault{Operation: sim.OpCreate, Kind: kind, AfterS: 30})
		step := b.steps(vps(), "item")[0]
		r := b.create(step)
		b.Advance(29 * time.Second)
		byID, byKey := b.observe(step, r).Phase == provider.Absent, b.observe(step, "").Phase == provider.Absent
		if byID != hidden || byKey == hidden {
			t.Errorf("%s: absent by id %t, by key %t", kind, byID, byKey)
		}
		b.Advance(time.Second)
		b.wantPhase(step, r, provider.Ready)
		b.wantPhase(step, "", provider.Ready)
	}
}

func TestDeleteReachesThePhaseOfItsFault(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]provider.Phase{sim.Stuck: provider.Deleting, sim.FailedBuild: provider.Failed} {
		b := newTestCloud(t, nil)
		b.Script(sim.Fault{Operation: sim.OpDelete, Kind: kind, Times: 1})
		steps, refs := b.build(vps(), "item")
		for _, phase := range []provider.Phase{want, provider.Absent} { // the second delete succeeds
			if err := b.p.Delete(t.Context(), steps[1], refs[1]); err != nil {
				t.Fatalf("%s: Delete = %v", kind, err)
			}
			b.wantPhase(steps[1], refs[1], provider.Deleting)
			b.Advance(24 * time.Hour)
			b.Restart()
			b.wantPhase(steps[1], refs[1], phase)
		}
	}
}

func TestOrphanRemainsAndIsFoundByKey(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	b.Script(sim.Fault{Operation: sim.OpDelete, Kind: sim.Orphan, Times: 1})
	step := b.steps(vps(), "item")[0]
	r := b.create(step)
	if err := b.p.Delete(t.Context(), step, r); err != nil {
		t.Fatal(err)
	}
	b.wantPhase(step, r, provider.Deleting)
	b.Advance(time.Hour)
	b.Restart()
	b.wantPhase(step, r, provider.Absent)
	child := b.observe(step, "").Matches
	if len(child) != 1 || child[0] == r {
		t.Fatalf("found by key %q, want one child", child)
	}
	if fresh := b.create(step); fresh == child[0] {
		t.Errorf("Create adopted the child %q", fresh)
	}
	if err := b.p.Delete(t.Context(), step, ""); err != nil {
		t.Fatal(err)
	}
	b.Advance(time.Hour)
	if live := b.Live(); len(live) != 0 {
		t.Errorf("after the delete by key there are still %+v", live)
	}
}

func TestDeleteThatTimesOutTakesEffectLater(t *testing.T) {
	t.Parallel()
	b := newTestCloud(t, nil)
	b.Script(sim.Fault{Operation: sim.OpDelete, Kind: sim.Late, Times: 1})
	step := b.steps(vps(), "item")[0]
	r := b.create(step)
	if err := b.p.Delete(t.Context(), step, r); provider.ClassOf(err) != fault.Ambiguous {
		t.Errorf("Delete = %v, want class ambiguous", err)
	}
	b.wantPhase(step, r, provider.Deleting)
	b.Advance(time.Minute)
	b.wantPhase(step, r, provider.Absent)
}
