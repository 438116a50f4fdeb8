package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCtrlCEndsEverythingAndTheNextStartFindsTheData(t *testing.T) {
	t.Parallel()
	data := folder(t)
	d := startDev(t, data)
	t.Logf("first start: %s", d.Took)
	customer := d.as("customer")
	var o orderView
	customer.must(http.MethodPost, "/v1/orders", file(t, "six.json"), &o)
	var events struct{ Data []map[string]any }
	customer.must(http.MethodGet, "/v1/orders/"+o.ID+"/events", nil, &events)
	paid := d.pays(customer, file(t, "one.json"))
	until(t, time.Minute, "provisioning", func() bool { return len(d.ledger().Live) > 0 })
	tenants, left := d.Tenants, servers(data)
	if len(left) != 2 || len(events.Data) != 1 {
		t.Fatalf("%d servers run and the draft has %d events; want 2 and 1", len(left), len(events.Data))
	}

	begun := time.Now()
	d.interrupt()
	if !d.ends(time.Minute) || d.code() != 0 {
		t.Fatalf("10 s after Ctrl-C the status is %d, want 0:\n%s", d.code(), d.said)
	}
	t.Logf("stop: %s", time.Since(begun))
	for _, pid := range left {
		if mentions(pid, data) {
			t.Errorf("process %d outlives Ctrl-C", pid)
		}
	}
	if strings.Contains(d.said.String(), "level=ERROR") {
		t.Errorf("the log speaks of errors:\n%s", d.said)
	}

	d = startDev(t, data)
	t.Logf("second start: %s", d.Took)
	if diff := cmp.Diff(tenants, d.Tenants); diff != "" {
		t.Errorf("tenants and keys in dev.json (-first +second start):\n%s", diff)
	}
	customer = d.as("customer")
	if diff := cmp.Diff(o, customer.order(o.ID)); diff != "" {
		t.Errorf("the draft (-first +second start):\n%s", diff)
	}
	var again struct{ Data []map[string]any }
	customer.must(http.MethodGet, "/v1/orders/"+o.ID+"/events", nil, &again)
	if diff := cmp.Diff(events, again); diff != "" {
		t.Errorf("its events (-first +second start):\n%s", diff)
	}
	if paid = customer.follow(paid.ID, time.Minute); paid.State != "fulfilled" {
		t.Errorf("the order that Ctrl-C came between is %s, want fulfilled", paid.State)
	}
	d.wantExactly(paid)
}

func TestASecondStartOnTheSameDataIsRefusedAndHarmsNothing(t *testing.T) {
	t.Parallel()
	data := folder(t)
	d := startDev(t, data)
	before := servers(data)
	second := launch(t, nil, data, "dev", "--no-demo")
	if !second.ends(time.Minute) || second.code() != 1 {
		t.Fatalf("the second start: status %d, want 1:\n%s", second.code(), second.said)
	}
	if !strings.Contains(second.said.String(), "in use by another process") ||
		!strings.Contains(second.said.String(), data) {
		t.Errorf("the refusal does not say what is wrong with which folder:\n%s", second.said)
	}
	if diff := cmp.Diff(before, servers(data)); diff != "" || len(before) != 2 {
		t.Errorf("servers of the first start (-before +after the second):\n%s", diff)
	}
	if diff := cmp.Diff(d.addresses, readAddresses(t, data)); diff != "" {
		t.Errorf("dev.json (-before +after the second start):\n%s", diff)
	}
	o := d.pays(d.as("customer"), file(t, "one.json"))
	if o = d.as("customer").follow(o.ID, time.Minute); o.State != "fulfilled" {
		t.Errorf("the first installation's order is %s, want fulfilled", o.State)
	}
}
