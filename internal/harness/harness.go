// Package harness wires a whole installation for one test: a real PostgreSQL with the product's logins, the use cases
// as the binary wires them, a simulated cloud with its own ledger, a mail server with TLS, and one clock for all of
// them that only the test moves. Events pass through the real outbox and the real envelope and reach the consumers in
// the test's own goroutine, so that a test runs the same way every time. A broker and the job engine run in the tests
// of package process. The binary never contains this package.
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

// Harness is a whole installation for one test. The test acts in Tenant; OtherTenant must see nothing of it.
type Harness struct {
	DB          *pgtest.DB
	Clock       *pgtest.Clock
	Sim         *simtest.Sim
	Inbox       *embedded.Inbox
	UseCases    process.UseCases
	Tenant      pgtest.Org
	OtherTenant pgtest.Org
	Config      process.Config
	Events      []event.Event // all that were published, in order
	// ParkOnError parks at once an event that a consumer cannot apply; the retries before that are in package kafka.
	// Without it such an event ends the test.
	ParkOnError bool

	t         testing.TB
	outbox    app.OutboxLease
	broker    broker
	logins    map[string]*postgres.DB
	snoozed   map[fulfil.TaskID]time.Time // when a task's use case asked to be called again
	superuser *pgx.Conn                   // reads what no login may see
	outage    bool                        // there was an outage, so that retries may be late
	died      bool                        // a process died
}

// Option changes how New builds a harness.
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

// WithProvider wraps the adapter of the simulated cloud, for a test that changes its calls.
func WithProvider(f func(provider.Provider) provider.Provider) Option {
	return func(o *options) { o.provider = f }
}

// WithFailpoints wraps the ports of the use cases with failpoints.
func WithFailpoints(f process.Failpoints) Option { return func(o *options) { o.failpoints = f } }

// WithGateway adds the payment provider named demo, which confirms payments by itself.
func WithGateway() Option { return func(o *options) { o.gateway = true } }

// WithWebhooks changes where webhooks may be posted. By default no internal address is allowed.
func WithWebhooks(c webhook.Config) Option { return func(o *options) { o.webhook = c } }

// WithSeed derives every id from a number, so that the simulated cloud draws the same latencies again.
func WithSeed(n uint32) Option { return func(o *options) { o.seed = n } }

