package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/vault"
)

type serveCmd struct {
	database
	brokers
	Listen        string   `default:"127.0.0.1:8080" env:"PLATFORMA_LISTEN" help:"Address of API and portal, by HTTP: end TLS in a proxy in front of it."`
	MetricsListen string   `env:"PLATFORMA_METRICS_LISTEN" placeholder:"ADDRESS" help:"Address for Prometheus, such as 127.0.0.1:9464; customers must not reach it. Without it there are no metrics."`
	PublicURL     string   `required:"" env:"PLATFORMA_PUBLIC_URL" help:"Where customers reach the portal, such as https://orders.example."`
	Roles         []string `env:"PLATFORMA_ROLES" help:"The roles of this process: api, portal, worker, relay, provision, billing, notify, audit, live. Default: all."`
	Installation  string   `required:"" env:"PLATFORMA_INSTALLATION" help:"Name of the installation. It is part of every resource's key: never change it."`
	Config        string   `required:"" env:"PLATFORMA_CONFIG" placeholder:"FILE" help:"File with the clouds' accounts."`
	SMTP          string   `required:"" env:"PLATFORMA_SMTP" help:"host:port of the mail relay; it must offer TLS."`
	SMTPUser      string   `env:"PLATFORMA_SMTP_USER" help:"User name at the mail relay."`
	SMTPPassword  string   `env:"PLATFORMA_SMTP_PASSWORD_FILE" type:"existingfile" help:"File with the password for the mail relay."`
	SMTPCA        string   `name:"smtp-ca" env:"PLATFORMA_SMTP_CA" type:"existingfile" help:"PEM file of the mail relay's certificate authority, when it is not a public one."`
	MailFrom      string   `required:"" env:"PLATFORMA_MAIL_FROM" help:"Sender's address of all mails."`
	CredentialKEK string   `env:"PLATFORMA_CREDENTIAL_KEK" type:"existingfile" help:"File (mode 0600) with the key that wraps the tenants' keysets for credentials. For workers only; give it to no other process."`
	PassphraseKEK string   `env:"PLATFORMA_PASSPHRASE_KEK" type:"existingfile" help:"File (mode 0600) with the key that wraps the tenants' keysets for passphrases. For workers and the portal."`
	WebhookKEK    string   `env:"PLATFORMA_WEBHOOK_KEK" type:"existingfile" help:"File (mode 0600) with the key that wraps the keysets of webhooks' signing secrets. For API, portal and workers; without it there are no webhooks."`
	Development   bool     `env:"PLATFORMA_DEVELOPMENT" help:"Accept the embedded development broker, which keeps no second copy of anything. Never use it in production."`
	Verbose       bool     `short:"v" help:"Log the details too."`
}

// Run serves until a signal ends the context. Then it accepts no more requests, lets running work finish for up
// to 25 s, and ends.
func (c *serveCmd) Run(g *globals) error {
	if c.Config == "" { // the environment variable is set but empty
		return errors.New("name the configuration file: --config or PLATFORMA_CONFIG (docs/providers.md)")
	}
	clouds, err := config.Read(c.Config, config.Defaults{})
	if err != nil {
		return err
	}
	defer clouds.Close()
	cfg, err := c.processConfig(g, clouds)
	if err != nil {
		return err
	}
	if err := c.checkBrokers(g.ctx, cfg); err != nil {
		return err
	}
	p, err := process.Start(g.ctx, cfg)
	if err != nil {
		return err
	}
	srv := httpkit.NewServer(p.Handler)
	srv.Addr = c.Listen
	if c.MetricsListen != "" {
		at, stop, err := serveMetrics(g.ctx, c.MetricsListen, p.Metrics())
		if err != nil {
			return errors.Join(err, p.Stop(g.ctx))
		}
		defer func() { _ = stop(context.WithoutCancel(g.ctx)) }()
		cfg.Log.Info("metrics", "address", "http://"+at+"/metrics")
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	cfg.Log.Info("serving", "address", c.Listen, "roles", strings.Join(c.Roles, ","))
	select {
	case err = <-failed:
		err = fmt.Errorf("serve: %w", err)
	case <-g.ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.ctx), 25*time.Second)
	defer cancel()
	shutdownCtx, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	if srv.Shutdown(shutdownCtx) != nil {
		_ = srv.Close()
	}
	return errors.Join(err, p.Stop(ctx))
}

