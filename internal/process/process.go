// Package process wires one process of an installation: which logins it opens, which use cases it gets,
// which loops it runs. The binary and the test kit share it, so that a test runs what is shipped
// (ADR 0009). It decides nothing about orders.
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

// Role is a part of the work that a process may take on.
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

// Roles lists all of them: a process without a choice takes every one.
func Roles() []Role {
	return []Role{API, Portal, Worker, Relay, Provision, Billing, Notify, Audit, Live}
}

// Known reports whether there is such a role.
func Known(r Role) bool { return slices.Contains(Roles(), r) }

// Config of a process. Everything is required but where it says so.
type Config struct {
	Roles        []Role // none: all
	DatabaseURL  string // its user is replaced by each login's
	Kafka        kafka.Cluster
	Installation string // part of every provider key: never change it
	Clock        app.Clock
	Log          *slog.Logger

	Placement app.Placement
	Providers map[string]provider.Provider // by account
	// CheckCatalog refuses a catalogue that sells what no account can build, and names what is not sold for
	// now; nil: nothing is checked.
	CheckCatalog func([]catalog.Product) (paused []string, err error)
	Payments     map[string]payment.Provider

	Mail          mail.Config
	CredentialKEK vault.KEK // not given to a process that only serves the API
	PassphraseKEK vault.KEK
	WebhookKEK    vault.KEK      // of API, portal and worker; zero: this installation has no webhooks
	Webhook       webhook.Config // zero in production

	PublicURL string // where customers reach the portal
	Dev       bool
	DemoUsers []portal.DemoUser // of dev
	MailURL   string            // of dev: the inbox
	Limits    httpkit.Limits

	// Fallback is how long work waits for its event (D20); 0 is 30 s.
	Fallback time.Duration
	// Poll is how often feeder and relay look for work when no commit of this process wakes them; 0 is a
	// second and 5 to 100 ms. Tests set an hour, to see the waking.
	Poll time.Duration
	// Alone says that this is the installation's only process, as in dev: what a kill of its predecessor
	// left behind is taken up at once.
	Alone bool
	Conns int // of each login's pool; 0 is the store's default
	// NewID makes UUIDv7s; nil is this package's, by real time. Tests give their clock's.
	NewID func() [16]byte
	// Seam is nil in every shipped binary.
	Failpoints Failpoints
}

// Seam stands between a process and what it reaches, in builds that let a test end the process at a
// named moment (package failpoint).
type Failpoints interface {
	// Ports changes what a login's use cases work with.
	Ports(d *app.Deps)
	// Effect wraps a consumer's effect, Outbox the relay's outbox.
	Effect(apply app.Effect) app.Effect
	Outbox(o app.Outbox) app.Outbox
}

// Process is running work. Handler serves API and pages; it listens nowhere by itself.
type Process struct {
	Handler http.Handler

	cfg          Config
	instance     string // this run of the process, told apart from every other
	useCases     UseCases
	logins       map[string]*postgres.DB
	runner       *queue.Runner
	relay        *kafka.Relay
	hub          *app.Hub
	readers      []*kafka.Consumer
	periodicJobs []*periodicJob
	webhooks     *periodicJob
	closing      chan struct{}
	cancel       context.CancelFunc
	running      sync.WaitGroup
}

// Start opens the logins, refuses an unsafe database, and begins to work.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if len(cfg.Roles) == 0 {
		cfg.Roles = Roles()
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &Process{
		cfg: cfg, instance: requestID(), logins: map[string]*postgres.DB{}, hub: app.NewHub(), closing: make(chan struct{}),
		cancel: cancel,
	}
	if err := p.start(ctx, run); err != nil {
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer done()
		return nil, errors.Join(err, p.Stop(stop))
	}
	return p, nil
}