// New builds a harness. A test calls CheckInvariants at its end, to check what it left behind.
func New(t testing.TB, opts ...Option) *Harness {
	t.Helper()
	o := options{
		payments: process.Payments(process.PaymentSettings{}),
		provider: func(p provider.Provider) provider.Provider { return p },
	}
	for _, opt := range opts {
		opt(&o)
	}
	db := pgtest.New(t)
	if o.seed != 0 {
		db.Clock.Mark(o.seed)
	}
	h := &Harness{DB: db, Clock: db.Clock, t: t, snoozed: map[fulfil.TaskID]time.Time{}}
	if o.gateway {
		o.payments[demo.Name] = h.gateway()
	}
	h.Tenant, h.OtherTenant = db.Two(t)
	if err := db.API(t).AddCatalogEntries(t.Context(), catalog.Default(), "test", "the catalogue as shipped"); err != nil {
		t.Fatalf("fill the catalogue: %v", err)
	}
	naming := provider.NamingUnique409
	h.Sim = simtest.Start(t, simtest.Options{Modify: func(c *sim.ServerConfig) {
		c.Now = h.Clock.Now
		if o.sim != nil {
			o.sim(c)
		}
		naming = c.Naming
	}})
	inbox, err := embedded.StartInbox(embedded.InboxConfig{Dir: t.TempDir(), Now: h.Clock.Now})
	if err != nil {
		t.Fatalf("start the mail server: %v", err)
	}
	t.Cleanup(func() { _ = inbox.Close() })
	h.Inbox = inbox
	adapter, err := sim.New(sim.ProviderConfig{URL: h.Sim.URL, Naming: naming})
	if err != nil {
		t.Fatalf("open the simulated cloud: %v", err)
	}
	t.Cleanup(adapter.Close)
	h.Config = process.Config{
		Clock: h.Clock, NewID: h.Clock.NewID, Log: slog.New(slog.DiscardHandler), Installation: "test",
		Placement: func(string, string) (string, bool) { return "sim", true },
		Providers: map[string]provider.Provider{"sim": o.provider(adapter)}, Payments: o.payments,
		Mail:          mail.Config{Addr: inbox.SMTPAddr(), From: "delivery@platforma.example", RootCAs: inbox.CertPool()},
		CredentialKEK: kek(t, 1), PassphraseKEK: kek(t, 2), WebhookKEK: kek(t, 3), Webhook: o.webhook,
		PublicURL: "https://portal.example", Failpoints: o.failpoints,
	}
	h.logins = map[string]*postgres.DB{
		postgres.LoginAPI: db.API(t), postgres.LoginPortal: db.Portal(t), postgres.LoginWorker: db.Worker(t),
		postgres.LoginDelivery: db.Delivery(t), postgres.LoginAudit: db.Audit(t),
	}
	var outbox app.Outbox = db.Relay(t)
	if h.Config.Failpoints != nil {
		outbox = h.Config.Failpoints.Outbox(outbox)
	}
	lease, ok, err := outbox.TryLease(context.WithoutCancel(t.Context()), 0)
	if err != nil || !ok {
		t.Fatalf("take the outbox: %t, %v", ok, err)
	}
	t.Cleanup(lease.Release)
	h.outbox = lease
	h.superuser = db.Super(t)
	h.Restart()
	return h
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

// Restart drops the use cases and wires new ones over the same database, as a new process does after a crash.
func (h *Harness) Restart() {
	h.t.Helper()
	useCases, err := process.Wire(h.Config, h.logins, nil)
	if err != nil {
		h.t.Fatalf("wire the use cases: %v", err)
	}
	h.UseCases = useCases
}

// As returns a caller of the tenant in a role.
func (h *Harness) As(r tenant.Role) app.Caller { return app.Caller{Actor: h.Tenant.Actor(r)} }

// maxRounds bounds the loops that wait for the end of all work.
const maxRounds = 3000

// Drain publishes events, works due tasks and moves the clock to the next due task, until no task is left. On failure
// it logs the summaries of the orders.
func (h *Harness) Drain(orders ...order.ID) {
	h.t.Helper()
	for range maxRounds {
		h.Publish()
		if h.workDueTasks() {
			continue
		}
		if h.Publish() > 0 {
			continue
		}
		next, ok := h.nextDue()
		if !ok {
			return
		}
		h.Clock.Set(next)
	}
	for _, o := range orders {
		h.t.Logf("%s", h.Summary(o))
	}
	h.t.Fatalf("there is still work after %d rounds", maxRounds)
}

// queueUseCases returns the use case that works the tasks of each queue.
func (h *Harness) queueUseCases() map[string]func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
	v := h.UseCases.Worker
	all := map[string]func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error){
		"validate": v.ValidateOrder, "refund": v.RefundItem, "deliver": v.DeliverCredentials,
		"notify": v.NotifyCustomer, "checkout": v.CheckoutOrder, "redrive": v.RedriveEvent, "webhook": v.PostWebhook,
	}
	for account := range h.Config.Providers {
		all[account] = v.ProvisionItem
	}
	return all
}

// Crash is a panic that stands for the death of the process. A failpoint or an adapter of a test panics with it, and
// the harness restarts.
type Crash struct{}

// workDueTasks works every due task once, as the queue would, and receives payment webhooks. It returns false when
// nothing was due.
func (h *Harness) workDueTasks() bool {
	h.t.Helper()
	worked := false
	for _, task := range h.dueTasks() {
		worked = true
		h.workTask(task)
	}
	alive := h.RestartOnCrash(func() {
		n, err := h.UseCases.Worker.ProcessPaymentWebhooks(h.t.Context())
		if err != nil {
			h.t.Fatalf("process payment webhooks: %v", err)
		}
		worked = worked || n > 0
	})
	return worked || !alive
}

