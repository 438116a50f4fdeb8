// Package process wires one process of an installation: the logins it opens, the use cases it has and the
// loops it runs. The binary and the tests share it, so that a test runs what is shipped (ADR 0009). It
// decides nothing about orders.
package process

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/httpapi"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/portal"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/queue"
	"github.com/platforma-cloud/orders/internal/vault"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// Role is a part of the work of an installation that a process may take on.
type Role string

// The roles (docs/ARCHITECTURE.md, Processes).
const (
	API       Role = "api"
	Portal    Role = "portal"
	Worker    Role = "worker"
	Relay     Role = "relay"
	Provision Role = "provision"
	Billing   Role = "billing"
	Notify    Role = "notify"
	Audit     Role = "audit"
	Live      Role = "live"
)

// Roles returns all roles. A process that is given none has all of them.
func Roles() []Role {
	return []Role{API, Portal, Worker, Relay, Provision, Billing, Notify, Audit, Live}
}

// KnownRole reports whether there is such a role.
func KnownRole(r Role) bool { return slices.Contains(Roles(), r) }

// Config configures a process. A field is required unless its comment says otherwise.
type Config struct {
	Roles        []Role // none: all
	DatabaseURL  string // each login replaces the user
	Kafka        kafka.Cluster
	Installation string // part of every provider key: never change it
	Clock        app.Clock
	Log          *slog.Logger

	Placement app.Placement
	Providers map[string]provider.Provider // by account
	// CheckCatalog returns an error for a catalogue that sells what no account can build, and lists what is
	// not sold for now because its account is drained. Nil: the catalogue is not checked.
	CheckCatalog func([]catalog.Product) (paused []string, err error)
	Payments     map[string]payment.Provider // by name, as Payments makes them

	Mail          mail.Config
	CredentialKEK vault.KEK // not for a process that only serves the API
	PassphraseKEK vault.KEK
	WebhookKEK    vault.KEK      // for API, portal and worker; zero: this installation has no webhooks
	Webhook       webhook.Config // zero in production

	PublicURL string // where customers reach the portal
	Dev       bool
	DemoUsers []portal.DemoUser // only with Dev
	MailURL   string            // only with Dev: the page of the inbox
	Limits    httpkit.Limits

	// Fallback is how long work waits for its event before it begins by itself (D20); 0 is 30 s.
	Fallback time.Duration
	// Poll is how often feeder and relay look for work when no commit of this process wakes them; 0 is 1 s
	// for the feeder and 5 to 100 ms for the relay. Tests that need the waking set an hour.
	Poll time.Duration
	// Alone says that this is the installation's only process, as in dev. It takes over at once what a
	// process that was killed left behind.
	Alone bool
	Conns int // connections in the pool of each login; 0 is the default of package postgres
	// NewID makes UUIDv7s; nil is NewID of this package, which uses real time. Tests use their own clock.
	NewID func() [16]byte
	// Failpoints is nil in every shipped binary.
	Failpoints Failpoints
}

// Failpoints wraps what a process reaches, in builds that let a test end the process at a named moment
// (package failpoint).
type Failpoints interface {
	// Ports wraps the ports of a login's use cases.
	Ports(d *app.Deps)
	// Effect wraps a consumer's effect.
	Effect(apply app.Effect) app.Effect
	// Outbox wraps the relay's outbox.
	Outbox(o app.Outbox) app.Outbox
}

// Process is a running process. Handler serves the API and the pages; the caller provides the listener.
type Process struct {
	Handler http.Handler

	cfg             Config
	instance        string // id of this run of the process, unique in the installation
	useCases        UseCases
	logins          map[string]*postgres.DB
	runner          *queue.Runner
	relay           *kafka.Relay
	hub             *app.Hub
	consumers       []*kafka.Consumer
	periodicJobs    []*periodicJob
	paymentWebhooks *periodicJob
	closing         chan struct{}
	cancel          context.CancelFunc
	running         sync.WaitGroup
}