func (p *Process) start(ctx, run context.Context) error {
	needs := map[string][]Role{
		postgres.LoginAPI: {API}, postgres.LoginPortal: {Portal}, postgres.LoginWorker: {
			Worker, Provision,
			Billing, Notify, Live, Audit,
		},
		postgres.LoginDelivery: {Worker}, postgres.LoginRelay: {Relay}, postgres.LoginAudit: {Audit},
	}
	for _, login := range postgres.Logins() {
		if !slices.ContainsFunc(needs[login], p.has) {
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
	if err := p.checkCatalog(ctx); err != nil {
		return err
	}
	var err error
	if p.useCases, err = Wire(p.cfg, p.logins, p.everywhere); err != nil {
		return err
	}
	if err := p.startWorker(ctx); err != nil {
		return err
	}
	if p.has(Relay) {
		var outbox app.Outbox = p.logins[postgres.LoginRelay]
		if p.cfg.Failpoints != nil {
			outbox = p.cfg.Failpoints.Outbox(outbox)
		}
		p.relay = kafka.NewRelay(p.cfg.Kafka, 0, p.cfg.Installation, outbox, p.cfg.Log)
		if p.cfg.Poll > 0 {
			p.relay.Poll(p.cfg.Poll)
		}
		p.loop(run, p.relay.RunForever)
	}
	if err := p.startConsumers(run); err != nil {
		return err
	}
	p.tellStatus()
	if p.has(Audit) {
		p.periodicJobs = append(p.periodicJobs, newPeriodicJob("tell the audit heads", 24*time.Hour, p.cfg.Log,
			p.useCases.Audit.TellAuditHeads))
	}
	if p.has(Live) {
		p.periodicJobs = append(p.periodicJobs, newPeriodicJob("count tenants whose figures are not of their time zone",
			recountEvery, p.cfg.Log, p.useCases.Worker.RecountStale))
	}
	p.kickAfterCommits()
	p.serve()
	for _, c := range p.periodicJobs {
		p.loop(run, c.run)
	}
	return nil
}

// recountEvery is how long figures may be those of a time zone that was changed, beside their five minutes.
const recountEvery = 15 * time.Second

// noticeEvery is how long the first notice of a cause may take; it is looked for in all tenants.
const noticeEvery = 5 * time.Second

// LoginURL is a database's address with another user. Passwords of the logins come from PostgreSQL's
// own password file or certificates, never from an address.
func LoginURL(address, login string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return address // a list of key=value pairs: whoever wrote it names the user
	}
	u.User = url.User(login)
	return u.String()
}

func (p *Process) has(r Role) bool { return slices.Contains(p.cfg.Roles, r) }

// loop runs fn until the process stops; Stop waits for it.
func (p *Process) loop(run context.Context, fn func(context.Context)) {
	p.running.Go(func() { fn(run) })
}

// startWorker gives the tasks their use cases.
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
	p.webhooks = newPeriodicJob("payment webhooks", time.Second, p.cfg.Log, w.ProcessPaymentWebhooks)
	p.periodicJobs = append(p.periodicJobs, p.webhooks,
		newPeriodicJob("expire unpaid orders", time.Minute, p.cfg.Log, w.ExpireOrders),
		newPeriodicJob("look for overdue payments", time.Minute, p.cfg.Log, w.NoteOverdue),
		newPeriodicJob("tell operators", noticeEvery, p.cfg.Log, w.TellOperators),
		newPeriodicJob("compare inventories with the books", time.Hour, p.cfg.Log, func(ctx context.Context) (int, error) {
			found, err := w.Reap(ctx, db, app.Leftovers)
			for _, f := range found {
				p.cfg.Log.WarnContext(ctx, "inventory and books differ: see platforma doctor --orphans", "kind", f.Kind.String(),
					"provider", f.Provider, "ref", f.Ref, "item", f.Item.String())
			}
			return len(found), err
		}),
		newPeriodicJob("purge expired webhook secrets and old deliveries", time.Hour, p.cfg.Log, w.PurgeWebhooks),
		newPeriodicJob("purge idempotency keys", time.Hour, p.cfg.Log, func(ctx context.Context) (int, error) {
			return 0, db.PurgeKeys(ctx, p.cfg.Clock.Now().Add(-72*time.Hour), 5000) // promised 24 h (D30), kept 72
		}))
	return nil
}

// startConsumers runs the consumers that the process is to run: the five of the matrix, and webhooks and
// analytics as further ones of the portal's.
func (p *Process) startConsumers(run context.Context) error {
	for _, s := range p.subscriptions() {
		deps := kafka.ConsumerDeps{
			Cluster: p.cfg.Kafka, Refusals: s.refusals, Clock: p.cfg.Clock, Pause: kafka.Wait, Random: random, Log: p.cfg.Log,
		}
		c := kafka.NewConsumer(deps, kafka.Subscription{
			Consumer: s.As, Group: p.cfg.Kafka.Names.Group(s.Name), Name: s.Name, Apply: s.Apply, ApplyAll: s.together,
			Park: s.park,
		})
		p.readers = append(p.readers, c)
		p.loop(run, func(ctx context.Context) {
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
		p.loop(run, func(ctx context.Context) {
			for ctx.Err() == nil {
				if err := live.Run(ctx, func(ev event.Event) { p.hub.Wake(ev.Tenant, ev.Order) }); err != nil && ctx.Err() == nil {
					_ = kafka.Wait(ctx, time.Second) // streams poll meanwhile
				}
			}
		})
	}
	return nil
}

// kickAfterCommits wakes what a commit may have given work to; a lost kick costs a poll.
func (p *Process) kickAfterCommits() {
	for _, db := range p.logins {
		if p.runner != nil {
			db.OnCommit(p.runner)
		}
		if p.relay != nil {
			db.OnCommit(p.relay)
		}
		if p.webhooks != nil {
			db.OnCommit(p.webhooks)
		}
	}
}

// serve puts the API and the pages behind one handler.
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
			Dev: p.cfg.Dev, Users: p.cfg.DemoUsers, Methods: methods(p.cfg.Payments), Simulated: p.simulated, Wakes: p.hub,
			MailURL: p.cfg.MailURL, RequestID: requestID, Now: p.cfg.Clock.Now, Log: p.cfg.Log, Secure: https,
		}))
	}
	p.Handler = mux
}

func (p *Process) simulated(product, region, account string) bool {
	if account == "" {
		account, _ = p.cfg.Placement(product, region)
	}
	adapter, ok := p.cfg.Providers[account]
	return ok && adapter.Capabilities().Sim
}

// methods lists the payment methods, the one that needs no hand first.
func methods(all map[string]payment.Provider) []string {
	var names []string
	for n := range all {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if x, y := all[a].ConfirmsItself(), all[b].ConfirmsItself(); x != y {
			if x {
				return -1
			}
			return 1
		}
		if a < b {
			return -1
		}
		return 1
	})
	return names
}

func requestID() string {
	u := NewID()
	return event.ID(u).String()
}

// random draws for jitter.
func random() float64 {
	n, err := rand.Int(rand.Reader, big.NewInt(1<<30))
	if err != nil {
		return 0
	}
	return float64(n.Int64()) / (1 << 30)
}

// Stop ends the loops, lets running work finish until ctx ends, and closes the logins.
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