// WorkOneTask works one due task. It returns false when none is due.
func (h *Harness) WorkOneTask() bool {
	h.t.Helper()
	due := h.dueTasks()
	if len(due) == 0 {
		return false
	}
	h.workTask(due[0])
	return true
}

// dueTask is a task and its queue.
type dueTask struct {
	app.TaskRef
	queue string
}

// dueTasks returns the tasks that the queues would hand out now, ordered by the names of the queues.
func (h *Harness) dueTasks() []dueTask {
	h.t.Helper()
	var all []dueTask
	for _, name := range h.dueQueues() {
		for _, s := range []fulfil.TaskState{fulfil.Queued, fulfil.Open} {
			due, err := h.logins[postgres.LoginWorker].DueTasks(h.t.Context(), name, s, h.Clock.Now(), 100)
			if err != nil {
				h.t.Fatalf("look for work in %s: %v", name, err)
			}
			for _, ref := range due {
				if !h.snoozed[ref.Task].After(h.Clock.Now()) {
					all = append(all, dueTask{ref, name})
				}
			}
		}
	}
	return all
}

// dueQueues returns the queues with due tasks, so that dueTasks need not ask every queue.
func (h *Harness) dueQueues() []string {
	h.t.Helper()
	rows, err := h.superuser.Query(h.t.Context(), `
		SELECT DISTINCT provider FROM platforma.saga_tasks
		WHERE state IN ($1, $2) AND next_at <= $3
		ORDER BY provider`,
		int16(fulfil.Queued), int16(fulfil.Open), h.Clock.Now())
	if err != nil {
		h.t.Fatalf("look for queues with due tasks: %v", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.t.Fatalf("look for queues with due tasks: %v", err)
	}
	return names
}

func (h *Harness) workTask(task dueTask) {
	h.t.Helper()
	h.RestartOnCrash(func() {
		wait, err := h.queueUseCases()[task.queue](h.t.Context(), task.Tenant, task.Task)
		if err != nil && !errors.Is(err, app.ErrFenced) {
			h.t.Fatalf("work on %s %s: %v", task.queue, task.Task, err)
		}
		if delete(h.snoozed, task.Task); wait > 0 {
			h.snoozed[task.Task] = h.Clock.Now().Add(wait)
		}
	})
}

// RestartOnCrash calls f. When f panics with a Crash, RestartOnCrash restarts the harness and returns false.
func (h *Harness) RestartOnCrash(f func()) (alive bool) {
	h.t.Helper()
	defer func() {
		switch p := recover(); p.(type) {
		case nil:
		case Crash:
			h.Restart()
			h.died, alive = true, false
		default:
			panic(p)
		}
	}()
	f()
	return true
}

// nextDue returns when the next live task is due; false when there is none.
func (h *Harness) nextDue() (time.Time, bool) {
	h.t.Helper()
	var at *time.Time
	err := h.superuser.QueryRow(h.t.Context(), `SELECT min(next_at) FROM platforma.saga_tasks WHERE state IN ($1, $2)`,
		int16(fulfil.Queued), int16(fulfil.Open)).Scan(&at)
	if err != nil {
		h.t.Fatalf("look for what is due next: %v", err)
	}
	if at == nil {
		return time.Time{}, false
	}
	next := at.UTC()
	if !next.After(h.Clock.Now()) { // due, but snoozed: wait for the first that wakes
		next = time.Time{}
		for _, wakes := range h.snoozed {
			if wakes.After(h.Clock.Now()) && (next.IsZero() || wakes.Before(next)) {
				next = wakes
			}
		}
	}
	return next, !next.IsZero()
}

// AdvanceToNextDue moves the clock to the next due task. It does nothing when no task is live.
func (h *Harness) AdvanceToNextDue() {
	h.t.Helper()
	if next, ok := h.nextDue(); ok && next.After(h.Clock.Now()) {
		h.Clock.Set(next)
	}
}

// Cents parses a decimal amount of the tenant's currency.
func (h *Harness) Cents(s string) money.Cents {
	h.t.Helper()
	c, err := money.ParseDecimal(s, money.EUR)
	if err != nil {
		h.t.Fatalf("amount %q: %v", s, err)
	}
	return c
}

// DrainWithoutBroker is Drain while the broker is away: it publishes nothing.
func (h *Harness) DrainWithoutBroker(o order.ID) {
	h.t.Helper()
	for range maxRounds {
		if h.workDueTasks() {
			continue
		}
		next, ok := h.nextDue()
		if !ok {
			return
		}
		h.Clock.Set(next)
	}
	h.t.Fatalf("order %s still has work: %s", o, h.Summary(o))
}

// DrainUntil is Drain until reached accepts the summary of an order.
func (h *Harness) DrainUntil(o order.ID, reached func(summary string) bool) {
	h.t.Helper()
	for range maxRounds {
		if reached(h.Summary(o)) {
			return
		}
		if h.Publish() > 0 || h.workDueTasks() {
			continue
		}
		next, ok := h.nextDue()
		if !ok {
			break
		}
		h.Clock.Set(next)
	}
	h.t.Fatalf("order %s never came to be as wanted: %s", o, h.Summary(o))
}

// WorkUntil is DrainUntil one task at a time, so that no state in between is missed.
func (h *Harness) WorkUntil(o order.ID, reached func(summary string) bool) {
	h.t.Helper()
	for range maxRounds {
		if reached(h.Summary(o)) {
			return
		}
		if h.Publish() > 0 || h.WorkOneTask() || h.workDueTasks() { // the last one receives payment webhooks
			continue
		}
		next, ok := h.nextDue()
		if !ok {
			break
		}
		h.Clock.Set(next)
	}
	h.t.Fatalf("order %s never came to be as wanted: %s", o, h.Summary(o))
}

// SetSettings changes the tenant's settings as an admin.
func (h *Harness) SetSettings(change func(*app.Settings)) {
	h.t.Helper()
	s, err := h.UseCases.API.Settings(h.t.Context(), h.As(tenant.Admin))
	if err == nil {
		change(&s)
		_, err = h.UseCases.API.PutSettings(h.t.Context(), h.As(tenant.Admin), s, app.Precondition{Version: &s.Version})
	}
	if err != nil {
		h.t.Fatalf("change the settings: %v", err)
	}
}

// WantNoCanary searches every row and every mail for a secret that the simulated cloud issued. A secret may exist
// only encrypted.
func (h *Harness) WantNoCanary() {
	h.t.Helper()
	rows, err := h.superuser.Query(h.t.Context(), `
		SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname IN ('platforma', 'river')`)
	if err != nil {
		h.t.Fatalf("list tables: %v", err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			h.t.Fatalf("list tables: %v", err)
		}
		tables = append(tables, name)
	}
	if rows.Err() != nil || len(tables) < 15 {
		h.t.Fatalf("list tables: %d, %v", len(tables), rows.Err())
	}
	for _, name := range tables {
		var n int
		err := h.superuser.QueryRow(h.t.Context(), `
			SELECT count(*) FROM `+name+` AS r
			WHERE strpos(r::text, $1) > 0 OR strpos(r::text, encode($1::bytea, 'hex')) > 0`, sim.Canary).Scan(&n)
		if err != nil {
			h.t.Fatalf("search %s: %v", name, err)
		}
		if n > 0 {
			h.t.Errorf("%d rows of %s hold an issued secret", n, name)
		}
	}
	for _, m := range h.Inbox.Messages() {
		raw, err := h.Inbox.Raw(m.ID)
		if err != nil {
			h.t.Fatalf("read mail %d: %v", m.ID, err)
		}
		if bytes.Contains(raw, []byte(sim.Canary)) {
			h.t.Errorf("mail %d holds an issued secret in plain text", m.ID)
		}
	}
}
