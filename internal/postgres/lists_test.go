package postgres_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func numbers(p app.Page[*app.Aggregate]) []string {
	list := []string{}
	for _, agg := range p.Data {
		list = append(list, agg.Order.Number)
	}
	return list
}

func TestOrdersAreFoundByEachFilter(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	api := db.API(t)
	add := func(number string, with func(agg *app.Aggregate)) *app.Aggregate {
		t.Helper()
		db.Clock.Advance(time.Hour)
		agg := draft(db, org, 1)
		agg.Order.Number = number
		with(agg)
		insert(t, api, agg)
		return agg
	}
	plain := func(*app.Aggregate) {}
	add("ORD-AAAA0001", plain)
	second := add("ORD-AAAA0002", func(agg *app.Aggregate) {
		agg.Order.ExternalID, agg.Order.Items[0].Label = "po-17", "Web_Front"
	})
	third := add("ORD-BBBB0003", func(agg *app.Aggregate) {
		agg.Order.Customer = org.Members[tenant.Operator].ID
		agg.Order.Items[0].Snapshot.Product = "database"
	})
	fourth := add("ORD-BBBB0004", plain)
	change(t, api, db, org, third.Order.ID, app.Also{}, func(agg *app.Aggregate) {
		_, _ = agg.Order.Fire(order.Submit, "")
	})
	pay(t, db, api, org, third.Order.ID, "ref-3")
	change(t, api, db, org, fourth.Order.ID, app.Also{}, func(agg *app.Aggregate) {
		now := db.Clock.Now()
		_, _ = agg.Order.Fire(order.Cancel, "")
		agg.Order.DeletedAt = &now
	})
	foreign := draft(db, other, 1)
	foreign.Order.Number = "ORD-AAAA0001"
	insert(t, api, foreign)
	settled, none := order.SettlementSettled, order.OutcomeNone
	cases := map[string]struct {
		f    app.OrderFilter
		want []string
	}{
		"all": {app.OrderFilter{}, []string{"ORD-BBBB0003", "ORD-AAAA0002", "ORD-AAAA0001"}},
		"deleted too": {
			app.OrderFilter{Deleted: true}, []string{"ORD-BBBB0004", "ORD-BBBB0003", "ORD-AAAA0002", "ORD-AAAA0001"},
		},
		"cancelled":  {app.OrderFilter{State: order.Cancelled}, []string{"ORD-BBBB0004"}},
		"state":      {app.OrderFilter{State: order.Draft}, []string{"ORD-AAAA0002", "ORD-AAAA0001"}},
		"outcome":    {app.OrderFilter{Outcome: &none, State: order.Draft}, []string{"ORD-AAAA0002", "ORD-AAAA0001"}},
		"settlement": {app.OrderFilter{Settlement: &settled, Deleted: true}, []string{"ORD-BBBB0004"}},
		"customer":   {app.OrderFilter{Customer: org.Members[tenant.Operator].ID}, []string{"ORD-BBBB0003"}},
		"product":    {app.OrderFilter{Product: "database"}, []string{"ORD-BBBB0003"}},
		"reference":  {app.OrderFilter{Reference: "ref-3"}, []string{"ORD-BBBB0003"}},
		"after": {
			app.OrderFilter{CreatedAfter: second.Order.CreatedAt},
			[]string{"ORD-BBBB0003", "ORD-AAAA0002"},
		},
		"before":            {app.OrderFilter{CreatedBefore: second.Order.CreatedAt}, []string{"ORD-AAAA0001"}},
		"number, any case":  {app.OrderFilter{Query: "ord-aaaa"}, []string{"ORD-AAAA0002", "ORD-AAAA0001"}},
		"external id":       {app.OrderFilter{Query: "po-1"}, []string{"ORD-AAAA0002"}},
		"label, any case":   {app.OrderFilter{Query: "WEB_fr"}, []string{"ORD-AAAA0002"}},
		"no wildcards":      {app.OrderFilter{Query: "web%"}, []string{}},
		"not in the middle": {app.OrderFilter{Query: "front"}, []string{}},
		"quote":             {app.OrderFilter{Query: "' OR true --"}, []string{}},
		"nul":               {app.OrderFilter{Query: "web\x00", Product: "\xff"}, []string{}},
	}
	for name, c := range cases {
		c.f.Limit = 100
		if diff := cmp.Diff(c.want, numbers(must(api.Orders(t.Context(), org.ID, c.f)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPagesMeetWithoutGapOrRepetition(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	api := db.API(t)
	var want []string
	for range 7 {
		agg := draft(db, org, 2)
		insert(t, api, agg)
		want = append(want, agg.Order.Number)
	}
	slices.Reverse(want)
	var got []string
	cursor := ""
	for pages := 1; ; pages++ {
		p := must(api.Orders(t.Context(), org.ID, app.OrderFilter{Limit: 3, Cursor: cursor}))
		got = append(got, numbers(p)...)
		for _, agg := range p.Data {
			if len(agg.Order.Items) != 2 || agg.Customer.ID != member(org) || agg.Settings.Slug != "alpha" {
				t.Errorf("order %s is not complete on a page", agg.Order.Number)
			}
		}
		if cursor = p.Next; cursor == "" {
			if pages != 3 {
				t.Errorf("%d pages of 3 for 7 orders, want 3", pages)
			}
			break
		}
		insert(t, api, draft(db, org, 1)) // a new order does not shift the pages
		if p := must(api.Orders(t.Context(), other.ID, app.OrderFilter{Limit: 3, Cursor: cursor})); len(p.Data) != 0 {
			t.Error("a cursor of one tenant shows its orders to another tenant")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestForgedCursorIsMalformed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	for range 2 {
		insert(t, api, draft(db, org, 1))
	}
	orders := must(api.Orders(t.Context(), org.ID, app.OrderFilter{Limit: 1})).Next
	for _, cursor := range []string{"x", "!!!!", orders + "A", orders[1:], orders[:len(orders)-1] + "_", "b3h4"} {
		_, err := api.Orders(t.Context(), org.ID, app.OrderFilter{Limit: 1, Cursor: cursor})
		if f := fault.Of(err); f == nil || f.Kind != fault.KindMalformed || f.Code != "bad-cursor" {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	_, err := api.DeadLetters(t.Context(), org.ID, app.DeadLetterFilter{Limit: 1, Cursor: orders})
	if f := fault.Of(err); f == nil || f.Code != "bad-cursor" {
		t.Errorf("a cursor of another list: %v", err)
	}
}

func TestDeskListsDeadLettersAndWork(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	api := db.API(t)
	fill(t, db, org)
	fill(t, db, other)
	open, closed := app.DeadLetterOpen, app.DeadLetterClosed
	page := must(api.DeadLetters(t.Context(), org.ID, app.DeadLetterFilter{State: &open, Limit: 10}))
	if len(page.Data) != 1 || page.Next != "" {
		t.Fatalf("%d open dead letters, next %q; want 1", len(page.Data), page.Next)
	}
	deadLetter := page.Data[0]
	if diff := cmp.Diff(deadLetter, must(api.DeadLetter(t.Context(), org.ID, deadLetter.ID))); diff != "" {
		t.Errorf("by id (-want +got):\n%s", diff)
	}
	if _, err := api.DeadLetter(t.Context(), other.ID, deadLetter.ID); fault.Of(err) == nil ||
		fault.Of(err).Kind != fault.KindNotFound {
		t.Errorf("another tenant's dead letter: %v", err)
	}
	at := db.Clock.Now()
	change(t, api, db, org, deadLetter.Order, app.Also{}, func(agg *app.Aggregate) {
		agg.DeadLetters[0].State, agg.DeadLetters[0].ClosedAt, agg.DeadLetters[0].Reason = app.DeadLetterClosed, &at, "gone"
		agg.Order.MoveRefund(&agg.Order.Refunds[0], order.RefundAccepted, "bank-1", at, "")
	})
	if page := must(api.DeadLetters(t.Context(), org.ID, app.DeadLetterFilter{
		State: &closed, Order: deadLetter.Order, Limit: 10,
	})); len(page.Data) != 1 || page.Data[0].Reason != "gone" {
		t.Errorf("closed dead letters of the order: %+v", page.Data)
	}
	if page := must(api.DeadLetters(t.Context(), org.ID, app.DeadLetterFilter{
		State: &open, Limit: 10,
	})); len(page.Data) != 0 {
		t.Errorf("still open: %+v", page.Data)
	}
	work := must(api.WorkItems(t.Context(), org.ID, []string{"manual"}, "", 10))
	if len(work.Data) != 1 || work.Data[0].Order != deadLetter.Order || work.Data[0].Reference != "ref-alpha" ||
		!work.Data[0].Since.Equal(at) || work.Data[0].Refund.Cents != 20_10 {
		t.Errorf("work items: %+v", work.Data)
	}
	if work := must(api.WorkItems(t.Context(), other.ID, []string{"manual"}, "", 10)); len(work.Data) != 0 {
		t.Errorf("work items of the other tenant, whose refund was not accepted: %+v", work.Data)
	}
	if work := must(api.WorkItems(t.Context(), org.ID, []string{"gateway"}, "", 10)); len(work.Data) != 0 {
		t.Errorf("work items of a provider that nobody paid by: %+v", work.Data)
	}
}

func TestTheFiguresEqualACountByHand(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	api := db.API(t)
	settings := must(api.Settings(t.Context(), org.ID))
	settings.TimeZone, settings.Version = "Pacific/Auckland", settings.Version+1
	putSettings(t, api, org, settings)
	fill(t, db, other)
	add := func(at string, items int, paid, reverted, refunded bool) {
		t.Helper()
		moment, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		db.Clock.Set(moment)
		agg := draft(db, org, items)
		insert(t, api, agg)
		if !paid {
			return
		}
		change(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
			_, _ = agg.Order.Fire(order.Submit, "")
		})
		pay(t, db, api, org, agg.Order.ID, "ref-"+at)
		change(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
			if refunded {
				r := agg.Order.RequestRefund(newID[order.Refund](db), &agg.Order.Items[0], "")
				agg.Order.MoveRefund(r, order.RefundAccepted, "x", db.Clock.Now(), "")
			}
			if reverted {
				if err := agg.Order.Revert("wrong"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	// Auckland is 13 hours ahead of UTC in March: its Thursday the 12th began at 11:00 UTC on the 11th.
	add("2026-02-10T12:00:00Z", 1, true, false, false)  // last month
	add("2026-02-28T10:59:00Z", 1, false, false, false) // still February there
	add("2026-02-28T11:00:00Z", 2, true, false, true)   // the 1st of March there
	add("2026-03-08T10:59:00Z", 1, true, true, false)   // Sunday there: last week
	add("2026-03-08T11:00:00Z", 1, false, false, false) // Monday
	add("2026-03-11T10:59:00Z", 1, false, false, false) // yesterday
	add("2026-03-11T11:00:00Z", 3, true, false, false)  // today
	now := time.Date(2026, 3, 11, 22, 0, 0, 0, time.UTC)
	day := func(month time.Month, day int) time.Time { return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC) }
	want := app.OrderStats{
		AsOf: now, TimeZone: "Pacific/Auckland", Today: 1, Week: 3, Month: 5, Currency: money.EUR,
		ByState:    map[order.State]int{order.Draft: 3, order.PendingPayment: 1, order.PaymentConfirmed: 3},
		Average:    40_20,                         // (20.10 + 40.20 + 60.30) ÷ 3
		Revenue:    20_10 + 40_20 + 60_30 - 20_10, // the reverted payment does not count
		Conversion: 2.0 / 5,
		Days: []app.DayStats{
			{Day: day(time.February, 11), Orders: 1, Paid: 1, Revenue: 20_10},
			{Day: day(time.February, 28), Orders: 1},
			{Day: day(time.March, 1), Orders: 1, Paid: 1, Revenue: 40_20 - 20_10},
			{Day: day(time.March, 8), Orders: 1},
			{Day: day(time.March, 9), Orders: 1},
			{Day: day(time.March, 11), Orders: 1},
			{Day: day(time.March, 12), Orders: 1, Paid: 1, Revenue: 60_30},
		},
	}
	if diff := cmp.Diff(want, must(api.OrderStats(t.Context(), org.ID, now))); diff != "" {
		t.Errorf("from the tables, before the roll-up exists (-by hand +got):\n%s", diff)
	}
	worker := db.Worker(t)
	if got := must(worker.ProjectEvents(t.Context(), allEvents(t, worker, org))); got.Duplicates == 0 {
		t.Errorf("%+v: the first event of a tenant must make it be counted from the tables", got)
	}
	if diff := cmp.Diff(want, must(api.OrderStats(t.Context(), org.ID, now))); diff != "" {
		t.Errorf("from the roll-up (-by hand +got):\n%s", diff)
	}
}

func putSettings(t testing.TB, api *postgres.DB, org pgtest.Org, s app.Settings) {
	t.Helper()
	if err := api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		tx.PutSettings(s)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsThatChangedMeanwhileConflict(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	s := must(api.Settings(t.Context(), org.ID))
	want := app.Settings{
		Tenant: org.ID, Slug: "alpha", Version: 1, Name: "alpha", Currency: money.EUR, TimeZone: "UTC",
		Language: "en", PaymentMethod: "manual", PaymentDueDays: 14, QuoteValidDays: 30,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	s.Name, s.Version = "Alpha d.o.o.", 2
	putSettings(t, api, org, s)
	late := want
	late.Version = 2
	err := api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error { tx.PutSettings(late); return nil })
	if f := fault.Of(err); f == nil || f.Kind != fault.KindConflict || f.Code != fault.CodeVersionConflict {
		t.Errorf("second writer: %v", err)
	}
	if got := must(api.Settings(t.Context(), org.ID)); got.Name != "Alpha d.o.o." || got.Version != 2 {
		t.Errorf("settings are %+v", got)
	}
}

func TestPrepareReadsWhatCreatingAnOrderNeeds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	api := db.API(t)
	s := must(api.Settings(t.Context(), org.ID))
	s.Currency, s.Version = "CHF", 2
	putSettings(t, api, org, s)
	for at, rate := range []string{"0.95", "0.9321"} {
		if err := api.AddRate(t.Context(), "CHF", order.FX{
			Rate: must(money.ParseRate(rate)), Source: fmt.Sprint("source ", at),
			At: db.Clock.Now().Add(time.Duration(at) * time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
	}
	agg := draft(db, org, 1)
	agg.Order.ExternalID = "po-1"
	insert(t, api, agg)
	prepare := func(as pgtest.Org, n app.NewOrder) (p app.Prepared) {
		t.Helper()
		err := api.InTenant(t.Context(), as.ID, app.With{}, func(tx app.Tx) (err error) {
			p, err = tx.Prepare(t.Context(), n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	got := prepare(org, app.NewOrder{Customer: member(org), ExternalID: "po-1"})
	if got.Customer.Email != "customer@alpha.example" || got.ExternalIDTaken != agg.Order.ID ||
		got.Settings.Currency != "CHF" || got.Rate == nil || got.Rate.Rate.String() != "0.9321" ||
		got.Rate.Source != "source 1" {
		t.Errorf("prepared %+v, rate %+v", got, got.Rate)
	}
	got = prepare(other, app.NewOrder{Customer: member(org), ExternalID: "po-1"})
	if !got.Customer.ID.IsZero() || !got.ExternalIDTaken.IsZero() || got.Rate != nil {
		t.Errorf("another tenant's customer and external id show: %+v", got)
	}
	if err := api.RevokeMember(t.Context(), org.ID, member(org)); err != nil {
		t.Fatal(err)
	}
	if got := prepare(org, app.NewOrder{Customer: member(org)}); !got.Customer.ID.IsZero() {
		t.Error("a revoked member may not order")
	}
	if fx := must(api.Rate(t.Context(), "CHF")); fx == nil || fx.Rate.String() != "0.9321" {
		t.Errorf("rate %+v", fx)
	}
	if fx := must(api.Rate(t.Context(), "JPY")); fx != nil {
		t.Errorf("a rate that nobody set: %+v", fx)
	}
}

func TestAKeyFindsItsActorWhileItIsValid(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, other := db.Two(t)
	api := db.API(t)
	find := func(k string) (tenant.Actor, error) { return api.FindActor(t.Context(), sha256.Sum256([]byte(k))) }
	refused := func(why, k string) {
		t.Helper()
		_, err := find(k)
		want := fault.New(fault.KindUnauthenticated, "unauthenticated", "This request carries no key that is valid here.")
		if diff := cmp.Diff(want, fault.Of(err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", why, diff)
		}
	}
	for role, k := range org.Keys {
		got, err := find(k)
		if err != nil {
			t.Fatal(err)
		}
		want := org.Actor(role)
		want.Scopes = []string{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", role, diff)
		}
	}
	refused("unknown", "nobody's key")
	scoped := postgres.APIKey{
		ID: db.Clock.NewID(), Member: member(org), Hash: sha256.Sum256([]byte("scoped")), Prefix: "sc",
		Scopes: []string{"orders:read"}, CreatedAt: db.Clock.Now(), ExpiresAt: db.Clock.Now().Add(time.Hour),
	}
	if err := api.AddAPIKey(t.Context(), org.ID, scoped); err != nil {
		t.Fatal(err)
	}
	if got := must(find("scoped")); !slices.Equal(got.Scopes, []string{"orders:read"}) {
		t.Errorf("scopes %v", got.Scopes)
	}
	if err := api.RevokeAPIKey(t.Context(), other.ID, scoped.ID); err != nil {
		t.Fatal(err)
	}
	must(find("scoped")) // another tenant cannot revoke it
	if err := api.RevokeAPIKey(t.Context(), org.ID, scoped.ID); err != nil {
		t.Fatal(err)
	}
	refused("revoked key", "scoped")
	if err := api.RevokeMember(t.Context(), org.ID, org.Members[tenant.Operator].ID); err != nil {
		t.Fatal(err)
	}
	refused("revoked member", org.Keys[tenant.Operator])
	db.Clock.Advance(90 * 24 * time.Hour)
	refused("expired key", org.Keys[tenant.Admin])
}

func TestDeliveryKeyIsTheMembersOwn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	put := func(k []byte) {
		t.Helper()
		err := api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
			tx.PutDeliveryKey(member(org), k)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put([]byte("pgp"))
	if m := must(api.Member(t.Context(), org.ID, member(org))); string(m.DeliveryKey) != "pgp" {
		t.Errorf("key %q", m.DeliveryKey)
	}
	put(nil)
	if m := must(api.Member(t.Context(), org.ID, member(org))); m.DeliveryKey != nil {
		t.Errorf("removed key %q", m.DeliveryKey)
	}
	if _, err := api.Member(t.Context(), org.ID, id.Of[tenant.Member](db.Clock.NewID())); fault.Of(err) == nil {
		t.Errorf("a member that does not exist: %v", err)
	}
}
