package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// This cloud does not require unique names: it would make a duplicate of every resource that is requested twice.
func TestAKilledProcessGoesOnWhereItWasAndMakesNothingTwice(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	d := startDev(t, data, "--speed", "200", "--naming", "none")
	t.Logf("first start: %s", d.Took)
	before := d.Tenants
	o := d.placePaidOrder(d.as("customer"), readTestdata(t, "six.json"))
	for _, resources := range []int{1, 4, 8} {
		waitUntil(t, time.Minute, "resources in the cloud", func() bool { return len(d.ledger().Live) >= resources })
		d.kill()
		if got := len(serverPIDs(data)); got != 2 {
			t.Errorf("%d servers survive the kill, want PostgreSQL and the cloud", got)
		}
		d = startDev(t, data, "--speed", "200", "--naming", "none")
		t.Logf("start after a kill at %d resources: %s", resources, d.Took)
		if state := d.as("customer").order(o.ID).State; state == "fulfilled" {
			t.Fatal("the order was fulfilled before the kill")
		}
	}
	o = d.as("customer").waitAtRest(o.ID, 2*time.Minute)
	t.Logf("at rest %s after the last start", time.Since(d.started))
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	d.wantResources(o)
	if diff := cmp.Diff(before, d.Tenants); diff != "" {
		t.Errorf("tenants and keys in dev.json (-first +last start):\n%s", diff)
	}
}

func TestAfterAKillOfEverythingTheOrderStillEndsRight(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	d := startDev(t, data, "--speed", "240")
	o := d.placePaidOrder(d.as("customer"), readTestdata(t, "six.json"))
	waitUntil(t, time.Minute, "resources in the cloud", func() bool { return len(d.ledger().Live) >= 3 })
	pids := serverPIDs(data)
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
	o = d.as("customer").waitAtRest(o.ID, 2*time.Minute)
	t.Logf("at rest %s after the start", time.Since(d.started))
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	d.wantResources(o)
}