// Start opens the logins and starts the loops of the process's roles. It returns an error for a database
// that is not safe to use.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if len(cfg.Roles) == 0 {
		cfg.Roles = Roles()
	}
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Process{
		cfg: cfg, instance: requestID(), logins: map[string]*postgres.DB{}, hub: app.NewHub(),
		closing: make(chan struct{}), cancel: cancel,
	}
	if err := p.start(ctx, runCtx); err != nil {
		stopCtx, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		return nil, errors.Join(err, p.Stop(stopCtx))
	}
	return p, nil
}

func (p *Process) start(ctx, runCtx context.Context) error {
	if err := p.openLogins(ctx); err != nil {
		return err
	}
	if err := p.checkCatalog(ctx); err != nil {
		return err
	}
	var err error
	if p.useCases, err = Wire(p.cfg, p.logins, p.consumerStatus); err != nil {
		return err
	}
	if err := p.startWorker(ctx); err != nil {
		return err
	}
	p.startRelay(runCtx)
	p.startConsumers(runCtx)
	p.addStatusJob()
	if p.has(Audit) {
		p.periodicJobs = append(p.periodicJobs, newPeriodicJob("log the audit heads", 24*time.Hour, p.cfg.Log,
			p.useCases.Audit.LogAuditHeads))
	}
	if p.has(Live) {
		p.periodicJobs = append(p.periodicJobs, newPeriodicJob("count tenants whose figures are not of their time zone",
			recountInterval, p.cfg.Log, p.useCases.Worker.RecountStale))
	}
	p.wakeAfterCommits()
	p.serve()
	for _, j := range p.periodicJobs {
		p.startLoop(runCtx, j.run)
	}
	return nil
}

// openLogins opens the logins that the process's roles need.
func (p *Process) openLogins(ctx context.Context) error {
	users := map[string][]Role{
		postgres.LoginAPI:      {API},
		postgres.LoginPortal:   {Portal},
		postgres.LoginWorker:   {Worker, Provision, Billing, Notify, Live, Audit},
		postgres.LoginDelivery: {Worker},
		postgres.LoginRelay:    {Relay},
		postgres.LoginAudit:    {Audit},
	}
	for _, login := range postgres.Logins() {
		if !slices.ContainsFunc(users[login], p.has) {
			continue
		}
		db, err := postgres.Open(ctx, LoginURL(p.cfg.DatabaseURL, login), login, postgres.Options{
			Clock: p.cfg.Clock, NewID: p.cfg.newID(), MaxConns: p.cfg.Conns,
		})
		if err != nil {
			return err
		}
		p.logins[login] = db
	}
	return nil
}

// startRelay starts the relay where the process has that role.
func (p *Process) startRelay(runCtx context.Context) {
	if !p.has(Relay) {
		return
	}
	var outbox app.Outbox = p.logins[postgres.LoginRelay]
	if p.cfg.Failpoints != nil {
		outbox = p.cfg.Failpoints.Outbox(outbox)
	}
	p.relay = kafka.NewRelay(p.cfg.Kafka, 0, p.cfg.Installation, outbox, p.cfg.Log)
	if p.cfg.Poll > 0 {
		p.relay.SetPollInterval(p.cfg.Poll)
	}
	p.startLoop(runCtx, p.relay.RunForever)
}

// recountInterval is how long figures may still use a tenant's former time zone, besides the five minutes
// for which they are cached.
const recountInterval = 15 * time.Second

// noticeInterval is how long it may take until operators are notified of a new cause. The job looks in all
// tenants.
const noticeInterval = 5 * time.Second

// LoginURL returns the address of a database with another user. The passwords of the logins come from
// PostgreSQL's own password file or from certificates, never from an address.
func LoginURL(address, login string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return address // a list of key=value pairs keeps the user that it names
	}
	u.User = url.User(login)
	return u.String()
}

func (p *Process) has(r Role) bool { return slices.Contains(p.cfg.Roles, r) }

