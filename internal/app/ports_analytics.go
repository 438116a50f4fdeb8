package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AnalyticsConsumer is the consumer that keeps the roll-up behind the figures: its group, and its name in the
// inbox and on dead letters.
const AnalyticsConsumer event.Consumer = "portal-analytics"

// OrderStats are a tenant's figures (D25). Counts, average and conversion belong to the day on which the
// orders were created, revenue to the day on which a payment was made or a refund accepted, in the tenant's
// time zone and currency.
type OrderStats struct {
	AsOf               time.Time // when they were read
	TimeZone           string
	Today, Week, Month int
	ByState            map[order.State]int
	Average            money.Cents // of orders with a confirmed payment
	Revenue            money.Cents // captured − refunded
	Currency           money.Currency
	Conversion         float64    // orders with a confirmed payment ÷ orders created, this month
	Days               []DayStats // the last StatsDays, oldest first; days on which nothing happened are left out
}

// StatsDays is how many days back OrderStats tells day by day, today included.
const StatsDays = 30

// DayStats are the figures of one day.
type DayStats struct {
	Day     time.Time // its midnight in UTC: a date
	Orders  int       // created
	Paid    int       // of them, with a confirmed payment
	Revenue money.Cents
}

// StatsCache keeps figures for as long as D25 allows.
type StatsCache interface {
	// Get answers with what load gave for the tenant, no longer ago than five minutes. Callers that miss at the
	// same time wait for one load; its errors are kept for nobody. No tenant is an error.
	Get(ctx context.Context, t tenant.ID, load func(ctx context.Context) (OrderStats, error)) (OrderStats, error)
}

// Rollup keeps what the figures are read from: the worker's login.
type Rollup interface {
	// ProjectEvents takes events in, exactly once: marks and figures move in one transaction per 32 tenants at
	// most. A tenant that was not counted yet, and one of whose orders events were missed, is counted from the
	// tables first. A fault of KindNotFound when a tenant has not the order its event names; then, and after
	// any other error, events of other transactions may be in.
	ProjectEvents(ctx context.Context, evs []event.Event) (Handled, error)
	// StaleRollups lists tenants that were not counted yet, or by another time zone than they have now.
	StaleRollups(ctx context.Context) ([]tenant.ID, error)
	// Recount counts a tenant anew from the tables, in one transaction under the lock that ProjectEvents takes, and
	// moves the marks to what it counted.
	Recount(ctx context.Context, t tenant.ID) error
	// CheckRollup compares a tenant's roll-up with a count of the tables, in one snapshot.
	CheckRollup(ctx context.Context, t tenant.ID) (RollupCheck, error)
}

// RollupCheck says how a roll-up stands beside the tables.
type RollupCheck struct {
	Backfilled bool `json:"counted"` // false: the tenant was not counted yet
	// orders with events that are not in yet, such as the last second's
	Behind      int                `json:"behind"`
	Parked      int                `json:"parked"`      // of them, those that stand behind a parked event
	Differences []RollupDifference `json:"differences"` // of the days
}

// Holds reports whether the figures are those of the tables, or will be once the consumer has caught up.
func (c RollupCheck) Holds() bool {
	return len(c.Differences) == 0 || !c.Backfilled || c.Behind > c.Parked
}

// RollupDifference is a day of which roll-up and tables say different things.
type RollupDifference struct {
	Day    string `json:"day"`  // 2006-01-02
	What   string `json:"what"` // revenue, or orders and their state
	Tables string `json:"tables"`
	Rollup string `json:"rollup"`
}
