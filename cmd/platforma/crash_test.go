package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/failpoint"
	"github.com/platforma-cloud/orders/internal/harness"
)

// The binary is built so that it can kill itself at a named moment. After each kill the next start goes on with
// every order.
func TestTheBinaryKilledAtAMomentGoesOnWithItsOrdersAndNothingIsWrong(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "platforma")
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "crashpoints", "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, s := range harness.Scenarios() {
		moments := momentsOf(s)
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			c := &crashRun{t: t, program: program, data: dataFolder(t), s: s}
			for _, m := range moments {
				c.killAt(m)
			}
			c.finish()
			t.Logf("%d kills, %d orders", c.kills, len(c.orders))
		})
	}
}

// momentsOf returns the moments at which a scenario's installation is killed: in a soak all that its orders come
// to, otherwise its share of the moments. All scenarios together then have 48.
func momentsOf(s harness.Scenario) []failpoint.Moment {
	var all []failpoint.Moment
	for _, p := range failpoint.Points() {
		for _, side := range failpoint.Sides() {
			m := failpoint.Moment{Point: p, Side: side}
			soak := os.Getenv("PLATFORMA_SOAK") != ""
			if soak && s.UnreachableReason(p) == "" || harness.ShortScenario(m) == s.Name {
				all = append(all, m)
			}
		}
	}
	return all
}

// crashRun is one installation that is killed repeatedly, with the orders of one scenario. When a kill comes, the
// orders from before the earlier kills may still be in progress.
type crashRun struct {
	t         *testing.T
	program   string
	data      string
	s         harness.Scenario
	d         *dev
	orders    []string
	cancelled map[string]bool // orders whose cancellation was accepted; nil before the first start
	kills     int
}

// killAt starts the installation, places an order, and waits until it kills itself at the moment.
func (c *crashRun) killAt(m failpoint.Moment) {
	c.t.Helper()
	c.start("PLATFORMA_CRASH=" + m.String())
	c.placeOrder()
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.d.done:
			c.kills++
			return
		case <-tick.C:
			c.cancelOrders()
		case <-limit.C:
			c.t.Fatalf("%s never came: %v", m, c.pictures())
		}
	}
}

// start starts the installation. It takes over the servers that survived the last kill.
func (c *crashRun) start(env ...string) {
	c.t.Helper()
	c.d = launchProgram(c.t, c.program, env, c.data, "dev", "--no-demo", "--speed", "240", "--naming", "none")
	first := c.cancelled == nil
	waitUntil(c.t, startTimeout, "platforma to be up, or killed again", func() bool {
		return strings.Contains(c.d.output.String(), "dev.json in the data folder") || !c.d.running()
	})
	c.d.addresses = readAddresses(c.t, c.data)
	if !first {
		return
	}
	c.cancelled = map[string]bool{}
	for _, f := range c.s.Faults {
		httpPost(c.t, c.d.Sim+"/faults", f)
	}
}

// write sends a write with an idempotency key. It returns false when no answer came, or when the first request
// with the key is still at work.
func (c *crashRun) write(path, key string, body, into any) bool {
	c.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.d.API+path, bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.d.user(c.t, "customer").APIKey)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(resp.Body); err != nil {
		return false
	}
	if resp.StatusCode == http.StatusConflict && strings.Contains(answer.String(), "idempotency-key-in-use") {
		return false
	}
	if resp.StatusCode > 299 {
		c.t.Fatalf("POST %s: %d: %s", path, resp.StatusCode, answer.String())
	}
	if into == nil {
		return true
	}
	if err := json.Unmarshal(answer.Bytes(), into); err != nil {
		c.t.Fatalf("POST %s: the answer is not JSON: %v", path, err)
	}
	return true
}

type orderItem struct {
	Product       string          `json:"product"`
	Plan          string          `json:"plan,omitempty"`
	Region        string          `json:"region"`
	BillingCycle  string          `json:"billing_cycle"`
	Label         string          `json:"label"`
	Configuration json.RawMessage `json:"configuration"`
}