// startLoop runs fn in a goroutine. Stop waits for it.
func (p *Process) startLoop(runCtx context.Context, fn func(context.Context)) {
	p.running.Go(func() { fn(runCtx) })
}

// startWorker starts the queues, with a use case for each kind of task, and adds the worker's periodic jobs.
func (p *Process) startWorker(ctx context.Context) error {
	if !p.has(Worker) {
		return nil
	}
	w, db := p.useCases.Worker, p.logins[postgres.LoginWorker]
	queues := []queue.Queue{
		{Name: fulfil.Validate.String(), Workers: 8, Work: w.ValidateOrder},
		{Name: fulfil.Refund.String(), Workers: 4, Work: w.RefundItem},
		{Name: fulfil.Deliver.String(), Workers: 4, Work: w.DeliverCredentials},
		{Name: fulfil.Notify.String(), Workers: 4, Work: w.NotifyCustomer},
		{Name: fulfil.Checkout.String(), Workers: 4, Work: w.CheckoutOrder},
		{Name: fulfil.Redrive.String(), Workers: 2, Work: w.RedriveEvent},
		{Name: fulfil.Webhook.String(), Workers: 16, Work: w.PostWebhook},
	}
	for name := range p.cfg.Providers {
		queues = append(queues, queue.Queue{Name: name, Workers: 16, Work: w.ProvisionItem})
	}
	var err error
	p.runner, err = queue.Start(ctx, queue.Config{
		URL: LoginURL(p.cfg.DatabaseURL, postgres.LoginWorker), Source: db, Queues: queues, Now: p.cfg.Clock.Now,
		Log: p.cfg.Log, Poll: p.cfg.Poll, Alone: p.cfg.Alone,
	})
	if err != nil {
		return err
	}
	p.paymentWebhooks = newPeriodicJob("process payment webhooks", time.Second, p.cfg.Log, w.ProcessPaymentWebhooks)
	p.periodicJobs = append(p.periodicJobs, p.paymentWebhooks,
		newPeriodicJob("expire unpaid orders", time.Minute, p.cfg.Log, w.ExpireOrders),
		newPeriodicJob("look for overdue payments", time.Minute, p.cfg.Log, w.NoteOverdue),
		newPeriodicJob("notify operators", noticeInterval, p.cfg.Log, w.NotifyOperators),
		newPeriodicJob("compare the inventory with the clouds", time.Hour, p.cfg.Log, p.reap),
		newPeriodicJob("purge expired webhook secrets and old deliveries", time.Hour, p.cfg.Log, w.PurgeWebhooks),
		newPeriodicJob("purge idempotency keys", time.Hour, p.cfg.Log, func(ctx context.Context) (int, error) {
			return 0, db.PurgeKeys(ctx, p.cfg.Clock.Now().Add(-72*time.Hour), 5000) // promised 24 h (D30), kept 72
		}))
	return nil
}

// reap compares the inventory with what the clouds list and logs each finding.
func (p *Process) reap(ctx context.Context) (int, error) {
	findings, err := p.useCases.Worker.Reap(ctx, p.logins[postgres.LoginWorker], app.Leftovers)
	for _, f := range findings {
		p.cfg.Log.WarnContext(ctx, "the inventory and a cloud differ: run platforma doctor --orphans",
			"kind", f.Kind.String(), "provider", f.Provider, "ref", f.Ref, "item", f.Item.String())
	}
	return len(findings), err
}

