package main_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// doctor runs `platforma doctor` on a running installation and gives what it said and whether it
// found all well.
func (d *dev) doctor() (said string, well bool) {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), binary, "doctor", "--data", d.Data,
		"--patience", "20s").CombinedOutput()
	return string(out), err == nil
}

// plant puts a resource into the cloud that carries the installation's labels, but that no item has.
func (d *dev) plant(name string) {
	d.t.Helper()
	labels := map[string]string{
		"pf-inst": "somebody", "pf-item": "01a20571-0375-7013-b868-319e620f7851", "pf-step": "server", "pf-gen": "1",
	}
	for _, r := range d.ledger().Live {
		labels["pf-inst"] = r.Labels["pf-inst"]
	}
	post(d.t, d.Sim+"/foreign", sim.Foreign{Name: name, Kind: "server", Region: "lj-1", Labels: labels})
}

func TestTheDemoEndsWellUntilSomethingOfOursIsLeftBehindInTheCloud(t *testing.T) {
	t.Parallel()
	data := folder(t)
	d := launch(t, nil, data, "demo", "--speed", "240")
	d.awaitUp()
	until(t, 2*time.Minute, "the demo to be played", func() bool {
		return strings.Contains(d.said.String(), "Staying up at") || !d.running()
	})
	if !strings.Contains(d.said.String(), "demo complete") {
		t.Fatalf("the demo did not end well:\n%s", d.said)
	}
	t.Logf("demo: %s after the start", time.Since(d.begun))
	if said, well := d.doctor(); !well {
		t.Errorf("doctor after the demo:\n%s", said)
	}
	d.plant("left-behind")
	if said, well := d.doctor(); well || !strings.Contains(said, "left-behind") {
		t.Errorf("doctor does not name what was left behind:\n%s", said)
	}
	d.interrupt()
	if !d.ends(time.Minute) {
		t.Fatal("platforma does not end")
	}

	// Slower than before: what was quick then is judged by the speed of then.
	once := launch(t, nil, data, "demo", "--once", "--speed", "120")
	if !once.ends(3*time.Minute) || once.code() != 1 {
		t.Errorf("demo --once beside what was left behind: status %d, want 1:\n%s", once.code(), once.said)
	}
	for _, want := range []string{"did NOT end as expected", " 1 violations", "left-behind"} {
		if !strings.Contains(once.said.String(), want) {
			t.Errorf("demo --once does not say %q:\n%s", want, once.said)
		}
	}
	if got := servers(data); len(got) != 0 {
		t.Errorf("%d servers outlive demo --once", len(got))
	}
}

func TestDemoOnceOnAnEmptyFolderEndsWell(t *testing.T) {
	t.Parallel()
	data := folder(t)
	once := launch(t, nil, data, "demo", "--once", "--speed", "240")
	if !once.ends(3*time.Minute) || once.code() != 0 {
		t.Errorf("demo --once: status %d, want 0:\n%s", once.code(), once.said)
	}
	if !strings.Contains(once.said.String(), "demo complete") {
		t.Errorf("demo --once does not say so:\n%s", once.said)
	}
	t.Logf("demo --once: %s", time.Since(once.begun))
	if got := servers(data); len(got) != 0 {
		t.Errorf("%d servers outlive demo --once", len(got))
	}
}
