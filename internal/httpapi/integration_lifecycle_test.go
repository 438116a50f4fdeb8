package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// theActions are the columns of the matrix: the actions that a client may request.
var theActions = []string{
	"edit", "submit", "confirm-payment", "revert-payment", "cancel", "restore", "hold", "release", "redeliver",
}

// matrix is that of docs/order-lifecycle.md, written by hand: + is done, = is accepted and changes nothing, and - is
// a 409 illegal-transition.
var matrix = map[string]string{
	//                     edit submit confirm revert cancel restore hold release redeliver
	"draft":               "+ + - - + - - - -",
	"pending_payment":     "- - + - + - - - -",
	"payment_confirmed":   "- - - + + - + - -",
	"held":                "- - - + + - - + -",
	"validating":          "- - - + + - + - -",
	"provisioning":        "- - - - + - - - -",
	"partially_fulfilled": "- - - - + - - - +",
	"fulfilled":           "- - - - - - - - +",
	"cancelled":           "- - - - = + - - -",
	"cancelled, refunded": "- - - - = + - - -",
	"failed":              "- - - - - - - - -",
	"closing, paid":       "- - - - = - - - -",
	"closing, built":      "- - - - = - - - -",
}

// unreachableProvider is a provider whose validation fails while it is down.
type unreachableProvider struct {
	provider.Provider
	down *atomic.Bool
}

// Validate fails while the provider is down.
func (u unreachableProvider) Validate(ctx context.Context, s provider.Spec) ([]fault.Violation, error) {
	if u.down.Load() {
		return nil, errors.New("the provider is down")
	}
	return u.Provider.Validate(ctx, s)
}

// lifecycle brings orders into states.
type lifecycle struct {
	*integration
	down *atomic.Bool // the provider
	n    int          // the number of requests so far
}

const theDatabase = `{"product":"database","plan":"starter","region":"lj-1","billing_cycle":"monthly","label":"slow","configuration":{"storage_gb":20}}`

// pay returns a paid order of items.
func (l *lifecycle) pay(items ...string) orderAnswer {
	l.Helper()
	o := l.create(items...)
	at := "/v1/orders/" + o.ID
	l.orderOf(l.customer("POST", at+"/submit", ""))
	return l.orderOf(l.operator("POST", at+"/payment/confirm", confirmation("paid-"+o.Number, o.Totals.DueNow)))
}

// until works on an order until its picture contains a text.
func (l *lifecycle) until(o orderAnswer, picture string) orderAnswer {
	l.Helper()
	l.DrainUntil(parseOrder(l, o.ID), func(p string) bool { return strings.Contains(p, picture) })
	return l.read(o)
}

func (l *lifecycle) read(o orderAnswer) orderAnswer {
	l.Helper()
	return l.orderOf(l.operator("GET", "/v1/orders/"+o.ID, ""))
}

// in returns a new order in a state.
func (l *lifecycle) in(state string) orderAnswer {
	l.Helper()
	l.down.Store(state == "validating")
	l.Sim.ClearFaults()
	l.Sim.Script(sim.Fault{Label: "slow", Operation: sim.OpCreate, Kind: "stuck"})
	slowVPS := strings.Replace(theVPS, `"web"`, `"slow"`, 1)
	switch state {
	case "draft":
		return l.create(theVPS)
	case "pending_payment":
		return l.submitted()
	case "payment_confirmed":
		return l.pay(theVPS)
	case "held":
		o := l.pay(theVPS)
		return l.orderOf(l.operator("POST", "/v1/orders/"+o.ID+"/hold", ""))
	case "validating":
		return l.until(l.pay(theVPS), "validating")
	case "provisioning":
		return l.until(l.pay(slowVPS), "slow provisioning")
	case "partially_fulfilled":
		return l.until(l.pay(theVPS, theDatabase), "web delivered")
	case "fulfilled":
		return l.until(l.pay(theVPS), "fulfilled full")
	case "cancelled":
		o := l.create(theVPS)
		return l.orderOf(l.customer("POST", "/v1/orders/"+o.ID+"/cancel", ""))
	case "cancelled, refunded":
		o := l.pay(theVPS)
		l.orderOf(l.customer("POST", "/v1/orders/"+o.ID+"/cancel", ""))
		return l.until(o, "cancelled none settled")
	case "failed":
		l.Sim.Script(sim.Fault{Label: "web", Step: "server", Operation: sim.OpCreate, Kind: "invalid"})
		return l.until(l.pay(theVPS), "failed none settled")
	case "closing, paid":
		o := l.pay(theVPS)
		return l.orderOf(l.customer("POST", "/v1/orders/"+o.ID+"/cancel", ""))
	case "closing, built":
		o := l.until(l.pay(slowVPS), "slow provisioning")
		return l.orderOf(l.customer("POST", "/v1/orders/"+o.ID+"/cancel", ""))
	}
	l.Fatalf("there is no way into the state %s", state)
	return orderAnswer{}
}

// act calls the endpoint of an action with a valid body.
func (l *lifecycle) act(action string, o orderAnswer) *httptest.ResponseRecorder {
	l.Helper()
	l.n++
	at := "/v1/orders/" + o.ID
	switch action {
	case "edit":
		return l.operator("PATCH", at, fmt.Sprintf(`{"version":%d,"external_id":"edit-%d"}`, o.Version, l.n))
	case "confirm-payment":
		return l.operator("POST", at+"/payment/confirm", confirmation(fmt.Sprint("another-", l.n), o.Totals.DueNow))
	case "revert-payment":
		return l.operator("POST", at+"/payment/revert", `{"reason":"bounced"}`)
	case "redeliver":
		return l.operator("POST", at+"/items/"+o.Items[0].ID+"/redeliver", "")
	default:
		return l.operator("POST", at+"/"+action, "")
	}
}