// startConsumers starts the consumers of the process's roles: the five of the routing matrix, and those of
// webhooks and analytics, which read as the portal's. API and portal also follow the topic for live views.
func (p *Process) startConsumers(runCtx context.Context) {
	for _, s := range p.subscriptions() {
		deps := kafka.ConsumerDeps{
			Cluster: p.cfg.Kafka, Refusals: s.refusals, Clock: p.cfg.Clock, Pause: kafka.Wait, Random: random, Log: p.cfg.Log,
		}
		c := kafka.NewConsumer(deps, kafka.Subscription{
			Consumer: s.As, Group: p.cfg.Kafka.Names.Group(s.Name), Name: s.Name, Apply: s.Apply, ApplyAll: s.applyAll,
			Park: s.park,
		})
		p.consumers = append(p.consumers, c)
		p.startLoop(runCtx, func(ctx context.Context) {
			for ctx.Err() == nil {
				if err := c.Run(ctx); err != nil && ctx.Err() == nil {
					p.cfg.Log.ErrorContext(ctx, "consumer stopped; starting it again", "consumer", s.Name, "error", err)
					_ = kafka.Wait(ctx, time.Second)
				}
			}
		})
	}
	if p.has(API) || p.has(Portal) {
		live := kafka.NewLive(p.cfg.Kafka, p.cfg.Log)
		wake := func(ev event.Event) { p.hub.Wake(ev.Tenant, ev.Order) }
		p.startLoop(runCtx, func(ctx context.Context) {
			for ctx.Err() == nil {
				if err := live.Run(ctx, wake); err != nil && ctx.Err() == nil {
					_ = kafka.Wait(ctx, time.Second) // streams poll meanwhile
				}
			}
		})
	}
}

// wakeAfterCommits registers those that a commit may give work. A notification that is lost delays the work
// until the next poll.
func (p *Process) wakeAfterCommits() {
	for _, db := range p.logins {
		if p.runner != nil {
			db.OnCommit(p.runner)
		}
		if p.relay != nil {
			db.OnCommit(p.relay)
		}
		if p.paymentWebhooks != nil {
			db.OnCommit(p.paymentWebhooks)
		}
	}
}

// serve builds the handler that serves the API and the pages, or the health checks where there is no API.
func (p *Process) serve() {
	mux := http.NewServeMux()
	https := strings.HasPrefix(p.cfg.PublicURL, "https://")
	if db := p.logins[postgres.LoginAPI]; db != nil {
		api := httpapi.New(p.useCases.API, httpapi.Config{
			Now: p.cfg.Clock.Now, NewRequestID: requestID, HTTPS: https, Hub: p.hub, Log: p.cfg.Log,
			Ready: db.Ping, Degraded: p.degraded, Closing: p.closing, Limits: p.cfg.Limits,
		})
		for _, at := range []string{
			"/v1/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/", "/problems/", "/schemas/",
		} {
			mux.Handle(at, api)
		}
	} else {
		p.health(mux)
	}
	if p.useCases.Portal != nil {
		mux.Handle("/", portal.New(p.useCases.Portal, portal.Config{
			Dev: p.cfg.Dev, Users: p.cfg.DemoUsers, Simulated: p.simulated, Wakes: p.hub,
			MailURL: p.cfg.MailURL, RequestID: requestID, Now: p.cfg.Clock.Now, Log: p.cfg.Log, Secure: https,
		}))
	}
	p.Handler = mux
}

// simulated reports whether a product is built by the simulated cloud. Without an account, the placement
// decides.
func (p *Process) simulated(product, region, account string) bool {
	if account == "" {
		account, _ = p.cfg.Placement(product, region)
	}
	adapter, ok := p.cfg.Providers[account]
	return ok && adapter.Capabilities().Sim
}

func requestID() string {
	u := NewID()
	return event.ID(u).String()
}

// random returns a number in [0, 1) for jitter, or 0 when the system has no random bytes.
func random() float64 {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<30))
	if err != nil {
		return 0
	}
	return float64(n.Int64()) / (1 << 30)
}

// Stop lets running tasks finish until ctx ends, then ends the loops and closes the logins.
func (p *Process) Stop(ctx context.Context) error {
	select {
	case <-p.closing:
	default:
		close(p.closing)
	}
	var err error
	if p.runner != nil {
		err = p.runner.Stop(ctx)
	}
	p.cancel()
	p.running.Wait()
	for _, db := range p.logins {
		db.Close()
	}
	return err
}
