package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// topic reads the events that stand on the installation's topic: their ids, by order and number. Twice is
// an error.
func (d *dev) topic() map[string]string {
	d.t.Helper()
	out, err := exec.Command("kcat", "-b", d.Kafka, "-C", "-t", "order-events", "-X", "isolation.level=read_committed",
		"-J", "-e", "-q").Output()
	if err != nil {
		d.t.Fatalf("kcat: %v", err)
	}
	all := map[string]string{}
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var m struct {
			Key     string
			Headers []string // name, value, name, value …
		}
		if l == "" {
			continue
		}
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			d.t.Fatalf("kcat printed %q: %v", l, err)
		}
		h := map[string]string{}
		for i := 0; i+1 < len(m.Headers); i += 2 {
			h[m.Headers[i]] = m.Headers[i+1]
		}
		at := m.Key + "/" + strings.TrimLeft(h["ce_sequence"], "0")
		if all[at] != "" {
			d.t.Errorf("%s stands twice on the topic", at)
		}
		all[at] = h["ce_id"]
	}
	return all
}

// table is what the API tells of the same orders' events.
func (d *dev) table(orders ...string) map[string]string {
	d.t.Helper()
	all := map[string]string{}
	for _, o := range orders {
		var page struct {
			Data []struct {
				ID  string
				Seq json.Number
			}
		}
		d.as("customer").must(http.MethodGet, "/v1/orders/"+o+"/events?limit=100", nil, &page)
		for _, e := range page.Data {
			all[o+"/"+e.Seq.String()] = e.ID
		}
	}
	return all
}

func (d *dev) wantTopicIsTable(orders ...string) {
	d.t.Helper()
	want := d.table(orders...)
	var got map[string]string
	until(d.t, time.Minute, "the events on the topic", func() bool {
		got = d.topic()
		return len(got) >= len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("events (-API +topic):\n%s", diff)
	}
}

// The broker's folder is disposable: a start without it fills a new one from the database, and so does a
// start with the folder of another time.
func TestDevRebuildsTheTopicOfABrokerThatLostIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("not run: kcat is not installed")
	}
	data := folder(t)
	d := startDev(t, data, "--speed", "240")
	pays := func() string {
		t.Helper()
		o := d.pays(d.as("customer"), file(t, "one.json"))
		if o = d.as("customer").follow(o.ID, time.Minute); o.State != "fulfilled" {
			t.Errorf("the order is %s, want fulfilled", o.State)
		}
		return o.ID
	}
	restart := func() {
		t.Helper()
		d = startDev(t, data, "--speed", "240")
		t.Logf("start: %s", d.Took)
	}
	end := func() {
		t.Helper()
		d.interrupt()
		if !d.ends(40 * time.Second) {
			t.Fatalf("platforma does not end:\n%s", d.said)
		}
	}
	broker, aside := filepath.Join(data, "kafka"), filepath.Join(data, "kafka.old")
	first := pays()
	d.wantTopicIsTable(first)
	end()
	if err := os.CopyFS(aside, os.DirFS(broker)); err != nil {
		t.Fatal(err)
	}
	restart()
	if strings.Contains(d.said.String(), "rebuilt") {
		t.Errorf("a broker that fits was rebuilt:\n%s", d.said)
	}
	second := pays()
	d.kill()
	if err := os.RemoveAll(broker); err != nil {
		t.Fatal(err)
	}
	restart()
	if !strings.Contains(d.said.String(), "its topic was rebuilt") {
		t.Errorf("of a lost broker it says nothing:\n%s", d.said)
	}
	third := pays()
	d.wantTopicIsTable(first, second, third)
	end()
	if err := os.RemoveAll(broker); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, broker); err != nil {
		t.Fatal(err)
	}
	restart() // with the broker of long ago
	fourth := pays()
	d.wantTopicIsTable(first, second, third, fourth)
}

func TestRebuildByHandSaysFirstWhatItWouldDo(t *testing.T) {
	t.Parallel()
	d := startDev(t, folder(t), "--speed", "240")
	o := d.pays(d.as("customer"), file(t, "one.json"))
	d.as("customer").follow(o.ID, time.Minute)
	rebuild := func(args ...string) (string, error) {
		cmd := exec.Command(binary,
			append([]string{"events", "rebuild", "--replicas", "1", "--database-url", d.DatabaseURL, "--kafka-brokers", d.Kafka},
				args...)...)
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	before := len(d.table(o.ID))
	said, err := rebuild()
	for _, want := range []string{"Nothing was changed", "--yes", "topics now    as they must be", "order-events.relay"} {
		if err != nil || !strings.Contains(said, want) {
			t.Errorf("events rebuild says (%v), want %q in it:\n%s", err, want, said)
		}
	}
	if said, err = rebuild("--yes", "--wait", "1s"); err == nil || !strings.Contains(said, "a relay is at work") {
		t.Errorf("beside a relay that works, events rebuild --yes ended with %v:\n%s", err, said)
	}
	if said, err = rebuild("--json"); err != nil ||
		!strings.Contains(said, `"delete":["order-events","order-events.relay"]`) {
		t.Errorf("events rebuild --json ended with %v:\n%s", err, said)
	}
	if after := len(d.table(o.ID)); after != before || before == 0 {
		t.Errorf("%d events after looking, %d before", after, before)
	}
}