// placeOrder places and submits one more order. When the process is killed meanwhile, the next start repeats the
// requests with the same keys.
func (c *crashRun) placeOrder() {
	c.t.Helper()
	if !c.d.running() || len(c.orders) > c.kills {
		return
	}
	var items []orderItem
	for _, it := range c.s.Items {
		items = append(items, orderItem{it.Product, it.Plan, it.Region, it.BillingCycle, it.Label, it.Configuration})
	}
	var o orderView
	body := map[string]any{"items": items, "fulfillment_policy": c.s.Policy}
	if !c.write("/v1/orders", fmt.Sprintf("create-%d", c.kills), body, &o) {
		return
	}
	c.orders = append(c.orders, o.ID)
	c.submit(o.ID)
}

func (c *crashRun) submit(o string) bool {
	c.t.Helper()
	return c.write("/v1/orders/"+o+"/submit", "submit-"+o, map[string]any{"payment_method": "demo"}, nil)
}

// cancelOrders cancels every order that has come to the point where the scenario cancels it.
func (c *crashRun) cancelOrders() {
	c.t.Helper()
	if c.s.Cancel == nil {
		return
	}
	for _, o := range c.orders {
		if picture, ok := c.picture(o); ok && !c.cancelled[o] && c.s.Cancel(picture) {
			body := map[string]any{"reason": "changed our mind"}
			c.cancelled[o] = c.write("/v1/orders/"+o+"/cancel", "cancel-"+o, body, nil)
		}
	}
}

// picture returns an order in one line, like the pictures of package harness but read through the API and without
// the refunds.
func (c *crashRun) picture(id string) (string, bool) {
	c.t.Helper()
	status, raw, err := c.d.as("customer").send(http.MethodGet, "/v1/orders/"+id, nil)
	var o orderView
	if err != nil || status != http.StatusOK || json.Unmarshal(raw, &o) != nil {
		return "", false
	}
	text := o.State + " " + o.Outcome + " " + o.Settlement
	for _, it := range o.Items {
		text += "; " + it.Label + " " + it.State
	}
	return text, true
}

func (c *crashRun) pictures() []string {
	c.t.Helper()
	var all []string
	for _, o := range c.orders {
		p, _ := c.picture(o)
		all = append(all, p)
	}
	return all
}

var (
	refund = regexp.MustCompile(` refund [0-9.]+ [a-z]+`)
	// cancelledItem matches an item that was cancelled before a worker began it. Which items these are depends on
	// the speed of the machine. Invariant I10 checks in the cloud's ledger that nothing of them was ever built.
	cancelledItem = regexp.MustCompile(`; (\w+) cancelled\b`)
)

// finish starts a last time, waits until all orders have ended as the scenario says, and checks the invariants
// from outside.
func (c *crashRun) finish() {
	c.t.Helper()
	c.start()
	for _, o := range c.orders {
		waitUntil(c.t, time.Minute, "the order to be submitted", func() bool { return c.submit(o) })
	}
	want := refund.ReplaceAllString(c.s.WantSummary, "")
	waitUntil(c.t, 2*time.Minute, "all orders to be settled", func() bool {
		c.cancelOrders()
		for _, o := range c.orders {
			if p, ok := c.picture(o); !ok || !strings.Contains(p, " settled") {
				return false
			}
		}
		return true
	})
	for _, o := range c.orders {
		if got, _ := c.picture(o); cancelledItem.ReplaceAllString(got, "; $1 rolled_back") != want {
			c.t.Errorf("order %s\n got %s\nwant %s", o, got, want)
		}
	}
	out, err := exec.Command(c.program, "doctor", "--data", c.data, "--patience", "60s").CombinedOutput()
	if err != nil {
		c.t.Errorf("platforma doctor: %v\n%s", err, out)
	}
}
