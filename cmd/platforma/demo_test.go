package main_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// runDoctor runs `platforma doctor` on a running installation. It returns the output and whether every invariant
// holds.
func (d *dev) runDoctor() (output string, holds bool) {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), binary, "doctor", "--data", d.Data,
		"--patience", "20s").CombinedOutput()
	return string(out), err == nil
}

// addOrphan makes a resource in the cloud that has the installation's labels but belongs to no item.
func (d *dev) addOrphan(name string) {
	d.t.Helper()
	labels := map[string]string{
		"pf-inst": "somebody", "pf-item": "01a20571-0375-7013-b868-319e620f7851", "pf-step": "server", "pf-gen": "1",
	}
	for _, r := range d.ledger().Live {
		labels["pf-inst"] = r.Labels["pf-inst"]
	}
	httpPost(d.t, d.Sim+"/foreign", sim.Foreign{Name: name, Kind: "server", Region: "lj-1", Labels: labels})
}

func TestTheDemoEndsWellUntilAnOrphanIsInTheCloud(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	d := launch(t, nil, data, "demo", "--speed", "240")
	d.waitUp()
	waitUntil(t, 2*time.Minute, "the demo to be played", func() bool {
		return strings.Contains(d.output.String(), "Staying up at") || !d.running()
	})
	if !strings.Contains(d.output.String(), "demo complete") {
		t.Fatalf("the demo did not end well:\n%s", d.output)
	}
	t.Logf("demo: %s after the start", time.Since(d.started))
	if out, holds := d.runDoctor(); !holds {
		t.Errorf("doctor after the demo:\n%s", out)
	}
	d.addOrphan("left-behind")
	if out, holds := d.runDoctor(); holds || !strings.Contains(out, "left-behind") {
		t.Errorf("doctor does not name the orphan:\n%s", out)
	}
	d.interrupt()
	if !d.endsWithin(time.Minute) {
		t.Fatal("platforma does not end")
	}

	// This start is slower. The waits of the first one are checked by the speed that it had.
	once := launch(t, nil, data, "demo", "--once", "--speed", "120")
	if !once.endsWithin(3*time.Minute) || once.exitStatus() != 1 {
		t.Errorf("demo --once with an orphan: status %d, want 1:\n%s", once.exitStatus(), once.output)
	}
	for _, want := range []string{"did NOT end as expected", " 1 violations", "left-behind"} {
		if !strings.Contains(once.output.String(), want) {
			t.Errorf("demo --once does not say %q:\n%s", want, once.output)
		}
	}
	if got := serverPIDs(data); len(got) != 0 {
		t.Errorf("%d servers survive demo --once", len(got))
	}
}

func TestDemoOnceOnAnEmptyFolderEndsWell(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	once := launch(t, nil, data, "demo", "--once", "--speed", "240")
	if !once.endsWithin(3*time.Minute) || once.exitStatus() != 0 {
		t.Errorf("demo --once: status %d, want 0:\n%s", once.exitStatus(), once.output)
	}
	if !strings.Contains(once.output.String(), "demo complete") {
		t.Errorf("demo --once does not say so:\n%s", once.output)
	}
	t.Logf("demo --once: %s", time.Since(once.started))
	if got := serverPIDs(data); len(got) != 0 {
		t.Errorf("%d servers survive demo --once", len(got))
	}
}
