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

// topicEvents returns the ids of the events on the installation's topic, by order and number. An event that is
// there twice fails the test.
func (d *dev) topicEvents() map[string]string {
	d.t.Helper()
	out, err := exec.Command("kcat", "-b", d.Kafka, "-C", "-t", "order-events", "-X", "isolation.level=read_committed",
		"-J", "-e", "-q").Output()
	if err != nil {
		d.t.Fatalf("kcat: %v", err)
	}
	ids := map[string]string{}
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
		key := m.Key + "/" + strings.TrimLeft(h["ce_sequence"], "0")
		if ids[key] != "" {
			d.t.Errorf("%s is on the topic twice", key)
		}
		ids[key] = h["ce_id"]
	}
	return ids
}

// apiEvents returns the ids of the orders' events as the API shows them, by order and number.
func (d *dev) apiEvents(orders ...string) map[string]string {
	d.t.Helper()
	ids := map[string]string{}
	for _, o := range orders {
		var page struct {
			Data []struct {
				ID  string
				Seq json.Number
			}
		}
		d.as("customer").call(http.MethodGet, "/v1/orders/"+o+"/events?limit=100", nil, &page)
		for _, e := range page.Data {
			ids[o+"/"+e.Seq.String()] = e.ID
		}
	}
	return ids
}

// wantSameEvents requires that the topic has exactly the events that the API shows.
func (d *dev) wantSameEvents(orders ...string) {
	d.t.Helper()
	want := d.apiEvents(orders...)
	var got map[string]string
	waitUntil(d.t, time.Minute, "the events on the topic", func() bool {
		got = d.topicEvents()
		return len(got) >= len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("events (-API +topic):\n%s", diff)
	}
}

// The broker's folder is disposable: a start without it fills a new topic from the database, and so does a start
// with an old copy of the folder.
func TestDevRebuildsTheTopicOfABrokerThatLostIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("not run: kcat is not installed")
	}
	data := dataFolder(t)
	d := startDev(t, data, "--speed", "240")
	placeOrder := func() string {
		t.Helper()
		o := d.placePaidOrder(d.as("customer"), readTestdata(t, "one.json"))
		if o = d.as("customer").waitAtRest(o.ID, time.Minute); o.State != "fulfilled" {
			t.Errorf("the order is %s, want fulfilled", o.State)
		}
		return o.ID
	}
	restart := func() {
		t.Helper()
		d = startDev(t, data, "--speed", "240")
		t.Logf("start: %s", d.Took)
	}
	stop := func() {
		t.Helper()
		d.interrupt()
		if !d.endsWithin(40 * time.Second) {
			t.Fatalf("platforma does not end:\n%s", d.output)
		}
	}
	broker, oldCopy := filepath.Join(data, "kafka"), filepath.Join(data, "kafka.old")
	first := placeOrder()
	d.wantSameEvents(first)
	stop()
	if err := os.CopyFS(oldCopy, os.DirFS(broker)); err != nil {
		t.Fatal(err)
	}
	restart()
	if strings.Contains(d.output.String(), "rebuilt") {
		t.Errorf("a broker that matches the database was rebuilt:\n%s", d.output)
	}
	second := placeOrder()
	d.kill()
	if err := os.RemoveAll(broker); err != nil {
		t.Fatal(err)
	}
	restart()
	if !strings.Contains(d.output.String(), "its topic was rebuilt") {
		t.Errorf("a lost broker is not reported:\n%s", d.output)
	}
	third := placeOrder()
	d.wantSameEvents(first, second, third)
	stop()
	if err := os.RemoveAll(broker); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(oldCopy, broker); err != nil {
		t.Fatal(err)
	}
	restart() // with the old copy of the broker's folder
	fourth := placeOrder()
	d.wantSameEvents(first, second, third, fourth)
}

func TestRebuildByHandSaysFirstWhatItWouldDo(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataFolder(t), "--speed", "240")
	o := d.placePaidOrder(d.as("customer"), readTestdata(t, "one.json"))
	d.as("customer").waitAtRest(o.ID, time.Minute)
	rebuild := func(args ...string) (string, error) {
		args = append([]string{
			"events", "rebuild", "--replicas", "1", "--database-url", d.DatabaseURL, "--kafka-brokers", d.Kafka,
		}, args...)
		out, err := exec.Command(binary, args...).CombinedOutput()
		return string(out), err
	}
	before := len(d.apiEvents(o.ID))
	out, err := rebuild()
	for _, want := range []string{
		"Nothing was changed", "--yes", "topics now    as they should be", "order-events.relay",
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("events rebuild ended with %v, want %q in its output:\n%s", err, want, out)
		}
	}
	if out, err = rebuild("--yes", "--wait", "1s"); err == nil || !strings.Contains(out, "a relay is at work") {
		t.Errorf("while a relay works, events rebuild --yes ended with %v:\n%s", err, out)
	}
	if out, err = rebuild("--json"); err != nil ||
		!strings.Contains(out, `"delete":["order-events","order-events.relay"]`) {
		t.Errorf("events rebuild --json ended with %v:\n%s", err, out)
	}
	if after := len(d.apiEvents(o.ID)); after != before || before == 0 {
		t.Errorf("%d events after a rebuild that was not confirmed, %d before", after, before)
	}
}
