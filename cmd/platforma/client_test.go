package main_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// orderView is what these tests read of an order.
type orderView struct {
	ID, Number, State, Outcome, Settlement string
	Totals                                 struct {
		DueNow json.RawMessage `json:"due_now"`
	}
	Items []itemView
}

type itemView struct{ ID, Product, Label, State string }

// atRest reports whether the order is settled or stuck.
func (o orderView) atRest() bool { return o.Settlement == "settled" || o.Settlement == "stuck" }

// itemStates returns the states of the items, sorted and without duplicates.
func (o orderView) itemStates() []string {
	var states []string
	for _, it := range o.Items {
		states = append(states, it.State)
	}
	slices.Sort(states)
	return slices.Compact(states)
}

// apiClient calls the API with a key and keeps all answers.
type apiClient struct {
	t       *testing.T
	base    string
	key     string
	answers *outputBuffer
}

func (d *dev) as(role string) apiClient {
	return apiClient{t: d.t, base: d.API, key: d.user(d.t, role).APIKey, answers: &outputBuffer{}}
}

// send sends a request and returns the status and the body of the answer.
func (c apiClient) send(method, path string, body any) (int, []byte, error) {
	c.t.Helper()
	var raw io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		raw = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		raw = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, raw)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	_, _ = c.answers.Write(answer)
	return resp.StatusCode, answer, err
}

// call sends a request that must succeed, and decodes the answer unless into is nil.
func (c apiClient) call(method, path string, body, into any) {
	c.t.Helper()
	status, answer, err := c.send(method, path, body)
	if err != nil || status > 299 {
		c.t.Fatalf("%s %s: %d, %v: %s", method, path, status, err, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		c.t.Fatalf("%s %s: the answer is not JSON: %v: %s", method, path, err, answer)
	}
}

// order reads an order.
func (c apiClient) order(id string) orderView {
	c.t.Helper()
	var o orderView
	c.call(http.MethodGet, "/v1/orders/"+id, nil, &o)
	return o
}

// readTestdata reads a file of testdata.
func readTestdata(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// placePaidOrder places an order, submits it and has its payment confirmed by an operator.
func (d *dev) placePaidOrder(customer apiClient, body []byte) orderView {
	d.t.Helper()
	var o orderView
	customer.call(http.MethodPost, "/v1/orders", body, &o)
	customer.call(http.MethodPost, "/v1/orders/"+o.ID+"/submit", map[string]any{"expected_total": o.Totals.DueNow}, &o)
	d.as("operator").call(http.MethodPost, "/v1/orders/"+o.ID+"/payment/confirm",
		map[string]any{"reference": "bank-" + o.ID, "amount": o.Totals.DueNow, "method": "bank_transfer"}, nil)
	return o
}

// waitAtRest waits until an order is settled or stuck and returns it.
func (c apiClient) waitAtRest(id string, limit time.Duration) orderView {
	c.t.Helper()
	var o orderView
	waitUntil(c.t, limit, "order "+id+" to be at rest", func() bool {
		o = c.order(id)
		return o.atRest()
	})
	return o
}

// httpGet reads a URL without a key.
func httpGet(t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d, %v: %s", url, resp.StatusCode, err, raw)
	}
	return raw
}

// httpPost posts JSON to the control API of the simulated cloud.
func httpPost(t *testing.T, url string, body any) {
	t.Helper()
	apiClient{t: t, base: url, answers: &outputBuffer{}}.call(http.MethodPost, "", body, nil)
}

// ledger reads the simulated cloud's own ledger.
func (d *dev) ledger() sim.Ledger {
	d.t.Helper()
	var l sim.Ledger
	if err := json.Unmarshal(httpGet(d.t, d.Sim+"/ledger"), &l); err != nil {
		d.t.Fatalf("read the cloud's ledger: %v", err)
	}
	return l
}

// stepsOf returns the steps of which a product is built, written by hand from the catalogue's description.
func stepsOf(product string) []string {
	return map[string][]string{
		"vps":            {"port", "server"},
		"kubernetes":     {"network", "control-plane", "workers"},
		"database":       {"volume", "instance"},
		"gpu":            {"server-group", "nodes"},
		"private_cloud":  {"cluster", "storage"},
		"object_storage": {"bucket"},
	}[product]
}

// wantResources requires that exactly the resources of the orders' delivered items exist in the cloud: each step
// once and ready, and nothing else.
func (d *dev) wantResources(orders ...orderView) {
	d.t.Helper()
	want, got := []string{}, []string{}
	for _, o := range orders {
		for _, it := range o.Items {
			if it.State != "delivered" {
				continue
			}
			for _, step := range stepsOf(it.Product) {
				want = append(want, it.ID+" "+step+" ready")
			}
		}
	}
	l := d.ledger()
	keys := map[string]int{}
	for _, r := range l.Live {
		got = append(got, r.Labels["item"]+" "+r.Kind+" "+r.Phase)
		keys[r.Name]++
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		d.t.Errorf("resources in the cloud:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for key, n := range keys {
		if n > 1 {
			d.t.Errorf("%d resources have the key %s", n, key)
		}
	}
}
