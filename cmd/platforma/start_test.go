package main_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// waitForFile waits until a start has made a file that matches the pattern.
func (d *dev) waitForFile(pattern string) {
	d.t.Helper()
	waitUntil(d.t, startTimeout, pattern, func() bool {
		if !d.running() {
			d.t.Fatalf("platforma ended before it made %s: %v\n%s", pattern, d.err, d.output)
		}
		found, err := filepath.Glob(filepath.Join(d.Data, pattern))
		return err == nil && len(found) > 0
	})
}

func TestAFirstStartThatIsKilledAgainAndAgainIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	for _, stage := range []string{
		"postgres/data.half-*/PG_VERSION", "postgres/data.half-*/global", "postgres/data/postmaster.pid", "kafka/broker",
		"sim/sim.log", "sim/ledger", "sim/ledger.process", "seed.json",
	} {
		d := launch(t, nil, data, "dev", "--no-demo")
		d.waitForFile(stage)
		d.kill()
	}
	d := startDev(t, data)
	t.Logf("start after all kills: %s", d.Took)
	o := d.placePaidOrder(d.as("customer"), readTestdata(t, "one.json"))
	if o = d.as("customer").waitAtRest(o.ID, time.Minute); o.State != "fulfilled" {
		t.Errorf("the order is %s, want fulfilled", o.State)
	}
	d.wantResources(o)
}

func TestCtrlCDuringTheFirstStartEndsItAtOnceAndQuietly(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"postgres/data.half-*", "kafka/broker", "sim/ledger"} {
		data := dataFolder(t)
		d := launch(t, nil, data, "dev", "--no-demo")
		d.waitForFile(stage)
		d.interrupt()
		if !d.endsWithin(time.Minute) || d.exitStatus() != 130 && d.exitStatus() != 0 {
			t.Errorf("interrupted at %s: status %d, want 130 (or 0 once it is up):\n%s", stage, d.exitStatus(), d.output)
		}
		if out := d.output.String(); strings.Contains(out, "level=ERROR") || strings.Contains(out, "initdb") ||
			strings.Contains(out, "platforma: ") {
			t.Errorf("interrupted at %s it prints:\n%s", stage, out)
		}
		if got := serverPIDs(data); len(got) != 0 {
			t.Errorf("interrupted at %s it leaves %d servers behind", stage, len(got))
		}
	}
}
