package app

import (
	"context"
	"time"

	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// AnalyticsConsumer is the consumer that maintains the roll-up. It is the name of its consumer group, and its name
// in the inbox and on dead letters.
const AnalyticsConsumer event.Consumer = "portal-analytics"

// OrderStats are a tenant's figures (D25), in its time zone and currency. Counts, average and conversion belong
// to the day on which an order was created; revenue belongs to the day on which a payment was made or a refund
// accepted.
type OrderStats struct {
	AsOf               time.Time // when they were read
	TimeZone           string
	Today, Week, Month int
	ByState            map[order.State]int
	Average            money.Cents // of orders with a confirmed payment
	Revenue            money.Cents // captured minus refunded
	Currency           money.Currency
	Conversion         float64    // orders with a confirmed payment divided by orders created, this month
	Days               []DayStats // the last StatsDays, oldest first; days on which nothing happened are left out
}

// StatsDays is the number of days that OrderStats lists one by one, today included.
const StatsDays = 30

// DayStats are the figures of one day.
type DayStats struct {
	Day     time.Time // a date: midnight in UTC
	Orders  int       // orders created
	Paid    int       // those of them with a confirmed payment
	Revenue money.Cents
}

// StatsCache caches figures for as long as D25 allows.
type StatsCache interface {
	// Get returns what load returned for the tenant, at most five minutes ago. Callers that miss at the same time
	// share one load. An error of load is not cached. The zero tenant is an error.
	Get(ctx context.Context, t tenant.ID, load func(ctx context.Context) (OrderStats, error)) (OrderStats, error)
}

// Rollup is the table of sums from which the figures are read. It needs the worker's login.
type Rollup interface {
	// ProjectEvents adds events to the roll-up, exactly once. Checkpoints and figures move together, in one
	// transaction for at most 32 tenants. It first recounts from the tables a tenant that was not counted yet, and
	// one that missed events of an order. It is a fault of KindNotFound when an event's tenant has no such order.
	// After any error the events of other transactions may have been added.
	ProjectEvents(ctx context.Context, evs []event.Event) (Handled, error)
	// StaleRollups lists the tenants that were never counted, or were counted in another time zone than their
	// current one.
	StaleRollups(ctx context.Context) ([]tenant.ID, error)
	// Recount replaces a tenant's roll-up with a count of the tables, and moves the checkpoints to what it counted.
	// It runs in one transaction, under the lock that ProjectEvents takes.
	Recount(ctx context.Context, t tenant.ID) error
	// CheckRollup compares a tenant's roll-up with a count of the tables, in one snapshot.
	CheckRollup(ctx context.Context, t tenant.ID) (RollupCheck, error)
}

// RollupCheck is the comparison of a tenant's roll-up with the tables.
type RollupCheck struct {
	Backfilled  bool               `json:"counted"`     // false: the tenant was not counted yet
	Behind      int                `json:"behind"`      // orders with events that are not projected yet
	Parked      int                `json:"parked"`      // those of them that are behind a parked event
	Differences []RollupDifference `json:"differences"` // by day
}

// Holds reports whether the figures equal the tables, or will once the consumer has caught up.
func (c RollupCheck) Holds() bool {
	return len(c.Differences) == 0 || !c.Backfilled || c.Behind > c.Parked
}

// RollupDifference is a figure of a day that differs between the roll-up and the tables.
type RollupDifference struct {
	Day    string `json:"day"`  // 2006-01-02
	What   string `json:"what"` // "revenue", or "orders" and their state
	Tables string `json:"tables"`
	Rollup string `json:"rollup"`
}
