// Package harness wires everything for one test: a real PostgreSQL with the product's logins, the
// use cases as the binary wires them, a simulated cloud with its own ledger, a mail server with TLS, and
// one clock for all of them that moves only when told. Events travel through the real outbox and the
// real envelope, and reach the consumers in the test's own goroutine, so that a test is the same every
// time; broker and job engine run for real in the tests of package process. It never reaches the
// binary.
package harness

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/payment"
	"github.com/platforma-cloud/orders/internal/payment/demo"
	"github.com/platforma-cloud/orders/internal/payment/manual"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/vault"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// World is a whole installation for one test, with one tenant to act in and another to be kept out.
type Harness struct {
	DB       *pgtest.DB
	Clock    *pgtest.Clock
	Sim      *simtest.Sim
	Inbox    *embedded.Inbox
	UseCases process.UseCases
	Tenant   pgtest.Org
	Other    pgtest.Org
	Config   process.Config
	Events   []event.Event // all that were published, in order
	// what a consumer cannot apply is parked, at once: waits between calls are package kafka's; else it ends the
	// test
	Parks bool

	t      testing.TB
	outbox app.OutboxLease
	broker broker
	logins map[string]*postgres.DB
	asleep map[fulfil.TaskID]time.Time // tasks whose use case asked to be called later, as a job's snooze
	super  *pgx.Conn                   // for looking at what no login may see
	paused bool                        // there was an outage: how late a retry came is not judged
	died   bool                        // a process did
}

// Option changes how a world is built.
type Option func(*options)

type options struct {
	sim        func(*sim.ServerConfig)
	payments   map[string]payment.Provider
	provider   func(provider.Provider) provider.Provider
	failpoints process.Failpoints
	seed       uint32
	gateway    bool
	webhook    webhook.Config
}

// WithSim changes the simulated cloud, such as its naming mode or its capacity.
func WithSim(f func(*sim.ServerConfig)) Option { return func(o *options) { o.sim = f } }

// WithPayment adds a payment provider, or replaces one.
func WithPayment(p payment.Provider) Option {
	return func(o *options) { o.payments[p.Name()] = p }
}

// WithProvider wraps the adapter of the simulated cloud, for a test that wants to stand in between.
func WithProvider(f func(provider.Provider) provider.Provider) Option {
	return func(o *options) { o.provider = f }
}

// WithFailpoints puts something between the use cases and their ports, such as crash points.
func WithFailpoints(s process.Failpoints) Option { return func(o *options) { o.failpoints = s } }

// WithGateway adds a payment provider that confirms by itself, named demo.
func WithGateway() Option { return func(o *options) { o.gateway = true } }

// WithWebhooks changes where webhooks may be posted; without it nowhere inside.
func WithWebhooks(c webhook.Config) Option { return func(o *options) { o.webhook = c } }

// WithSeed makes every id follow from a number, so that the cloud draws the same latencies again.
func WithSeed(n uint32) Option { return func(o *options) { o.seed = n } }

