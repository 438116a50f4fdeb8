// Package app holds the use cases and the engine that carries out the work they begin.
//
// A use case has a file of its own, named for what it does (cancel_order.go). It checks who asks, opens one
// transaction, moves the order by its tables and queues the work that follows. The files engine_*.go move that
// work; engine.go says how, and is the place to begin. The interfaces that the adapters implement are in
// ports*.go. What all use cases share is in app.go, caller.go, permission.go and transaction.go (ADR 0021).
//
// Package app knows the domain and the contracts of providers and payments. It knows no SQL, no broker, no
// HTTP and no mail: those come in through the ports.
package app

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/keyed"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Deps are what the use cases work with. A process that only serves the API leaves Providers, Sealer,
// Credentials and Mailer's sending side unused; nothing is optional but where it says so.
type Deps struct {
	Store           Store
	Accounts        Accounts
	Catalog         CatalogSource
	PaymentWebhooks PaymentWebhookStore
	AuditLog        AuditLog // of the audit login alone
	Clock           Clock
	NewID           func() [16]byte // UUIDv7
	Random          io.Reader       // crypto/rand's, but in tests
	Log             *slog.Logger

	Installation string // part of every provider key; configuration, not a row
	Placement    Placement
	Providers    map[string]provider.Provider
	Payments     map[string]payment.Provider

	Tasks       Tasks
	Sealer      Sealer
	Passphrases PassphraseReader // of the portal's login alone
	Credentials CredentialReader // of the delivery login alone
	Mailer      Mailer
	PortalURL   string // where passphrases are shown; told in delivery mails
	Consumers   func(context.Context) ([]ConsumerStatus, error)
	// where it may post is checked by every process, webhook delivery is the worker's
	WebhookSender       WebhookSender
	Secrets             SecretBox           // of webhooks; nil: this installation has no key for them
	WebhookDeliveryJobs WebhookDeliveryJobs // of the worker's login
	Stats               StatsCache          // nil: every read asks the database
	Rollup              Rollup              // of the worker's login
	Notices             Notices             // of the worker's login

	// Listeners are the consumers that may have parked an event, by name: what a redrive applies it with.
	// Of the worker's login alone.
	Handlers map[string]ConsumerHandler

	// Fallback is how long work waits for its event before it starts by itself (D20): 30 s.
	Fallback time.Duration
}

// Placement maps what was ordered to the account that builds new items of it; configuration, not code.
// An item stays with the account that its task names, whatever the placement says later.
type Placement func(product, region string) (account string, ok bool)

// App has the use cases as methods. Whatever it keeps between two calls only spares the database; it may be
// used concurrently.
type App struct {
	Deps
	alarms alarms

	// orders makes the workers of one order wait for each other in this process before they take a
	// database connection: waiting for the order's row would hold one, and the many items of one order
	// would keep everybody else's work from getting one (ADR 0017).
	orders keyed.Mutex[order.ID]
	// calls counts the calls that are under way to each webhook endpoint.
	calls keyed.Semaphore[WebhookEndpointID]
}

// New makes an App. It panics on a missing dependency that every process needs: that is a fault of
// the wiring, seen at start.
func New(d Deps) *App {
	if d.Store == nil || d.Clock == nil || d.NewID == nil || d.Random == nil || d.Log == nil {
		panic("app: store, clock, ids, randomness and log are required")
	}
	if d.Fallback == 0 {
		d.Fallback = 30 * time.Second
	}
	return &App{Deps: d}
}

// Now is the present moment by the process's clock.
func (a *App) Now() time.Time { return a.Clock.Now() }

func newID[T any](a *App) id.Of[T] { return id.Of[T](a.NewID()) }

// wait divides a wait of policy by the clock's speed.
func (a *App) wait(d time.Duration) time.Duration { return d / time.Duration(max(1, a.Clock.Speed())) }
