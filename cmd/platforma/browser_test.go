package main_test

import (
	"testing"

	"github.com/platforma-cloud/orders/internal/portal/portaltest"
)

func TestACustomerWalksFromSignInToDeliveryInABrowser(t *testing.T) {
	t.Parallel()
	d := startDev(t, dataFolder(t))
	path := portaltest.Walk(t, d.Portal, portaltest.User{Email: d.user(t, "customer").Email})
	o := d.as("customer").order(path[len("/orders/"):])
	if o.State != "fulfilled" || o.Outcome != "full" {
		t.Errorf("the order is %s, outcome %s; want fulfilled, full", o.State, o.Outcome)
	}
	d.wantResources(o)
}
