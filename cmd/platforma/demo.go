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
	place
	Once bool `help:"Play the demo, check the invariants, and exit: 0 only if every order ended as expected and nothing is wrong."`
}

// Run starts everything, plays the three demo orders, checks the world from outside, and stays up.
func (c *demoCmd) Run(g *globals) error {
	return c.up(g, func(ctx context.Context, d *installation) error {
		d.print(g.out)
		ok, err := d.play(ctx, g.out)
		if err != nil {
			return err
		}
		clean, err := d.check(ctx, g.out)
		if err != nil {
			return err
		}
		if !ok || !clean {
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

// print tells where everything is.
func (d *installation) print(w io.Writer) {
	fmt.Fprintf(w,
		"\n  portal   %s\n  API      %s/v1   (docs: %s/docs)\n  inbox    %s\n  cloud    %s/ledger\n  kafka    %s\n  "+
			"metrics  %s\n\n", d.Portal, d.API, d.API, d.Inbox, d.Sim, d.Kafka, d.Metrics)
	for _, t := range d.Tenants {
		fmt.Fprintf(w, "  tenant %s:", t.Slug)
		for _, u := range t.Users {
			fmt.Fprintf(w, " %s", u.Email)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "  keys and addresses for scripts: dev.json in the data folder\n\n")
}

// demoItem is an item of a demo order, as the API takes it.
type demoItem struct {
	Product       string         `json:"product"`
	Plan          string         `json:"plan,omitempty"`
	Region        string         `json:"region"`
	BillingCycle  string         `json:"billing_cycle"`
	Label         string         `json:"label"`
	Configuration map[string]any `json:"configuration"`
}

// story is a demo order and how it must end.
type story struct {
	title, policy  string
	items          []demoItem
	faults         []map[string]any // for the simulated cloud; each names an item's label
	state, outcome string
	ends           map[string]string // label → item state
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

// stories are the three of the demo; run makes their labels new each time.
func stories(run string) []story {
	web, db := "web-"+run, "db-"+run
	lone, broken := "site-"+run, "broken-"+run
	first, second := "first-"+run, "refused-"+run
	fails := func(label string) map[string]any {
		return map[string]any{"label": label, "operation": "create", "fault": "refused"}
	}
	return []story{
		{
			title: "a VPS and a database", policy: "per_item", items: []demoItem{demoVPS(web), demoDatabase(db)},
			state: "fulfilled", outcome: "full", ends: map[string]string{web: "delivered", db: "delivered"},
		},
		{
			title: "one of two items cannot be built: it alone is rolled back and refunded", policy: "per_item",
			items:  []demoItem{demoVPS(lone), demoDatabase(broken)},
			faults: []map[string]any{fails(broken)}, state: "fulfilled", outcome: "partial",
			ends: map[string]string{lone: "delivered", broken: "rolled_back"},
		},
		{
			title: "all or nothing: one item cannot be built, the whole order goes back", policy: "all_or_nothing",
			items:  []demoItem{demoVPS(first), demoDatabase(second)},
			faults: []map[string]any{fails(second)}, state: "failed", outcome: "none",
			ends: map[string]string{first: "rolled_back", second: "rolled_back"},
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

// demoItemState is how an item of it stands.
type demoItemState struct {
	Product  string `json:"product"`
	Label    string `json:"label"`
	State    string `json:"state"`
	Progress int    `json:"progress"`
	Detail   string `json:"detail"`
}

// storyLimit is how long a demo order may take before the demo says that it hangs.
const storyLimit = 3 * time.Minute

// play runs the stories one after the other, as a customer with an API key would.
func (d *installation) play(ctx context.Context, w io.Writer) (ok bool, err error) {
	client := apiClient{base: d.API, key: d.Tenants[0].Users[0].APIKey}
	ok = true
	for i, s := range stories(time.Now().UTC().Format("0102-150405")) {
		fmt.Fprintf(w, "Order %d: %s\n", i+1, s.title)
		for _, f := range s.faults {
			if err := post(ctx, d.Sim+"/faults", f); err != nil {
				return false, err
			}
		}
		o, err := client.place(ctx, s)
		if err != nil {
			return false, err
		}
		if o, err = client.follow(ctx, w, o); err != nil {
			return false, err
		}
		if wrong := s.wrong(o); wrong != "" {
			fmt.Fprintf(w, "  NOT as expected: %s\n\n", wrong)
			ok = false
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
	return ok, resp.Body.Close()
}

func (s story) wrong(o demoOrder) string {
	if o.State != s.state || o.Outcome != s.outcome || o.Settlement != "settled" {
		return fmt.Sprintf("%s is %s, outcome %s, settlement %s; want %s, %s, settled", o.Number, o.State, o.Outcome,
			o.Settlement, s.state, s.outcome)
	}
	for _, it := range o.Items {
		if it.State != s.ends[it.Label] {
			return fmt.Sprintf("item %s is %s, want %s", it.Label, it.State, s.ends[it.Label])
		}
	}
	return ""
}

// apiClient is a customer's program.
type apiClient struct{ base, key string }

func (c apiClient) place(ctx context.Context, s story) (demoOrder, error) {
	var o demoOrder
	if err := c.call(ctx, http.MethodPost, "/v1/orders", map[string]any{"fulfillment_policy": s.policy, "items": s.items},
		&o); err != nil {
		return o, err
	}
	err := c.call(ctx, http.MethodPost, "/v1/orders/"+o.ID+"/submit", map[string]any{"payment_method": "demo"}, &o)
	return o, err
}

// follow shows the order's progress until it is at rest.
func (c apiClient) follow(ctx context.Context, w io.Writer, o demoOrder) (demoOrder, error) {
	ctx, cancel := context.WithTimeout(ctx, storyLimit)
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

func (c apiClient) call(ctx context.Context, method, path string, body, into any) error {
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
