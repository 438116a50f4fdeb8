package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The names of this cloud are not unique: it would make a duplicate of every resource that is asked for
// twice.
func TestAKilledProcessGoesOnWhereItWasAndMakesNothingTwice(t *testing.T) {
	t.Parallel()
	data := folder(t)
	d := startDev(t, data, "--speed", "200", "--naming", "none")
	t.Logf("first start: %s", d.Took)
	before := d.Tenants
	o := d.pays(d.as("customer"), file(t, "six.json"))
	for _, made := range []int{1, 4, 8} {
		until(t, time.Minute, "resources in the cloud", func() bool { return len(d.ledger().Live) >= made })
		d.kill()
		if got := len(servers(data)); got != 2 {
			t.Errorf("%d servers outlive the kill, want PostgreSQL and the cloud", got)
		}
		d = startDev(t, data, "--speed", "200", "--naming", "none")
		t.Logf("start after a kill at %d resources: %s", made, d.Took)
		if state := d.as("customer").order(o.ID).State; state == "fulfilled" {
			t.Fatal("the order was over before the kill")
		}
	}
	o = d.as("customer").follow(o.ID, 2*time.Minute)
	t.Logf("at rest %s after the last start", time.Since(d.begun))
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	d.wantExactly(o)
	if diff := cmp.Diff(before, d.Tenants); diff != "" {
		t.Errorf("tenants and keys in dev.json (-first +last start):\n%s", diff)
	}
}

func TestAfterAKillOfEverythingTheOrderStillEndsRight(t *testing.T) {
	t.Parallel()
	data := folder(t)
	d := startDev(t, data, "--speed", "240")
	o := d.pays(d.as("customer"), file(t, "six.json"))
	until(t, time.Minute, "resources in the cloud", func() bool { return len(d.ledger().Live) >= 3 })
	pids := servers(data)
	if len(pids) != 2 {
		t.Fatalf("%d servers run, want PostgreSQL and the cloud", len(pids))
	}
	d.kill()
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %d: %v", pid, err)
		}
	}
	d = startDev(t, data, "--speed", "240")
	t.Logf("start after a kill of everything: %s", d.Took)
	o = d.as("customer").follow(o.ID, 2*time.Minute)
	t.Logf("at rest %s after the start", time.Since(d.begun))
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	d.wantExactly(o)
}
