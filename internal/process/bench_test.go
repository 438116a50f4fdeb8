package process_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/provider/sim/simtest"
	"github.com/platforma-cloud/orders/internal/queue"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/vault"
)

// benchSpeed is how much faster than real time the benchmark's cloud runs.
const benchSpeed = 10

// benchEnv is one complete process with job engine, broker, mail server and cloud, and two tenants.
type benchEnv struct {
	db    *pgtest.DB
	cloud *simtest.Sim
	api   *app.App
	noisy pgtest.Org
	quiet pgtest.Org
}

func newBenchEnv(b testing.TB) *benchEnv {
	b.Helper()
	db := pgtest.New(b)
	if err := queue.Migrate(b.Context(), db.OwnerURL()); err != nil {
		b.Fatalf("migrate the queue: %v", err)
	}
	env := &benchEnv{db: db}
	db.Clock.Set(time.Now().UTC())
	env.noisy, env.quiet = db.Two(b)
	if err := db.API(b).AddCatalogEntries(b.Context(), catalog.Default(), "bench", "as shipped"); err != nil {
		b.Fatalf("fill the catalogue: %v", err)
	}
	broker, err := embedded.StartKafka(embedded.KafkaConfig{})
	if err != nil {
		b.Fatalf("start the broker: %v", err)
	}
	b.Cleanup(func() { _ = broker.Close() })
	inbox, err := embedded.StartInbox(embedded.InboxConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatalf("start the mail server: %v", err)
	}
	b.Cleanup(func() { _ = inbox.Close() })
	env.cloud = simtest.Start(b, simtest.Options{Modify: func(c *sim.ServerConfig) { c.Now, c.Speed = nil, benchSpeed }})
	adapter, err := sim.New(sim.ProviderConfig{URL: env.cloud.URL, Naming: provider.NamingUnique409})
	if err != nil {
		b.Fatalf("open the cloud: %v", err)
	}
	b.Cleanup(adapter.Close)
	cluster := kafka.Cluster{Brokers: []string{broker.Addr()}, Names: kafka.StandardNames()}
	if err := cluster.Apply(b.Context(), 1); err != nil {
		b.Fatalf("make the topics: %v", err)
	}
	newKEK := func(n byte) vault.KEK {
		sum := sha256.Sum256([]byte{n})
		k, err := vault.NewKEK(sum[:])
		if err != nil {
			b.Fatalf("make a key: %v", err)
		}
		return k
	}
	clock := process.WallClock(benchSpeed)
	cfg := process.Config{
		DatabaseURL: db.OwnerURL(), Kafka: cluster, Installation: "bench", Clock: clock, Log: slog.New(slog.DiscardHandler),
		Placement: func(string, string) (string, bool) { return "sim", true },
		Providers: map[string]provider.Provider{"sim": adapter},
		Payments:  process.Payments(process.PaymentSettings{}), Alone: true,
		Mail:          mail.Config{Addr: inbox.SMTPAddr(), From: "bench@platforma.example", RootCAs: inbox.CertPool()},
		CredentialKEK: newKEK(1), PassphraseKEK: newKEK(2), PublicURL: "http://127.0.0.1",
	}
	p, err := process.Start(b.Context(), cfg)
	if err != nil {
		b.Fatalf("Start: %v", err)
	}
	b.Cleanup(func() { _ = p.Stop(b.Context()) })
	// The benchmark's requests go through separate use cases, as those of another API process would. The
	// process under test finds their work by polling.
	api, err := postgres.Open(b.Context(), db.URL(postgres.LoginAPI), postgres.LoginAPI, postgres.Options{
		Clock: clock, NewID: process.NewID,
	})
	if err != nil {
		b.Fatalf("open the api login: %v", err)
	}
	b.Cleanup(api.Close)
	useCases, err := process.Wire(cfg, map[string]*postgres.DB{postgres.LoginAPI: api}, nil)
	if err != nil {
		b.Fatalf("wire: %v", err)
	}
	env.api = useCases.API
	return env
}

