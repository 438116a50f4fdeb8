package main_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// reaches waits until a start has got so far that a file is there.
func (d *dev) reaches(pattern string) {
	d.t.Helper()
	until(d.t, ready, pattern, func() bool {
		if !d.running() {
			d.t.Fatalf("platforma ended before there was %s: %v\n%s", pattern, d.err, d.said)
		}
		found, err := filepath.Glob(filepath.Join(d.Data, pattern))
		return err == nil && len(found) > 0
	})
}

func TestAFirstStartThatIsKilledAgainAndAgainIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	data := folder(t)
	for _, stage := range []string{
		"postgres/data.half-*/PG_VERSION", "postgres/data.half-*/global", "postgres/data/postmaster.pid", "kafka/broker",
		"sim/sim.log", "sim/ledger", "sim/ledger.process", "seed.json",
	} {
		d := launch(t, nil, data, "dev", "--no-demo")
		d.reaches(stage)
		d.kill()
	}
	d := startDev(t, data)
	t.Logf("start after all: %s", d.Took)
	o := d.pays(d.as("customer"), file(t, "one.json"))
	if o = d.as("customer").follow(o.ID, time.Minute); o.State != "fulfilled" {
		t.Errorf("the order is %s, want fulfilled", o.State)
	}
	d.wantExactly(o)
}

func TestCtrlCDuringTheFirstStartEndsItAtOnceAndQuietly(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{"postgres/data.half-*", "kafka/broker", "sim/ledger"} {
		data := folder(t)
		d := launch(t, nil, data, "dev", "--no-demo")
		d.reaches(stage)
		d.interrupt()
		if !d.ends(time.Minute) || d.code() != 130 && d.code() != 0 {
			t.Errorf("interrupted at %s: status %d, want 130 (or 0 once it is up):\n%s", stage, d.code(), d.said)
		}
		if said := d.said.String(); strings.Contains(said, "level=ERROR") || strings.Contains(said, "initdb") ||
			strings.Count(said, "platforma: ") > 0 {
			t.Errorf("interrupted at %s it says:\n%s", stage, said)
		}
		if got := servers(data); len(got) != 0 {
			t.Errorf("interrupted at %s it leaves %d servers behind", stage, len(got))
		}
	}
}
