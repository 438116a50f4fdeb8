package harness_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/harness"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// tripsWalk takes an order through every use case that writes, and counts the round trips on its one connection.
// Statements are prepared on their first use, so the first walk is not counted.
type tripsWalk struct {
	*testing.T
	*harness.Harness
	api     *app.App
	trips   *pgtest.Trips
	n       int
	counted map[string]int64 // by use case; nil while warming up
}

// caller returns a caller in a role with a new idempotency key. The key is written in the transaction of the use case.
func (k *tripsWalk) caller(r tenant.Role) app.Caller {
	k.n++
	c := k.As(r)
	key := fmt.Sprint("trips-", k.n)
	c.Key = &app.IdempotencyKey{
		Key: key, Fingerprint: sha256.Sum256([]byte(key)),
		Encode: func(any, error) (app.Answer, error) {
			return app.Answer{Status: 200, Body: []byte("{}")}, nil
		},
	}
	c.NeedsKey = true
	return c
}

func (k *tripsWalk) call(useCase string, fn func(ctx context.Context) error) {
	k.Helper()
	if _, err := k.api.Catalog(k.T.Context()); err != nil { // refreshes the cached catalogue, outside the count
		k.Fatal(err)
	}
	n := k.trips.During(func() {
		if err := fn(k.T.Context()); err != nil {
			k.Fatalf("%s: %v", useCase, err)
		}
	})
	if k.counted != nil {
		k.counted[useCase] = max(n, k.counted[useCase])
	}
}

// callOrder is call for a use case that returns the order.
func (k *tripsWalk) callOrder(useCase string, fn func(ctx context.Context) (*app.Aggregate, error)) *app.Aggregate {
	k.Helper()
	var agg *app.Aggregate
	k.call(useCase, func(ctx context.Context) (err error) {
		agg, err = fn(ctx)
		return err
	})
	return agg
}

func (k *tripsWalk) pay(agg *app.Aggregate) {
	k.Helper()
	k.callOrder("confirm", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.ConfirmPayment(ctx, k.caller(tenant.Operator), app.ConfirmPayment{
			Order: agg.Order.ID, Reference: fmt.Sprint("r", k.n),
			Amount: event.Amount{Amount: money.Format(agg.Order.Due, agg.Order.Currency), Currency: agg.Order.Currency},
		})
	})
}

func (k *tripsWalk) submit(o order.ID) *app.Aggregate {
	k.Helper()
	return k.callOrder("submit", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.SubmitOrder(ctx, k.caller(tenant.Customer), app.SubmitOrder{Order: o})
	})
}

func (k *tripsWalk) walk() {
	k.Helper()
	agg := k.callOrder("create", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.CreateOrder(ctx, k.caller(tenant.Customer), app.CreateOrder{
			ExternalID: fmt.Sprint("po-", k.n), Items: []app.ItemInput{harness.VPS(), harness.Database()},
		})
	})
	o := agg.Order.ID
	why := app.Reasoned{Order: o, Reason: "why"}
	k.callOrder("edit", func(ctx context.Context) (*app.Aggregate, error) {
		items := []app.ItemInput{harness.VPS()}
		return k.api.EditOrder(ctx, k.caller(tenant.Customer), app.EditOrder{
			Order: o, Precondition: app.Precondition{Version: &agg.Order.Version}, Items: &items,
		})
	})
	agg = k.submit(o)
	k.pay(agg)
	for _, v := range []struct {
		useCase string
		fn      func(context.Context, app.Caller, app.Reasoned) (*app.Aggregate, error)
	}{{"hold", k.api.HoldOrder}, {"release", k.api.ReleaseOrder}, {"revert", k.api.RevertPayment}} {
		k.callOrder(v.useCase, func(ctx context.Context) (*app.Aggregate, error) {
			return v.fn(ctx, k.caller(tenant.Operator), why)
		})
	}
	k.pay(agg)
	k.callOrder("cancel", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.CancelOrder(ctx, k.caller(tenant.Customer), why)
	})
	k.Drain(o)
	refund := k.Order(o).Order.Refunds[0].ID
	k.callOrder("finish work item", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.FinishWorkItem(ctx, k.caller(tenant.Operator), refund, o, "sent")
	})
	k.callOrder("restore", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.RestoreOrder(ctx, k.caller(tenant.Customer), why)
	})
	k.pay(k.submit(o))
	k.Drain(o)
	k.callOrder("redeliver", func(ctx context.Context) (*app.Aggregate, error) {
		return k.api.Redeliver(ctx, k.caller(tenant.Customer), app.Redeliver{Order: o, Item: k.Item(o, "vps").ID})
	})
	k.Drain(o)
	k.tenantSettings()
	k.redrive()
}

func (k *tripsWalk) tenantSettings() {
	k.Helper()
	k.call("delivery key", func(ctx context.Context) error {
		_, err := k.api.PutDeliveryKey(ctx, k.caller(tenant.Customer), []byte(harness.PublicKey))
		return err
	})
	s, err := k.api.Settings(k.T.Context(), k.As(tenant.Admin))
	if err != nil {
		k.Fatal(err)
	}
	k.call("settings", func(ctx context.Context) error {
		_, err := k.api.PutSettings(ctx, k.caller(tenant.Admin), s, app.Precondition{Version: &s.Version})
		return err
	})
}

// redrive leaves the compensation of an item stuck and redrives it.
func (k *tripsWalk) redrive() {
	k.Helper()
	k.Sim.Script(sim.Fault{Label: "stays", Operation: sim.OpDelete, Kind: "refused"})
	k.Sim.Script(sim.Fault{Label: "stays", Step: "server", Operation: sim.OpCreate, Kind: "invalid"})
	o := k.PaidOrder(harness.Labelled(harness.VPS(), "stays"))
	k.Drain(o)
	k.Sim.ClearFaults()
	if !strings.Contains(k.Summary(o), "stays stuck") {
		k.Fatalf("nothing is stuck: %s", k.Summary(o))
	}
	for _, dl := range k.Order(o).DeadLetters {
		if dl.Code == "compensation-exhausted" {
			k.call("redrive", func(ctx context.Context) error {
				_, err := k.api.RedriveDeadLetter(ctx, k.caller(tenant.Operator), dl.ID, "")
				return err
			})
		}
	}
	k.Drain(o)
}

func TestEveryUseCaseThatWritesMakesAtMostTwoRoundTrips(t *testing.T) {
	t.Parallel()
	h := harness.New(t)
	k := &tripsWalk{T: t, Harness: h, trips: &pgtest.Trips{}}
	useCases, err := process.Wire(h.Config,
		map[string]*postgres.DB{
			postgres.LoginAPI: h.DB.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 1, DialFunc: k.trips.Dial}),
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.api = useCases.API
	k.walk()
	k.counted = map[string]int64{}
	k.walk()
	for _, useCase := range []string{
		"create", "edit", "submit", "confirm", "hold", "release", "revert", "cancel", "finish work item", "restore",
		"redeliver", "delivery key", "settings", "redrive",
	} {
		if n := k.counted[useCase]; n < 1 || n > 2 {
			t.Errorf("%s makes %d round trips, want one or two", useCase, n)
		}
	}
	if len(k.counted) != 14 {
		t.Errorf("%d use cases were counted, want 14: %v", len(k.counted), k.counted)
	}
}