// New builds a world. A test ends with CheckWorld, which looks at what it left.
func New(t testing.TB, opts ...Option) *Harness {
	t.Helper()
	o := options{
		payments: map[string]payment.Provider{manual.Name: manual.Provider{}},
		provider: func(p provider.Provider) provider.Provider { return p },
	}
	for _, opt := range opts {
		opt(&o)
	}
	db := pgtest.New(t)
	if o.seed != 0 {
		db.Clock.Mark(o.seed)
	}
	w := &Harness{DB: db, Clock: db.Clock, t: t, asleep: map[fulfil.TaskID]time.Time{}}
	if o.gateway {
		o.payments[demo.Name] = w.gateway()
	}
	w.Tenant, w.Other = db.Two(t)
	if err := db.API(t).AddCatalogEntries(t.Context(), catalog.Default(), "test", "the catalogue as shipped"); err != nil {
		t.Fatalf("fill the catalogue: %v", err)
	}
	naming := provider.NamingUnique409
	w.Sim = simtest.Start(t, simtest.Options{Modify: func(c *sim.ServerConfig) {
		c.Now = w.Clock.Now
		if o.sim != nil {
			o.sim(c)
		}
		naming = c.Naming
	}})
	inbox, err := embedded.StartInbox(embedded.InboxConfig{Dir: t.TempDir(), Now: w.Clock.Now})
	if err != nil {
		t.Fatalf("start the mail server: %v", err)
	}
	t.Cleanup(func() { _ = inbox.Close() })
	w.Inbox = inbox
	adapter, err := sim.New(sim.ProviderConfig{URL: w.Sim.URL, Naming: naming})
	if err != nil {
		t.Fatalf("open the simulated cloud: %v", err)
	}
	t.Cleanup(adapter.Close)
	w.Config = process.Config{
		Clock: w.Clock, NewID: w.Clock.NewID, Log: slog.New(slog.DiscardHandler), Installation: "test",
		Placement: func(string, string) (string, bool) { return "sim", true },
		Providers: map[string]provider.Provider{"sim": o.provider(adapter)}, Payments: o.payments,
		Mail:          mail.Config{Addr: inbox.SMTPAddr(), From: "delivery@platforma.example", RootCAs: inbox.CertPool()},
		CredentialKEK: kek(t, 1), PassphraseKEK: kek(t, 2), WebhookKEK: kek(t, 3), Webhook: o.webhook,
		PublicURL: "https://portal.example", Failpoints: o.failpoints,
	}
	w.logins = map[string]*postgres.DB{
		postgres.LoginAPI: db.API(t), postgres.LoginPortal: db.Portal(t), postgres.LoginWorker: db.Worker(t),
		postgres.LoginDelivery: db.Delivery(t), postgres.LoginAudit: db.Audit(t),
	}
	var outbox app.Outbox = db.Relay(t)
	if w.Config.Failpoints != nil {
		outbox = w.Config.Failpoints.Outbox(outbox)
	}
	lease, ok, err := outbox.TryLease(context.WithoutCancel(t.Context()), 0)
	if err != nil || !ok {
		t.Fatalf("take the outbox: %t, %v", ok, err)
	}
	t.Cleanup(lease.Release)
	w.outbox = lease
	w.super = db.Super(t)
	w.Restart()
	return w
}

func kek(t testing.TB, n byte) vault.KEK {
	t.Helper()
	key := make([]byte, 32)
	key[0] = n
	k, err := vault.NewKEK(key)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return k
}

// Restart throws the process's use cases away and wires new ones over the same database, as after a crash.
func (w *Harness) Restart() {
	w.t.Helper()
	useCases, err := process.Wire(w.Config, w.logins, nil)
	if err != nil {
		w.t.Fatalf("wire the verbs: %v", err)
	}
	w.UseCases = useCases
}

// As is a caller of the tenant in a role.
func (w *Harness) As(r tenant.Role) app.Caller { return app.Caller{Actor: w.Tenant.Actor(r)} }

// mostRounds is how often a world is worked on before it counts as one that never settles.
const mostRounds = 3000

// Settle publishes, works and moves the clock to the next due thing until nothing is due any more.
func (w *Harness) Drain(orders ...order.ID) {
	w.t.Helper()
	for range mostRounds {
		w.Publish()
		if w.workOnce() {
			continue
		}
		if w.Publish() > 0 {
			continue
		}
		next, ok := w.nextDue()
		if !ok {
			return
		}
		w.Clock.Set(next)
	}
	for _, o := range orders {
		w.t.Logf("%s", w.Picture(o))
	}
	w.t.Fatalf("nothing settles after %d rounds", mostRounds)
}

// queues are where tasks wait.
func (w *Harness) queues() map[string]func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
	v := w.UseCases.Worker
	all := map[string]func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error){
		"validate": v.ValidateOrder, "refund": v.RefundItem, "deliver": v.DeliverCredentials,
		"notify": v.NotifyCustomer, "checkout": v.CheckoutOrder, "redrive": v.RedriveEvent, "webhook": v.PostWebhook,
	}
	for account := range w.Config.Providers {
		all[account] = v.ProvisionItem
	}
	return all
}

