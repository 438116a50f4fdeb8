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

// ended reports whether nothing is to happen any more.
func (o orderView) ended() bool { return o.Settlement == "settled" || o.Settlement == "stuck" }

// states of the items, each once.
func (o orderView) states() []string {
	var all []string
	for _, it := range o.Items {
		all = append(all, it.State)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// stranger is a program that knows nothing but an address and a key. Everything it is answered is
// kept in heard.
type stranger struct {
	t     *testing.T
	base  string
	key   string
	heard *transcript
}

func (d *dev) as(role string) stranger {
	return stranger{t: d.t, base: d.API, key: d.user(d.t, role).APIKey, heard: &transcript{}}
}

// try sends a request and gives the status and the body of the answer.
func (s stranger) try(method, path string, body any) (int, []byte, error) {
	s.t.Helper()
	var raw io.Reader
	switch b := body.(type) {
	case nil:
	case []byte:
		raw = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		raw = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, raw)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	_, _ = s.heard.Write(answer)
	return resp.StatusCode, answer, err
}

// must is try that fails the test when it is refused; into may be nil.
func (s stranger) must(method, path string, body, into any) {
	s.t.Helper()
	status, answer, err := s.try(method, path, body)
	if err != nil || status > 299 {
		s.t.Fatalf("%s %s: %d, %v: %s", method, path, status, err, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		s.t.Fatalf("%s %s answered what is no JSON: %v: %s", method, path, err, answer)
	}
}

// order reads an order.
func (s stranger) order(id string) orderView {
	s.t.Helper()
	var o orderView
	s.must(http.MethodGet, "/v1/orders/"+id, nil, &o)
	return o
}

// file reads a body of testdata.
func file(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// pays places an order and has its payment confirmed by an operator.
func (d *dev) pays(customer stranger, body []byte) orderView {
	d.t.Helper()
	var o orderView
	customer.must(http.MethodPost, "/v1/orders", body, &o)
	customer.must(http.MethodPost, "/v1/orders/"+o.ID+"/submit", map[string]any{"expected_total": o.Totals.DueNow}, &o)
	d.as("operator").must(http.MethodPost, "/v1/orders/"+o.ID+"/payment/confirm",
		map[string]any{"reference": "bank-" + o.ID, "amount": o.Totals.DueNow, "method": "bank_transfer"}, nil)
	return o
}

// follow waits until an order is at rest.
func (s stranger) follow(id string, limit time.Duration) orderView {
	s.t.Helper()
	var o orderView
	until(s.t, limit, "order "+id+" to be at rest", func() bool {
		o = s.order(id)
		return o.ended()
	})
	return o
}

// get reads an address that asks for no key.
func get(t *testing.T, url string) []byte {
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

// post sends JSON to the operator's side of the simulated cloud.
func post(t *testing.T, url string, body any) {
	t.Helper()
	stranger{t: t, base: url, heard: &transcript{}}.must(http.MethodPost, "", body, nil)
}

// ledger is the simulated cloud's own books.
func (d *dev) ledger() sim.Ledger {
	d.t.Helper()
	var l sim.Ledger
	if err := json.Unmarshal(get(d.t, d.Sim+"/ledger"), &l); err != nil {
		d.t.Fatalf("read the cloud's ledger: %v", err)
	}
	return l
}

// stepNames are the resources that each product is made of, written down by hand from the catalogue's
// description of them.
func partsOf(product string) []string {
	return map[string][]string{
		"vps": {"port", "server"}, "kubernetes": {"network", "control-plane", "workers"}, "database": {"volume", "instance"},
		"gpu": {"server-group", "nodes"}, "private_cloud": {"cluster", "storage"}, "object_storage": {"bucket"},
	}[product]
}

// wantExactly requires that what lives in the cloud is what the orders' items are made of: each part
// once and ready, nothing besides.
func (d *dev) wantExactly(orders ...orderView) {
	d.t.Helper()
	want, got := []string{}, []string{}
	for _, o := range orders {
		for _, it := range o.Items {
			if it.State != "delivered" {
				continue
			}
			for _, part := range partsOf(it.Product) {
				want = append(want, it.ID+" "+part+" ready")
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
		d.t.Errorf("in the cloud live:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for key, n := range keys {
		if n > 1 {
			d.t.Errorf("%d resources live under key %s", n, key)
		}
	}
}
