// Package app implements the use cases of the product and the engine that carries out their work.
//
// Each use case has its own file, named for what it does (cancel_order.go). It checks the caller's permission,
// opens one transaction, changes one aggregate and adds the tasks that follow. The engine runs those tasks:
// start with engine.go, which explains how, and continue with the files engine_*.go. The interfaces that the
// adapters implement are in ports*.go. app.go, caller.go, permission.go and transaction.go hold what all use
// cases share (ADR 0021).
//
// Package app depends on the domain and on the contracts of cloud and payment providers. It must not know SQL,
// Kafka, HTTP or SMTP; the adapters bring those in through the ports.
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

// Deps are the dependencies of the use cases. A process sets those that its roles use: one that only serves
// the API leaves Providers, Sealer and Credentials empty. New requires what every process needs.
type Deps struct {
	// For every process.

	Store           Store
	Accounts        Accounts
	Catalog         CatalogSource
	PaymentWebhooks PaymentWebhookStore
	Clock           Clock
	NewID           func() [16]byte // returns a UUIDv7
	Random          io.Reader       // crypto/rand, except in tests
	Log             *slog.Logger
	Installation    string                      // part of every provider key; set by configuration
	Payments        map[string]payment.Provider // by name
	Placement       Placement
	Mailer          Mailer        // only workers send; other processes check delivery keys with it
	WebhookSender   WebhookSender // only workers post; other processes check URLs with it
	Secrets         SecretBox     // for webhook signing secrets; nil when the installation has no key for them
	Stats           StatsCache    // nil: every read queries the database
	PortalURL       string        // base of the links in mails; "" for none
	Consumers       func(context.Context) ([]ConsumerStatus, error)

	// For workers.

	Tasks               Tasks
	WebhookDeliveryJobs WebhookDeliveryJobs
	Providers           map[string]provider.Provider // by account
	Sealer              Sealer
	Rollup              Rollup
	Notices             Notices
	Handlers            map[string]ConsumerHandler // by consumer; RedriveEvent applies a parked event with them

	// Each of these needs a database login of its own.

	AuditLog    AuditLog         // the audit login
	Passphrases PassphraseReader // the portal's login
	Credentials CredentialReader // the delivery login

	// Fallback is how long a task waits for the event that makes it due before it starts by itself (D20).
	// 0 is 30 s.
	Fallback time.Duration
}

// Placement returns the account that builds new items of a product in a region. It comes from configuration.
// An existing item stays with the account that its task records, whatever the placement says later.
type Placement func(product, region string) (account string, ok bool)

// App has the use cases as methods. It keeps no state of an order between calls and may be used concurrently.
type App struct {
	Deps
	alarms alarms

	// orders serializes the workers of one order within this process, before they take a database connection.
	// A worker that waited for the order's row would hold a connection meanwhile, so an order with many items
	// could leave none for other orders (ADR 0017).
	orders keyed.Mutex[order.ID]
	// calls counts the calls in flight to each webhook endpoint.
	calls keyed.Semaphore[WebhookEndpointID]
}

// New returns an App. It panics when a dependency that every process needs is missing: that is a wiring fault,
// seen at start-up.
func New(d Deps) *App {
	if d.Store == nil || d.Clock == nil || d.NewID == nil || d.Random == nil || d.Log == nil {
		panic("app: store, clock, ids, randomness and log are required")
	}
	if d.Fallback == 0 {
		d.Fallback = 30 * time.Second
	}
	return &App{Deps: d}
}

// Now returns the current time of the process's clock.
func (a *App) Now() time.Time { return a.Clock.Now() }

func newID[T any](a *App) id.Of[T] { return id.Of[T](a.NewID()) }

// wait scales a policy's wait by the clock's speed.
func (a *App) wait(d time.Duration) time.Duration { return d / time.Duration(max(1, a.Clock.Speed())) }
