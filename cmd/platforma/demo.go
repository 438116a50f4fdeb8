package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

type demoCmd struct {
	devFlags
	Once bool `help:"Play the demo, check the invariants, and exit: with status 0 only if every order ended as expected and every invariant holds."`
}

// Run starts everything, plays the three demo orders, checks the invariants from outside, and stays up.
func (c *demoCmd) Run(g *globals) error {
	return c.runInstallation(g, func(ctx context.Context, d *installation) error {
		d.printAddresses(g.out)
		asExpected, err := d.playDemo(ctx, g.out)
		if err != nil {
			return err
		}
		holds, err := d.printInvariants(ctx, g.out)
		if err != nil {
			return err
		}
		if !asExpected || !holds {
			fmt.Fprintln(g.out, "\nThe demo did NOT end as expected; see above.")
			if c.Once {
				return errReported
			}
		} else {
			fmt.Fprintln(g.out, "\ndemo complete: every order ended as expected and the invariants hold.")
		}
		if c.Once {
			return nil
		}
		fmt.Fprintf(g.out, "\nStaying up at %s . Ctrl-C stops everything; the next start reuses the data.\n", d.Portal)
		<-ctx.Done()
		return nil
	})
}

// printAddresses prints where everything is and who can sign in.
func (d *installation) printAddresses(w io.Writer) {
	fmt.Fprintf(w, `
  portal   %s
  API      %s/v1   (docs: %s/docs)
  inbox    %s
  cloud    %s/ledger
  kafka    %s
  metrics  %s

`, d.Portal, d.API, d.API, d.Inbox, d.Sim, d.Kafka, d.Metrics)
	for _, t := range d.Tenants {
		fmt.Fprintf(w, "  tenant %s:", t.Slug)
		for _, u := range t.Users {
			fmt.Fprintf(w, " %s", u.Email)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "  keys and addresses for scripts: dev.json in the data folder\n\n")
}

// demoItem is an item of a demo order as the API reads it.
type demoItem struct {
	Product       string         `json:"product"`
	Plan          string         `json:"plan,omitempty"`
	Region        string         `json:"region"`
	BillingCycle  string         `json:"billing_cycle"`
	Label         string         `json:"label"`
	Configuration map[string]any `json:"configuration"`
}

// demoScenario is a demo order with the state in which it must end.
type demoScenario struct {
	title, policy  string
	items          []demoItem
	faults         []map[string]any // for the simulated cloud; each names an item's label
	state, outcome string
	itemStates     map[string]string // by label
}

func demoVPS(label string) demoItem {
	return demoItem{
		Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "monthly", Label: label,
		Configuration: map[string]any{"os_image": "debian-12"},
	}
}

func demoDatabase(label string) demoItem {
	return demoItem{
		Product: "database", Plan: "starter", Region: "lj-1", BillingCycle: "annual", Label: label,
		Configuration: map[string]any{"engine": "postgresql-16", "storage_gb": 50, "high_availability": false},
	}
}

// demoScenarios returns the three orders of the demo. Run is part of their labels, to make them unique.
func demoScenarios(run string) []demoScenario {
	web, db := "web-"+run, "db-"+run
	site, broken := "site-"+run, "broken-"+run
	first, refused := "first-"+run, "refused-"+run
	createFails := func(label string) map[string]any {
		return map[string]any{"label": label, "operation": "create", "fault": "refused"}
	}
	return []demoScenario{
		{
			title: "a VPS and a database", policy: "per_item",
			items: []demoItem{demoVPS(web), demoDatabase(db)},
			state: "fulfilled", outcome: "full",
			itemStates: map[string]string{web: "delivered", db: "delivered"},
		},
		{
			title: "one of two items cannot be built: only that item is rolled back and refunded", policy: "per_item",
			items:  []demoItem{demoVPS(site), demoDatabase(broken)},
			faults: []map[string]any{createFails(broken)},
			state:  "fulfilled", outcome: "partial",
			itemStates: map[string]string{site: "delivered", broken: "rolled_back"},
		},
		{
			title: "all or nothing: one item cannot be built, so the whole order is rolled back", policy: "all_or_nothing",
			items:  []demoItem{demoVPS(first), demoDatabase(refused)},
			faults: []map[string]any{createFails(refused)},
			state:  "failed", outcome: "none",
			itemStates: map[string]string{first: "rolled_back", refused: "rolled_back"},
		},
	}
}

// demoOrder is what the demo reads of an order.
type demoOrder struct {
	ID         string          `json:"id"`
	Number     string          `json:"number"`
	State      string          `json:"state"`
	Outcome    string          `json:"outcome"`
	Settlement string          `json:"settlement"`
	Items      []demoItemState `json:"items"`
}

// demoItemState is what the demo reads of an item.
type demoItemState struct {
	Product  string `json:"product"`
	Label    string `json:"label"`
	State    string `json:"state"`
	Progress int    `json:"progress"`
	Detail   string `json:"detail"`
}

// demoOrderTimeout is how long a demo order may take before the demo reports that it hangs.
const demoOrderTimeout = 3 * time.Minute

// playDemo places the demo orders one after the other through the API, and reports whether each ended as
// expected.
func (d *installation) playDemo(ctx context.Context, w io.Writer) (asExpected bool, err error) {
	client := demoClient{base: d.API, key: d.Tenants[0].Users[0].APIKey}
	asExpected = true
	for i, s := range demoScenarios(time.Now().UTC().Format("0102-150405")) {
		fmt.Fprintf(w, "Order %d: %s\n", i+1, s.title)
		for _, f := range s.faults {
			if err := post(ctx, d.Sim+"/faults", f); err != nil {
				return false, err
			}
		}
		o, err := client.placeOrder(ctx, s)
		if err != nil {
			return false, err
		}
		if o, err = client.waitAtRest(ctx, w, o); err != nil {
			return false, err
		}
		if mismatch := s.mismatch(o); mismatch != "" {
			fmt.Fprintf(w, "  NOT as expected: %s\n\n", mismatch)
			asExpected = false
			continue
		}
		fmt.Fprintf(w, "  %s is %s, outcome %s: as expected\n\n", o.Number, o.State, o.Outcome)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, d.Sim+"/faults", nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, fmt.Errorf("clear the simulated cloud's faults: %w", err)
	}
	return asExpected, resp.Body.Close()
}

// mismatch returns how the order differs from what is expected, or "".
func (s demoScenario) mismatch(o demoOrder) string {
	if o.State != s.state || o.Outcome != s.outcome || o.Settlement != "settled" {
		return fmt.Sprintf("%s is %s, outcome %s, settlement %s; want %s, %s, settled", o.Number, o.State, o.Outcome,
			o.Settlement, s.state, s.outcome)
	}
	for _, it := range o.Items {
		if it.State != s.itemStates[it.Label] {
			return fmt.Sprintf("item %s is %s, want %s", it.Label, it.State, s.itemStates[it.Label])
		}
	}
	return ""
}

// demoClient calls the API as a customer's program would.
type demoClient struct{ base, key string }

func (c demoClient) placeOrder(ctx context.Context, s demoScenario) (demoOrder, error) {
	var o demoOrder
	body := map[string]any{"fulfillment_policy": s.policy, "items": s.items}
	if err := c.call(ctx, http.MethodPost, "/v1/orders", body, &o); err != nil {
		return o, err
	}
	err := c.call(ctx, http.MethodPost, "/v1/orders/"+o.ID+"/submit", map[string]any{"payment_method": "demo"}, &o)
	return o, err
}

// waitAtRest shows the order's progress until it is settled or stuck.
func (c demoClient) waitAtRest(ctx context.Context, w io.Writer, o demoOrder) (demoOrder, error) {
	ctx, cancel := context.WithTimeout(ctx, demoOrderTimeout)
	defer cancel()
	show := newProgress(w)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.call(ctx, http.MethodGet, "/v1/orders/"+o.ID, nil, &o); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return o, fmt.Errorf("order %s hangs in state %s", o.Number, o.State)
			}
			return o, err
		}
		show.draw(o)
		if o.Settlement == "settled" || o.Settlement == "stuck" {
			return o, nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return o, fmt.Errorf("order %s hangs in state %s", o.Number, o.State)
			}
			return o, ctx.Err()
		case <-tick.C:
		}
	}
}

func (c demoClient) call(ctx context.Context, method, path string, body, into any) error {
	var raw io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", method, path, err)
		}
		raw = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, raw)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s answered %d: %s", method, path, resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return nil
}

func post(ctx context.Context, url string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("POST %s: %w", url, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<12))
		return fmt.Errorf("POST %s answered %d: %s", url, resp.StatusCode, text)
	}
	return nil
}
