package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/portal"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/provider/sim"
	"github.com/platforma-cloud/orders/internal/tenant"
	"github.com/platforma-cloud/orders/internal/vault"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// devFlags holds the flags of a development installation, which dev and demo share.
type devFlags struct {
	Data         string   `default:".data" type:"path" help:"Folder with all data of the installation. Delete it to start over."`
	Listen       string   `default:"127.0.0.1:8080" help:"Loopback address of API and portal; port 0 takes a free one."`
	Speed        int      `default:"60" help:"How much faster than real time the simulated cloud and the waits between retries run."`
	DatabaseURL  string   `env:"DATABASE_URL" help:"Use this PostgreSQL (as a user who may create roles) instead of the embedded one."`
	KafkaBrokers []string `env:"KAFKA_BROKERS" help:"Use these brokers instead of the embedded one."`
	Config       string   `env:"PLATFORMA_CONFIG" placeholder:"FILE" help:"File with the clouds' accounts. Without it, the simulated cloud builds everything."`
	Naming       string   `default:"unique-409" enum:"none,unique-409,upsert" help:"How the simulated cloud answers a second create under one name: none makes a second resource, unique-409 refuses, upsert returns the first."`
	Verbose      bool     `short:"v" help:"Log the details too."`
}

type devCmd struct {
	devFlags
	NoDemo bool `help:"Do not play the demo orders."`
}

// Run starts everything, plays the demo unless --no-demo is given, and stays up until Ctrl-C.
func (c *devCmd) Run(g *globals) error {
	if !c.NoDemo {
		return (&demoCmd{devFlags: c.devFlags}).Run(g)
	}
	return c.runInstallation(g, func(ctx context.Context, d *installation) error {
		d.printAddresses(g.out)
		<-ctx.Done()
		return nil
	})
}

// Addresses is the content of dev.json: the addresses and API keys of a running development installation, for
// scripts. Only its owner may read the file.
type Addresses struct {
	API         string       `json:"api"`
	Portal      string       `json:"portal"`
	Kafka       string       `json:"kafka"`
	Metrics     string       `json:"metrics"`
	SMTP        string       `json:"smtp"`
	Inbox       string       `json:"inbox"`
	Sim         string       `json:"sim"`
	Naming      string       `json:"naming"`           // of the simulated cloud
	Config      string       `json:"config,omitempty"` // the configuration file; empty: the default, all simulated
	DatabaseURL string       `json:"database_url"`
	Speed       int          `json:"speed"` // the highest speed that this data folder has run at
	Tenants     []seedTenant `json:"tenants"`
}

// installation is a running development installation.
type installation struct {
	Addresses
	admin   string // address of the database with a superuser
	brokers []string
	inbox   *embedded.Inbox
	proc    *process.Process
	speed   int
}