// placePaidOrder places and pays an order of n virtual servers.
func (env *benchEnv) placePaidOrder(b testing.TB, o pgtest.Org, n int) (order.ID, time.Time) {
	b.Helper()
	items := make([]app.ItemInput, n)
	for i := range items {
		items[i] = app.ItemInput{
			Product: "vps", Plan: "core", Region: "lj-1", BillingCycle: "monthly",
			Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
		}
	}
	as := app.Caller{Actor: o.Actor(tenant.Operator)}
	agg, err := env.api.CreateOrder(b.Context(), as, app.CreateOrder{Items: items})
	if err == nil {
		agg, err = env.api.SubmitOrder(b.Context(), as, app.SubmitOrder{Order: agg.Order.ID})
	}
	if err == nil {
		agg, err = env.api.ConfirmPayment(b.Context(), as, app.ConfirmPayment{
			Order: agg.Order.ID, Reference: agg.Order.Number, Method: "bank_transfer",
			Amount: event.Amount{Amount: money.Format(agg.Order.Due, agg.Order.Currency), Currency: agg.Order.Currency},
		})
	}
	if err != nil {
		b.Fatalf("place an order: %v", err)
	}
	return agg.Order.ID, time.Now()
}

// waitFulfilled waits until an order is fulfilled and returns how long after its payment that was.
func (env *benchEnv) waitFulfilled(b testing.TB, o pgtest.Org, id order.ID, paid time.Time) time.Duration {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		agg, err := env.api.Order(b.Context(), app.Caller{Actor: o.Actor(tenant.Operator)}, id)
		if err != nil {
			b.Fatalf("Order: %v", err)
		}
		if agg.Order.State == order.Fulfilled {
			return time.Since(paid)
		}
		if time.Since(paid) > 5*time.Minute {
			b.Fatalf("order %s is %s after 5 minutes", agg.Order.Number, agg.Order.State)
		}
	}
	return 0
}

// BenchmarkNoisyNeighbour measures how long a tenant's single server takes while nobody else orders, and
// how long it takes while 1,000 items of another tenant are being built. The second may be at most twice
// the first (docs/ARCHITECTURE.md, Measured). Run it with
//
//	go run ./internal/embedded/cmd/withpostgres -- \
//		go test -run '^$' -bench NoisyNeighbour -benchtime 1x ./internal/process
func BenchmarkNoisyNeighbour(b *testing.B) {
	for b.Loop() {
		env := newBenchEnv(b)
		single := func(rounds int) []time.Duration {
			var took []time.Duration
			for range rounds {
				id, paid := env.placePaidOrder(b, env.quiet, 1)
				took = append(took, env.waitFulfilled(b, env.quiet, id, paid))
			}
			slices.Sort(took)
			return took
		}
		single(1) // warm
		idle := single(7)
		for range 10 {
			env.placePaidOrder(b, env.noisy, 100)
		}
		busy := single(7)
		rows, err := env.db.Super(b).Query(b.Context(), `
			SELECT count(*)
			FROM platforma.saga_tasks
			WHERE state IN ($1, $2) AND kind = $3`,
			int16(fulfil.Queued), int16(fulfil.Open), int16(fulfil.Provision))
		if err != nil {
			b.Fatalf("count the open items: %v", err)
		}
		openItems := 0
		for rows.Next() {
			if err := rows.Scan(&openItems); err != nil {
				b.Fatalf("count the open items: %v", err)
			}
		}
		b.ReportMetric(float64(idle[3].Milliseconds()), "idle-ms")
		b.ReportMetric(float64(busy[3].Milliseconds()), "busy-ms")
		b.ReportMetric(float64(busy[3])/float64(idle[3]), "ratio")
		b.ReportMetric(float64(openItems), "items-still-open")
		fmt.Printf("a single server, paid to fulfilled: idle median %s (max %s), "+
			"beside 1,000 items %s (max %s), ratio %.2f; %d items still open\n",
			idle[3], idle[6], busy[3], busy[6], float64(busy[3])/float64(idle[3]), openItems)
	}
}