// Crash is what a test's provider panics with to end the process in the middle of a call: the world
// throws its use cases away and wires new ones, as after a kill.
type Crash struct{}

// workOnce gives every due task to its use case, as the queue would; false when none was due.
func (w *Harness) workOnce() bool {
	w.t.Helper()
	worked := false
	for _, u := range w.due() {
		worked = true
		w.work(u)
	}
	alive := w.Survive(func() {
		n, err := w.UseCases.Worker.ProcessPaymentWebhooks(w.t.Context())
		if err != nil {
			w.t.Fatalf("process payment webhooks: %v", err)
		}
		worked = worked || n > 0
	})
	return worked || !alive
}

// WorkOne gives one due task to its use case; false when none is due.
func (w *Harness) WorkOne() bool {
	w.t.Helper()
	due := w.due()
	if len(due) == 0 {
		return false
	}
	w.work(due[0])
	return true
}

// dueTask is a task and the queue it waits in.
type dueTask struct {
	app.TaskRef
	queue string
}

// due are the tasks that the queues would hand out now, in the order of the queues' names.
func (w *Harness) due() []dueTask {
	w.t.Helper()
	var all []dueTask
	for _, name := range w.busyQueues() {
		for _, s := range []fulfil.TaskState{fulfil.Queued, fulfil.Open} {
			due, err := w.logins[postgres.LoginWorker].DueTasks(w.t.Context(), name, s, w.Clock.Now(), 100)
			if err != nil {
				w.t.Fatalf("look for work in %s: %v", name, err)
			}
			for _, u := range due {
				if !w.asleep[u.Task].After(w.Clock.Now()) {
					all = append(all, dueTask{u, name})
				}
			}
		}
	}
	return all
}