func TestEveryActionInEveryState(t *testing.T) {
	t.Parallel()
	for state, row := range matrix {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			down := &atomic.Bool{}
			r := newIntegration(t, harness.WithProvider(func(p provider.Provider) provider.Provider {
				return unreachableProvider{p, down}
			}))
			l := &lifecycle{integration: r, down: down}
			o := l.in(state)
			before := l.rows()
			var byOperator, byCustomer []string
			cells := strings.Fields(row)
			for i, action := range theActions {
				if cells[i] == "+" {
					if action != "redeliver" {
						byOperator = append(byOperator, action)
					}
					continue
				}
				l.wantRefusedOrNothing(cells[i], action, o, before)
			}
			l.wantSameReference(o, before)
			slices.Sort(byOperator)
			for _, action := range byOperator {
				if slices.Contains([]string{"edit", "submit", "cancel", "restore"}, action) {
					byCustomer = append(byCustomer, action)
				}
			}
			l.wantAllowed(o, tenant.Operator, byOperator)
			l.wantAllowed(o, tenant.Admin, byOperator)
			l.wantAllowed(o, tenant.Customer, byCustomer)
			l.wantAllowed(o, tenant.Auditor, nil)
			for i, action := range theActions {
				if cells[i] != "+" {
					continue
				}
				o := l.in(state)
				w := l.act(action, o)
				l.want(action+" in "+state, w, "200")
				if after := l.orderOf(w); after.Version <= o.Version {
					t.Errorf("%s in %s: version %d after %d", action, state, after.Version, o.Version)
				}
				if diff := cmp.Diff(l.operator("GET", "/v1/orders/"+o.ID, "").Body.String(), w.Body.String()); diff != "" {
					t.Errorf("%s in %s: the answer is not what is read (-read +answered):\n%s", action, state, diff)
				}
			}
		})
	}
}

// wantRefusedOrNothing requests an action that the matrix refuses or ignores.
func (l *lifecycle) wantRefusedOrNothing(cell, action string, o orderAnswer, before map[string]string) {
	l.Helper()
	w := l.act(action, o)
	if cell == "=" {
		l.want(action, w, "200")
	} else {
		l.want(action, w, "409 illegal-transition")
		var p struct{ State string }
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.State == "" {
			l.Errorf("%s: the conflict does not name the state: %s", action, w.Body)
		}
	}
	l.wantSameRows(action, before)
}

// wantSameReference confirms a confirmed payment again, which must change nothing.
func (l *lifecycle) wantSameReference(o orderAnswer, before map[string]string) {
	l.Helper()
	if len(o.Payments) == 0 || o.State == "cancelled" || o.State == "failed" {
		return
	}
	w := l.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm", confirmation("paid-"+o.Number, o.Totals.DueNow))
	l.want("the same reference again", w, "200")
	l.wantSameRows("the same reference again", before)
}

// wantAllowed checks the allowed_actions that a role sees.
func (l *lifecycle) wantAllowed(o orderAnswer, role tenant.Role, want []string) {
	l.Helper()
	got := l.orderOf(l.send(l.keyOf(role), "GET", "/v1/orders/"+o.ID, "")).AllowedActions
	slices.Sort(got)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		l.Errorf("allowed_actions for %s in %s (-accepted +allowed):\n%s", role, o.State, diff)
	}
}

func TestAReferenceBelongsToOnePaymentForEver(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	first, second := r.submitted(), r.submitted()
	pay := func(o orderAnswer) *httptest.ResponseRecorder {
		return r.operator("POST", "/v1/orders/"+o.ID+"/payment/confirm", confirmation("one", o.Totals.DueNow))
	}
	r.want("the first", pay(first), "200")
	r.want("for another order", pay(second), "409 payment-reference-in-use")
	r.want("revert", r.operator("POST", "/v1/orders/"+first.ID+"/payment/revert", `{"reason":"bounced"}`), "200")
	r.want("after it was reverted", pay(first), "409 payment-reference-in-use")
	theirs := r.orderOf(r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders", anOrder))
	r.orderOf(r.send(r.OtherTenant.Keys[tenant.Customer], "POST", "/v1/orders/"+theirs.ID+"/submit", ""))
	r.want("another tenant's of the same text", r.send(r.OtherTenant.Keys[tenant.Operator], "POST",
		"/v1/orders/"+theirs.ID+"/payment/confirm", confirmation("one", theirs.Totals.DueNow)), "200")
}

func TestRedeliveriesOfAnItemAreLimited(t *testing.T) {
	t.Parallel()
	r := newIntegration(t)
	o := r.paid()
	r.Drain(parseOrder(t, o.ID))
	target := "/v1/orders/" + o.ID + "/items/" + o.Items[0].ID + "/redeliver"
	for range 3 {
		r.want("redeliver", r.customer("POST", target, ""), "200")
	}
	before := r.rows()
	w := r.customer("POST", target, "", "Idempotency-Key", "fourth")
	r.want("the fourth in an hour", w, "429 redelivery-too-often")
	if w.Header().Get("Retry-After") != "3600" {
		t.Errorf("Retry-After = %q, want an hour", w.Header().Get("Retry-After"))
	}
	r.want("an item that is not the order's", r.customer("POST", "/v1/orders/"+o.ID+"/items/"+noID+"/redeliver", ""),
		"404 not-found")
	r.wantSameRows("a refused redelivery", before)
}
