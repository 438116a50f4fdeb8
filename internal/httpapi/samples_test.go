package httpapi

import (
	"encoding/json"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/app/apptest"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

var (
	now      = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	tenantA  = id.MustParse[tenant.Tenant]("01900000-0000-7000-8000-0000000000f1")
	ana      = id.MustParse[tenant.Member]("01900000-0000-7000-8000-0000000000c1")
	theOrder = id.MustParse[order.Order]("01900000-0000-7000-8000-000000000001")
	theItem  = id.MustParse[order.Item]("01900000-0000-7000-8000-0000000000a1")
	absent   = "01900000-0000-7000-8000-00000000dead"
)

const (
	rightKey  = "pk_test_right_key_of_ana_0001"
	secondKey = "pk_test_second_key_of_ana_0002"
)

// sampleAggregate is a paid order of one VPS.
func sampleAggregate() *app.Aggregate {
	payment := id.MustParse[order.Payment]("01900000-0000-7000-8000-0000000000b9")
	return &app.Aggregate{
		Settings: app.Settings{
			Tenant: tenantA, Version: 4, Currency: "EUR", Name: "Example d.o.o.", TimeZone: "Europe/Ljubljana",
			PaymentMethod: "manual", PaymentDueDays: 14, QuoteValidDays: 30,
		},
		Order: &order.Order{
			ID: theOrder, Tenant: tenantA, Number: "ORD-7K3M9QXZ", ExternalID: "po-4711", Customer: ana,
			State: order.PaymentConfirmed, Version: 3, Method: "manual", Currency: "EUR", Due: 20_10,
			CreatedAt: now.Add(-2 * time.Minute), UpdatedAt: now.Add(1234567 * time.Nanosecond),
			Items: []order.Item{{
				ID: theItem, Line: 1, State: order.ItemPending, Label: "web-1", Generation: 1, Price: 20_10,
				Snapshot: order.Snapshot{
					Product: "vps", Plan: "business", Region: "lj-1", BillingCycle: "monthly",
					Configuration: json.RawMessage(`{"os_image":"debian-12"}`), Lines: sampleLines(), Monthly: 20_10, Due: 20_10,
				},
			}},
			Payments: []order.Payment{{
				ID: payment, State: order.PaymentLive, Provider: "manual", Reference: "SI56-2026-0042",
				Method: "bank_transfer", Due: 20_10, Paid: 20_10, Currency: "EUR", PaidAt: now,
				Allocations: []order.Allocation{{Item: theItem, Cents: 20_10}},
			}},
		},
	}
}

func sampleLines() []order.PriceLine {
	return []order.PriceLine{{Component: "plan", Quantity: 1, UnitPrice: 20_10, Amount: 20_10}}
}

// seed adds Ana, an admin with two API keys, and her order to the fake.
func seed(f *apptest.Fake, agg *app.Aggregate) {
	f.AddTenant(agg.Settings.Name, func(s *app.Settings) { *s = agg.Settings })
	f.AddMember(tenantA, app.Member{ID: ana, Role: tenant.Admin, Email: "ana@example.com"}, rightKey, secondKey)
	f.AddOrder(agg)
}

// prepareAnswers sets fixed answers of two groups of use cases. Those of the first group change something; the API only
// passes the input on and shows the result, whatever the order's state allows. Tests compare the answers of the
// second group member by member. All other use cases answer from the fake's memory.
func prepareAnswers(f *apptest.Fake, agg *app.Aggregate) {
	for _, name := range []string{
		"CreateOrder", "EditOrder", "SubmitOrder", "CancelOrder", "RestoreOrder", "HoldOrder", "ReleaseOrder",
		"Redeliver", "ConfirmPayment", "RevertPayment", "FinishWorkItem",
	} {
		apptest.Answer(f, name, agg)
	}
	apptest.Answer(f, "AllowedActions", []order.Action{order.ActCancel, order.ActHold})
	apptest.Answer(f, "Quote", sampleQuote())
	changed := agg.Settings
	changed.Version++
	apptest.Answer(f, "PutSettings", changed)
	prepareOperations(f, agg)
	prepareWebhooks(f)
}

// sampleQuote is a quote of two items, of which the second has a fault.
func sampleQuote() app.Quote {
	return app.Quote{
		Currency: "EUR", Totals: order.Totals{Monthly: 20_10, DueNow: 20_10},
		Items: []app.QuotedItem{
			{OK: true, Cycle: "monthly", Monthly: 20_10, Due: 20_10, Lines: sampleLines()},
			{Cycle: "monthly"},
		},
		Faults: []fault.Violation{
			{Pointer: "/items/1/region", Code: "region-not-offered", Message: "Not there.", Allowed: []any{"lj-1"}},
		},
	}
}

func sampleDeadLetter() app.DeadLetter {
	return app.DeadLetter{
		ID: id.Of[app.DeadLetter]{15: 7}, Order: theOrder, Item: theItem, Source: "step", Class: fault.Retryable,
		Code: "compensation-exhausted", Step: "server", Attempts: 6, FirstFailedAt: now, At: now.Add(time.Minute),
	}
}

// sampleDeadLetterDetail is a dead letter of an item whose server is left at the provider.
func sampleDeadLetterDetail(o *order.Order) app.DeadLetterDetail {
	call := app.LogEntry{
		At: now, Step: "server", What: app.LogAnswer, Class: fault.Retryable, Took: 12 * time.Millisecond,
		Note: "the provider answered: retryable",
	}
	return app.DeadLetterDetail{
		DeadLetter: sampleDeadLetter(), Of: o, About: &o.Items[0], Calls: []app.LogEntry{call}, LastAnswer: &call,
		AbandonReasons: []app.AbandonReason{app.RemovedByHand},
		Remaining:      []fulfil.Resource{{Step: "server", Generation: 1, Phase: fulfil.Deleting, Refs: []string{"srv-1"}}},
		Refund:         &order.Refund{State: order.RefundAccepted, Item: theItem, Cents: 20_10, Currency: "EUR"},
	}
}

func prepareOperations(f *apptest.Fake, agg *app.Aggregate) {
	deadLetter, at := sampleDeadLetter(), now
	apptest.Answer(f, "DeadLetters", app.Page[app.DeadLetter]{Data: []app.DeadLetter{deadLetter}})
	apptest.Answer(f, "DeadLetterGroups", []app.DeadLetterGroup{
		{Cause: "compensation-exhausted", Class: fault.Retryable, Count: 3, Oldest: now, Newest: now.Add(time.Minute)},
	})
	apptest.Answer(f, "DeadLetter", sampleDeadLetterDetail(agg.Order))
	apptest.Answer(f, "RedriveDeadLetters", app.RedriveReport{DeadLetters: []app.Redriven{
		{DeadLetter: deadLetter.ID, Order: theOrder, Outcome: app.RedriveDone},
		{
			DeadLetter: id.Of[app.DeadLetter]{15: 8}, Outcome: app.RedriveRefused, Code: "not-stuck",
			Detail: "Nothing is stuck.",
		},
	}})
	for _, name := range []string{"RedriveDeadLetter", "AdoptDeadLetter", "WithdrawAbandonment"} {
		apptest.Answer(f, name, deadLetter)
	}
	deadLetter.Abandonment = app.Abandonment{
		AbandonReason: app.RemovedByHand, Text: "Deleted at the console", Proof: "Ticket OPS-311", FirstBy: ana, FirstAt: &at,
	}
	apptest.Answer(f, "AbandonDeadLetter", deadLetter)
	apptest.Answer(f, "WorkItems", app.Page[app.WorkItem]{Data: []app.WorkItem{{
		Refund: order.Refund{State: order.RefundAccepted, Cents: 20_10, Currency: "EUR"},
		Order:  theOrder, Number: "ORD-7K3M9QXZ", Since: now,
	}}})
	apptest.Answer(f, "OrderStats", app.OrderStats{
		AsOf: now, TimeZone: "Europe/Ljubljana", Today: 1, ByState: map[order.State]int{order.Fulfilled: 2},
		Average: 84_10, Revenue: 168_20, Currency: "EUR", Conversion: 0.5,
		Days: []app.DayStats{{Day: now.Truncate(24 * time.Hour), Orders: 1, Paid: 1, Revenue: 168_20}},
	})
	apptest.Answer(f, "Routing", app.Routing{
		Events:    []app.RoutedEvent{{Type: order.EvCreated, Consumers: []event.Consumer{event.Audit, event.Portal}}},
		Consumers: []app.ConsumerStatus{{Group: "audit", Applied: 3, Lag: 1500 * time.Millisecond, LagEvents: 2}},
	})
}

func prepareWebhooks(f *apptest.Fake) {
	e := app.WebhookEndpoint{
		ID: app.WebhookEndpointID{15: 0xe1}, Version: 3, URL: "https://hooks.example.com/",
		Types: []event.Type{order.EvFulfilled},
		State: app.WebhookEndpointFailing, Why: app.WebhookEndpointExhausted, Since: now,
		Secrets: []app.SecretInfo{{CreatedAt: now}}, CreatedAt: now, UpdatedAt: now,
	}
	delivery := app.WebhookDelivery{
		ID: app.WebhookDeliveryID{15: 0xe2}, WebhookEndpoint: e.ID, Order: theOrder, Seq: 1, Event: event.ID{15: 1},
		Type: order.EvFulfilled, State: app.WebhookDeliveryFailed, Calls: 10, LastStatus: 500, LastResult: app.CallRefused,
		CreatedAt: now, DoneAt: now.Add(time.Minute),
	}
	for _, name := range []string{"AddWebhookEndpoint", "RotateWebhookSecret"} {
		apptest.Answer(f, name, app.IssuedSecret{WebhookEndpoint: e, Secret: "whsec_c2VjcmV0"})
	}
	for _, name := range []string{"EditWebhookEndpoint", "DeleteWebhookEndpoint", "WebhookEndpoint"} {
		apptest.Answer(f, name, e)
	}
	apptest.Answer(f, "WebhookEndpoints", []app.WebhookEndpoint{e})
	apptest.Answer(f, "WebhookDeliveries", app.Page[app.WebhookDelivery]{Data: []app.WebhookDelivery{delivery}})
	apptest.Answer(f, "ReplayWebhookDelivery", delivery)
	delivery.Log = []app.WebhookDeliveryCall{
		{N: 1, At: now, Status: 500, Result: app.CallRefused, Took: 12 * time.Millisecond, Excerpt: "Oh no"},
	}
	apptest.Answer(f, "WebhookDelivery", delivery)
}
