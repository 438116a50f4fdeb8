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
	data := dataFolder(t)
	d := startDev(t, data)
	t.Logf("first start: %s", d.Took)
	customer := d.as("customer")
	var o orderView
	customer.call(http.MethodPost, "/v1/orders", readTestdata(t, "six.json"), &o)
	var events struct{ Data []map[string]any }
	customer.call(http.MethodGet, "/v1/orders/"+o.ID+"/events", nil, &events)
	paid := d.placePaidOrder(customer, readTestdata(t, "one.json"))
	waitUntil(t, time.Minute, "provisioning", func() bool { return len(d.ledger().Live) > 0 })
	tenants, pids := d.Tenants, serverPIDs(data)
	if len(pids) != 2 || len(events.Data) != 1 {
		t.Fatalf("%d servers run and the draft has %d events; want 2 and 1", len(pids), len(events.Data))
	}

	start := time.Now()
	d.interrupt()
	if !d.endsWithin(time.Minute) || d.exitStatus() != 0 {
		t.Fatalf("a minute after Ctrl-C the status is %d, want 0:\n%s", d.exitStatus(), d.output)
	}
	t.Logf("stop: %s", time.Since(start))
	for _, pid := range pids {
		if runsOn(pid, data) {
			t.Errorf("process %d survives Ctrl-C", pid)
		}
	}
	if strings.Contains(d.output.String(), "level=ERROR") {
		t.Errorf("the log has errors:\n%s", d.output)
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
	var eventsAfter struct{ Data []map[string]any }
	customer.call(http.MethodGet, "/v1/orders/"+o.ID+"/events", nil, &eventsAfter)
	if diff := cmp.Diff(events, eventsAfter); diff != "" {
		t.Errorf("its events (-first +second start):\n%s", diff)
	}
	if paid = customer.waitAtRest(paid.ID, time.Minute); paid.State != "fulfilled" {
		t.Errorf("the order that Ctrl-C interrupted is %s, want fulfilled", paid.State)
	}
	d.wantResources(paid)
}

func TestASecondStartOnTheSameDataIsRefusedAndHarmsNothing(t *testing.T) {
	t.Parallel()
	data := dataFolder(t)
	d := startDev(t, data)
	before := serverPIDs(data)
	second := launch(t, nil, data, "dev", "--no-demo")
	if !second.endsWithin(time.Minute) || second.exitStatus() != 1 {
		t.Fatalf("the second start: status %d, want 1:\n%s", second.exitStatus(), second.output)
	}
	if !strings.Contains(second.output.String(), "in use by another process") ||
		!strings.Contains(second.output.String(), data) {
		t.Errorf("the refusal does not name the folder and the reason:\n%s", second.output)
	}
	if diff := cmp.Diff(before, serverPIDs(data)); diff != "" || len(before) != 2 {
		t.Errorf("servers of the first start (-before +after the second):\n%s", diff)
	}
	if diff := cmp.Diff(d.addresses, readAddresses(t, data)); diff != "" {
		t.Errorf("dev.json (-before +after the second start):\n%s", diff)
	}
	o := d.placePaidOrder(d.as("customer"), readTestdata(t, "one.json"))
	if o = d.as("customer").waitAtRest(o.ID, time.Minute); o.State != "fulfilled" {
		t.Errorf("the first installation's order is %s, want fulfilled", o.State)
	}
}