// checkBrokers returns an error for embedded brokers (ADR 0015) and for brokers that refuse the login. Brokers
// that do not answer are no error: orders are accepted and fulfilled without them (D20).
func (c *serveCmd) checkBrokers(ctx context.Context, cfg process.Config) error {
	id, err := cfg.Kafka.Identify(ctx)
	switch {
	case errors.Is(err, kafka.ErrAccess), ctx.Err() != nil:
		return err
	case err != nil:
		cfg.Log.Warn("the Kafka brokers do not answer; starting without them", "error", err)
	case id == embedded.KafkaClusterID && !c.Development:
		return fmt.Errorf("%s is the embedded development broker, which keeps no second copy of anything, so serve refuses "+
			"it; name the brokers of your Kafka, or give --development (PLATFORMA_DEVELOPMENT) if no data matters",
			strings.Join(c.KafkaBrokers, ","))
	}
	return nil
}

func (c *serveCmd) processConfig(g *globals, clouds *config.Clouds) (process.Config, error) {
	cluster, err := c.cluster()
	if err != nil {
		return process.Config{}, err
	}
	cfg := process.Config{
		DatabaseURL: c.DatabaseURL, Kafka: cluster, Installation: c.Installation, Clock: process.WallClock(1),
		Log:       newLogger(g.err, c.Verbose),
		Placement: clouds.Place, Providers: clouds.Providers(), CheckCatalog: clouds.CheckCatalog,
		Payments:  process.Payments(process.PaymentSettings{}),
		PublicURL: c.PublicURL,
		Limits:    httpkit.DefaultLimits(),
	}
	for _, r := range c.Roles {
		role := process.Role(r)
		if !process.KnownRole(role) {
			return cfg, fmt.Errorf("there is no role %q; the roles are %v", r, process.Roles())
		}
		cfg.Roles = append(cfg.Roles, role)
	}
	if err := c.readKeys(&cfg); err != nil {
		return cfg, err
	}
	cfg.Mail, err = c.mailConfig()
	return cfg, err
}

// readKeys reads only the keys that the roles need: a process that only serves the API can open no sealed value
// (ADR 0014). No two keys may be the same.
func (c *serveCmd) readKeys(cfg *process.Config) (err error) {
	hasRole := func(r process.Role) bool { return len(cfg.Roles) == 0 || slices.Contains(cfg.Roles, r) }
	if hasRole(process.Worker) {
		if c.CredentialKEK == "" {
			return errors.New("a worker needs the key of the credentials: --credential-kek or PLATFORMA_CREDENTIAL_KEK")
		}
		if cfg.CredentialKEK, err = vault.OpenKEKFile(c.CredentialKEK); err != nil {
			return err
		}
	}
	if hasRole(process.Worker) || hasRole(process.Portal) {
		if c.PassphraseKEK == "" {
			return errors.New("workers and the portal need the key of the passphrases: --passphrase-kek or " +
				"PLATFORMA_PASSPHRASE_KEK")
		}
		if cfg.PassphraseKEK, err = vault.OpenKEKFile(c.PassphraseKEK); err != nil {
			return err
		}
	}
	if c.WebhookKEK != "" {
		if cfg.WebhookKEK, err = vault.OpenKEKFile(c.WebhookKEK); err != nil {
			return err
		}
		for _, other := range []vault.KEK{cfg.CredentialKEK, cfg.PassphraseKEK} {
			if cfg.WebhookKEK.Fingerprint() == other.Fingerprint() {
				return errors.New("webhooks need a key of their own: two files hold the same key")
			}
		}
	}
	if hasRole(process.Worker) && cfg.CredentialKEK.Fingerprint() == cfg.PassphraseKEK.Fingerprint() {
		return errors.New("credentials and passphrases need keys of their own: the two files hold the same key")
	}
	return nil
}

func (c *serveCmd) mailConfig() (mail.Config, error) {
	m := mail.Config{Addr: c.SMTP, From: c.MailFrom, Username: c.SMTPUser}
	if c.SMTPPassword != "" {
		raw, err := os.ReadFile(c.SMTPPassword)
		if err != nil {
			return m, fmt.Errorf("read the mail relay's password: %w", err)
		}
		m.Password = strings.TrimSpace(string(raw))
	}
	if c.SMTPCA != "" {
		pem, err := os.ReadFile(c.SMTPCA)
		if err != nil {
			return m, fmt.Errorf("read the mail relay's certificate authority: %w", err)
		}
		m.RootCAs = x509.NewCertPool()
		if !m.RootCAs.AppendCertsFromPEM(pem) {
			return m, fmt.Errorf("%s holds no certificate", c.SMTPCA)
		}
	}
	return m, nil
}