// busyQueues spares the logins asking every queue again and again for nothing.
func (w *Harness) busyQueues() []string {
	w.t.Helper()
	rows, err := w.super.Query(w.t.Context(), `SELECT DISTINCT provider FROM platforma.saga_tasks WHERE state IN ($1, $2)
		AND next_at <= $3 ORDER BY provider`,
		int16(fulfil.Queued), int16(fulfil.Open), w.Clock.Now())
	if err != nil {
		w.t.Fatalf("look for busy queues: %v", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatalf("look for busy queues: %v", err)
	}
	return names
}

func (w *Harness) work(u dueTask) {
	w.t.Helper()
	w.Survive(func() {
		wait, err := w.queues()[u.queue](w.t.Context(), u.Tenant, u.Task)
		if err != nil && !errors.Is(err, app.ErrFenced) {
			w.t.Fatalf("work on %s %s: %v", u.queue, u.Task, err)
		}
		if delete(w.asleep, u.Task); wait > 0 {
			w.asleep[u.Task] = w.Clock.Now().Add(wait)
		}
	})
}

// Survive runs what a process does; false when it died in it, and another has taken its place.
func (w *Harness) Survive(f func()) (alive bool) {
	w.t.Helper()
	defer func() {
		switch p := recover(); p.(type) {
		case nil:
		case Crash:
			w.Restart()
			w.died, alive = true, false
		default:
			panic(p)
		}
	}()
	f()
	return true
}

// nextDue is when the next live task is due.
func (w *Harness) nextDue() (time.Time, bool) {
	w.t.Helper()
	var at *time.Time
	err := w.super.QueryRow(w.t.Context(), `SELECT min(next_at) FROM platforma.saga_tasks WHERE state IN ($1, $2)`,
		int16(fulfil.Queued), int16(fulfil.Open)).Scan(&at)
	if err != nil {
		w.t.Fatalf("look for what is due next: %v", err)
	}
	if at == nil {
		return time.Time{}, false
	}
	next := at.UTC()
	if !next.After(w.Clock.Now()) { // due, but asleep: wait for the first to wake
		next = time.Time{}
		for _, wakes := range w.asleep {
			if wakes.After(w.Clock.Now()) && (next.IsZero() || wakes.Before(next)) {
				next = wakes
			}
		}
	}
	return next, !next.IsZero()
}

// Wait moves the clock to the next due thing; it does nothing where all is at rest.
func (w *Harness) Wait() {
	w.t.Helper()
	if next, ok := w.nextDue(); ok && next.After(w.Clock.Now()) {
		w.Clock.Set(next)
	}
}

// Cents is a decimal amount of the tenant's currency.
func (w *Harness) Cents(s string) money.Cents {
	w.t.Helper()
	c, err := money.ParseDecimal(s, money.EUR)
	if err != nil {
		w.t.Fatalf("amount %q: %v", s, err)
	}
	return c
}

// DrainWithoutBroker is Settle while nothing is published: the broker is away.
func (w *Harness) DrainWithoutBroker(o order.ID) {
	w.t.Helper()
	for range mostRounds {
		if w.workOnce() {
			continue
		}
		next, ok := w.nextDue()
		if !ok {
			return
		}
		w.Clock.Set(next)
	}
	w.t.Fatalf("order %s does not settle: %s", o, w.Picture(o))
}

// DrainUntil is Settle up to the moment when an order's picture is as the test wants it.
func (w *Harness) DrainUntil(o order.ID, reached func(picture string) bool) {
	w.t.Helper()
	for range mostRounds {
		if reached(w.Picture(o)) {
			return
		}
		if w.Publish() > 0 || w.workOnce() {
			continue
		}
		next, ok := w.nextDue()
		if !ok {
			break
		}
		w.Clock.Set(next)
	}
	w.t.Fatalf("order %s never came to be as wanted: %s", o, w.Picture(o))
}

// WorkUntil is DrainUntil one task at a time, so that no state in between is passed over.
func (w *Harness) WorkUntil(o order.ID, reached func(picture string) bool) {
	w.t.Helper()
	for range mostRounds {
		if reached(w.Picture(o)) {
			return
		}
		if w.Publish() > 0 || w.WorkOne() || w.workOnce() { // the last for the payment webhooks
			continue
		}
		next, ok := w.nextDue()
		if !ok {
			break
		}
		w.Clock.Set(next)
	}
	w.t.Fatalf("order %s never came to be as wanted: %s", o, w.Picture(o))
}

// SetSettings changes the tenant's settings, as an admin.
func (w *Harness) SetSettings(change func(*app.Settings)) {
	w.t.Helper()
	s, err := w.UseCases.API.Settings(w.t.Context(), w.As(tenant.Admin))
	if err == nil {
		change(&s)
		_, err = w.UseCases.API.PutSettings(w.t.Context(), w.As(tenant.Admin), s, app.Precondition{Version: &s.Version})
	}
	if err != nil {
		w.t.Fatalf("change the settings: %v", err)
	}
}

// WantNoCanary looks for an issued secret in every row and every mail of the world: sealed columns and
// ciphertext are the only places where one may be.
func (w *Harness) WantNoCanary() {
	w.t.Helper()
	rows, err := w.super.Query(w.t.Context(), `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname IN ('platforma', 'river')`)
	if err != nil {
		w.t.Fatalf("list tables: %v", err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatalf("list tables: %v", err)
		}
		tables = append(tables, name)
	}
	if rows.Err() != nil || len(tables) < 15 {
		w.t.Fatalf("list tables: %d, %v", len(tables), rows.Err())
	}
	for _, name := range tables {
		var n int
		if err := w.super.QueryRow(w.t.Context(), `SELECT count(*) FROM `+name+` AS r WHERE strpos(r::text, $1) > 0
			OR strpos(r::text, encode($1::bytea, 'hex')) > 0`, sim.Canary).Scan(&n); err != nil {
			w.t.Fatalf("search %s: %v", name, err)
		}
		if n > 0 {
			w.t.Errorf("%d rows of %s hold an issued secret", n, name)
		}
	}
	for _, m := range w.Inbox.Messages() {
		raw, err := w.Inbox.Raw(m.ID)
		if err != nil {
			w.t.Fatalf("read mail %d: %v", m.ID, err)
		}
		if bytes.Contains(raw, []byte(sim.Canary)) {
			w.t.Errorf("mail %d holds an issued secret in plain text", m.ID)
		}
	}
}