// runInstallation starts everything in the order of its dependencies, writes dev.json, runs fn, and stops
// everything in reverse order. The next start takes over what a kill of this process leaves running.
func (p *devFlags) runInstallation(g *globals, fn func(context.Context, *installation) error) (err error) {
	log := newLogger(g.err, p.Verbose)
	if !p.Verbose {
		log = slog.New(slog.NewTextHandler(g.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if err := p.checkConfig(); err != nil { // before anything is started
		return err
	}
	if err := os.MkdirAll(p.Data, 0o711); err != nil { // PostgreSQL may run as another user, who must pass through
		return fmt.Errorf("make the data folder: %w", err)
	}
	var stops []func(context.Context) error
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), 30*time.Second)
		defer cancel()
		for i := len(stops) - 1; i >= 0; i-- {
			err = errors.Join(err, stops[i](ctx))
		}
	}()
	lockCtx, cancel := context.WithTimeout(g.ctx, 3*time.Second)
	release, err := lockFolder(lockCtx, p.Data)
	cancel()
	if err != nil {
		return err
	}
	stops = append(stops, func(context.Context) error { return release() })
	d := &installation{}

	if d.admin = p.DatabaseURL; d.admin == "" {
		pg, err := embedded.StartPostgres(g.ctx, embedded.PostgresConfig{
			Dir: filepath.Join(p.Data, "postgres"), Fsync: true, Log: g.err,
		})
		if err != nil {
			return err
		}
		stops = append(stops, pg.Stop)
		d.admin = pg.SuperuserURL("postgres")
	}
	embeddedBroker := false
	if d.brokers = p.KafkaBrokers; len(d.brokers) == 0 {
		k, err := embedded.StartKafka(embedded.KafkaConfig{Dir: filepath.Join(p.Data, "kafka"), Log: g.err})
		if err != nil {
			return err
		}
		stops = append(stops, func(context.Context) error { return k.Close() })
		d.brokers, embeddedBroker = []string{k.Addr()}, true
	}
	d.inbox, err = embedded.StartInbox(embedded.InboxConfig{Dir: filepath.Join(p.Data, "mail"), Log: g.err})
	if err != nil {
		return err
	}
	stops = append(stops, func(context.Context) error { return d.inbox.Close() })
	cloud, err := startSim(g.ctx, simConfig{Dir: filepath.Join(p.Data, "sim"), Speed: p.Speed, Naming: p.Naming})
	if err != nil {
		return err
	}
	stops = append(stops, cloud.stop)
	clouds, err := devClouds(p.Config, sim.Settings{URL: cloud.URL, Naming: p.Naming})
	if err != nil {
		return err
	}
	stops = append(stops, func(context.Context) error { clouds.Close(); return nil })

	if err := process.Prepare(g.ctx, d.admin); err != nil {
		return err
	}
	cluster := kafka.Cluster{Brokers: d.brokers, Names: kafka.StandardNames()}
	if err := cluster.Apply(g.ctx, 1); err != nil {
		return err
	}
	if embeddedBroker {
		if err := rebuildEmbeddedTopic(g.ctx, cluster, d.admin, log, g.err); err != nil {
			return err
		}
	}
	ids, err := seed(g.ctx, p.Data, d.admin)
	if err != nil {
		return err
	}
	lis, err := net.Listen("tcp", p.Listen)
	if err != nil {
		return fmt.Errorf("listen for API and portal (choose another --listen?): %w", err)
	}
	base := "http://" + lis.Addr().String()
	if d.proc, err = p.startProcess(g.ctx, d, cluster, clouds, ids, base, log); err != nil {
		return errors.Join(err, lis.Close())
	}
	srv := httpkit.NewServer(d.proc.Handler)
	stops = append(stops, d.proc.Stop, func(ctx context.Context) error {
		shutdownCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if srv.Shutdown(shutdownCtx) != nil {
			return srv.Close() // ends open streams, whose clients reconnect
		}
		return nil
	})
	go func() { _ = srv.Serve(lis) }()
	metrics, stopMetrics, err := serveMetrics(g.ctx, "127.0.0.1:0", d.proc.Metrics())
	if err != nil {
		return err
	}
	stops = append(stops, stopMetrics)

	d.Addresses = Addresses{
		API: base, Portal: base, Kafka: d.brokers[0], Metrics: "http://" + metrics + "/metrics",
		SMTP: d.inbox.SMTPAddr(), Inbox: d.inbox.HTTPURL(), Sim: cloud.URL, Naming: p.Naming, Config: p.Config,
		DatabaseURL: d.admin, Tenants: ids.Tenants, Speed: max(p.Speed, lastSpeed(p.Data)),
	}
	d.speed = d.Speed
	if err := writePrivate(filepath.Join(p.Data, "dev.json"), d.Addresses); err != nil {
		return err
	}
	return fn(g.ctx, d)
}

