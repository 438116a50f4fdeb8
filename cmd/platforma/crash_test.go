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

// The binary, built so that it kills itself at a named moment, takes up every order where it was.
func TestTheBinaryKilledAtAMomentTakesItsOrdersUpAndNothingIsWrong(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "platforma")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-tags", "crashpoints", "-o", program,
		".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, s := range harness.Scenarios() {
		moments := momentsOf(s)
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			c := &killing{t: t, program: program, data: folder(t), s: s}
			for _, m := range moments {
				c.killAt(m)
			}
			c.end()
			t.Logf("%d kills, %d orders", c.kills, len(c.orders))
		})
	}
}

// momentsOf are the moments that a scenario's installation is killed at: in a soak all that its orders
// come to, otherwise those whose turn it has, 48 in all.
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

// killing is one installation that dies again and again, with the orders of one scenario in it. Those
// of the deaths before are on their way when the next comes.
type killing struct {
	t       *testing.T
	program string
	data    string
	s       harness.Scenario
	d       *dev
	orders  []string
	asked   map[string]bool // to be cancelled
	kills   int
}

// killAt starts the installation, places an order, and waits for the moment.
func (c *killing) killAt(m failpoint.Moment) {
	c.t.Helper()
	c.start("PLATFORMA_CRASH=" + m.String())
	c.place()
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
			c.cancel()
		case <-limit.C:
			c.t.Fatalf("%s never came: %v", m, c.pictures())
		}
	}
}

// start leaves the servers as they are, which outlive every kill.
func (c *killing) start(env ...string) {
	c.t.Helper()
	c.d = launchProgram(c.t, c.program, env, c.data, "dev", "--no-demo", "--speed", "240", "--naming", "none")
	first := c.asked == nil
	until(c.t, ready, "platforma to be up, or killed again", func() bool {
		return strings.Contains(c.d.said.String(), "dev.json in the data folder") || !c.d.running()
	})
	c.d.addresses = readAddresses(c.t, c.data)
	if !first {
		return
	}
	c.asked = map[string]bool{}
	for _, f := range c.s.Faults {
		post(c.t, c.d.Sim+"/faults", f)
	}
}

// write sends a write under its key; false when nobody answered.
func (c *killing) write(path, key string, body, into any) bool {
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
		c.t.Fatalf("POST %s answered what is no JSON: %v", path, err)
	}
	return true
}

type wish struct {
	Product       string          `json:"product"`
	Plan          string          `json:"plan,omitempty"`
	Region        string          `json:"region"`
	BillingCycle  string          `json:"billing_cycle"`
	Label         string          `json:"label"`
	Configuration json.RawMessage `json:"configuration"`
}

// place submits one order more. A process that is killed in it leaves the order to the next start,
// which asks under the same key.
func (c *killing) place() {
	c.t.Helper()
	if !c.d.running() || len(c.orders) > c.kills {
		return
	}
	var items []wish
	for _, it := range c.s.Items {
		items = append(items, wish{it.Product, it.Plan, it.Region, it.BillingCycle, it.Label, it.Configuration})
	}
	var o orderView
	if !c.write("/v1/orders", fmt.Sprintf("create-%d", c.kills),
		map[string]any{"items": items, "fulfillment_policy": c.s.Policy}, &o) {
		return
	}
	c.orders = append(c.orders, o.ID)
	c.submit(o.ID)
}

func (c *killing) submit(o string) bool {
	c.t.Helper()
	return c.write("/v1/orders/"+o+"/submit", "submit-"+o, map[string]any{"payment_method": "demo"}, nil)
}

// cancel asks for the end of every order that has come to the scenario's moment.
func (c *killing) cancel() {
	c.t.Helper()
	if c.s.Cancel == nil {
		return
	}
	for _, o := range c.orders {
		if picture, ok := c.picture(o); ok && !c.asked[o] && c.s.Cancel(picture) {
			c.asked[o] = c.write("/v1/orders/"+o+"/cancel", "cancel-"+o, map[string]any{"reason": "changed our mind"}, nil)
		}
	}
}

// picture is World.Picture by the API, without the refunds.
func (c *killing) picture(id string) (string, bool) {
	c.t.Helper()
	status, raw, err := c.d.as("customer").try(http.MethodGet, "/v1/orders/"+id, nil)
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

func (c *killing) pictures() []string {
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
	// untouched is an item that goes back before any worker had come to it. Which item that is depends on
	// how fast this machine is; that nothing of it was ever built is asked of the cloud's ledger (I10).
	untouched = regexp.MustCompile(`; (\w+) cancelled\b`)
)

// end starts a last time, waits until all orders are where the scenario ends, and has the installation
// looked at from outside.
func (c *killing) end() {
	c.t.Helper()
	c.start()
	for _, o := range c.orders {
		until(c.t, time.Minute, "the order to be submitted", func() bool { return c.submit(o) })
	}
	want := refund.ReplaceAllString(c.s.WantSummary, "")
	until(c.t, 2*time.Minute, "all orders to be settled", func() bool {
		c.cancel()
		for _, o := range c.orders {
			if p, ok := c.picture(o); !ok || !strings.Contains(p, " settled") {
				return false
			}
		}
		return true
	})
	for _, o := range c.orders {
		if got, _ := c.picture(o); untouched.ReplaceAllString(got, "; $1 rolled_back") != want {
			c.t.Errorf("order %s\n got %s\nwant %s", o, got, want)
		}
	}
	out, err := exec.Command(c.program, "doctor", "--data", c.data, "--patience", "60s").CombinedOutput()
	if err != nil {
		c.t.Errorf("platforma doctor: %v\n%s", err, out)
	}
}