// checkConfig reads the configuration file only to find its faults: the simulator's address is not known yet.
func (p *devFlags) checkConfig() (err error) {
	if p.Config != "" {
		if p.Config, err = filepath.Abs(p.Config); err != nil { // dev.json is read from other folders
			return fmt.Errorf("locate the configuration file: %w", err)
		}
	}
	clouds, err := devClouds(p.Config, sim.Settings{URL: "http://127.0.0.1:1", Naming: p.Naming})
	if err != nil {
		return err
	}
	clouds.Close()
	return nil
}

// lastSpeed returns the highest speed at which the data folder has run. The invariants check the waits of the
// past by it.
func lastSpeed(dir string) int {
	raw, err := os.ReadFile(filepath.Join(dir, "dev.json"))
	if err != nil {
		return 0
	}
	var a Addresses
	if json.Unmarshal(raw, &a) != nil {
		return 0
	}
	return a.Speed
}

// startProcess starts the only process of the installation, with every role.
func (p *devFlags) startProcess(
	ctx context.Context, d *installation, cluster kafka.Cluster, clouds *config.Clouds, ids seedData, base string,
	log *slog.Logger,
) (*process.Process, error) {
	keys := filepath.Join(p.Data, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for keys: %w", err)
	}
	credentials, err := vault.OpenOrMakeKEKFile(filepath.Join(keys, "credentials.kek"), randomBytes, log)
	if err != nil {
		return nil, err
	}
	passphrases, err := vault.OpenOrMakeKEKFile(filepath.Join(keys, "passphrases.kek"), randomBytes, log)
	if err != nil {
		return nil, err
	}
	webhooks, err := vault.OpenOrMakeKEKFile(filepath.Join(keys, "webhooks.kek"), randomBytes, log)
	if err != nil {
		return nil, err
	}
	failpoints, err := crashFailpoints()
	if err != nil {
		return nil, err
	}
	clock := process.WallClock(p.Speed)
	return process.Start(ctx, process.Config{
		DatabaseURL: d.admin, Kafka: cluster, Installation: ids.Installation, Clock: clock, Log: log,
		Placement: clouds.Place, Providers: clouds.Providers(), CheckCatalog: clouds.CheckCatalog,
		Payments: process.Payments(process.PaymentSettings{
			Demo: &process.DemoPayments{BaseURL: base, Secret: ids.WebhookSecret, Now: clock.Now},
		}),
		Mail: mail.Config{
			Addr: d.inbox.SMTPAddr(), From: "delivery@platforma.example", RootCAs: d.inbox.CertPool(),
		},
		CredentialKEK: credentials, PassphraseKEK: passphrases,
		WebhookKEK: webhooks, Webhook: webhook.Config{Loopback: true},
		PublicURL: base, MailURL: d.inbox.HTTPURL(), Limits: devLimits(),
		Dev: true, Alone: true, Failpoints: failpoints, DemoUsers: demoUsers(ids),
	})
}

// devLimits returns wider rate limits than those of production. In development, a demo or a load test of one
// person sends as much as many tenants elsewhere, mostly with one key. Wrong keys are limited as in production.
func devLimits() httpkit.Limits {
	l := httpkit.DefaultLimits()
	l.Requests = httpkit.Rate{PerSecond: 1000, Burst: 2000}
	l.Writes = httpkit.Rate{PerSecond: 500, Burst: 1000}
	return l
}

func demoUsers(ids seedData) []portal.DemoUser {
	var users []portal.DemoUser
	for _, t := range ids.Tenants {
		for _, u := range t.Users {
			role, _ := tenant.ParseRole(u.Role)
			users = append(users, portal.DemoUser{
				Tenant: t.ID, TenantName: t.name, Member: u.id, Role: role, Email: u.Email,
			})
		}
	}
	return users
}

// writePrivate writes v as JSON to a file that only its owner may read. A crash leaves the old file or the new
// one, never a part of it.
func writePrivate(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	next := path + ".next"
	if err := os.WriteFile(next, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
