package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/cache"
	"github.com/platforma-cloud/orders/internal/mail"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/guard"
	"github.com/platforma-cloud/orders/internal/vault"
	"github.com/platforma-cloud/orders/internal/webhook"
)

// Use cases are the use cases of a process, one set per login: whose work it is decides what the database
// lets it see. One that the process has no login for is nil.
type UseCases struct {
	API, Portal, Worker, Audit *app.App
}

// statsTTL is how old the figures may be (D25). A process's logins share them: they are the tenant's, whoever
// asks.
const statsTTL = 5 * time.Minute

// Wire gives each login its use cases. Providers, mail and the key of credentials are known to workers
// alone: an API write reaches nothing but the database.
func Wire(
	cfg Config, logins map[string]*postgres.DB, status func(context.Context) ([]app.ConsumerStatus, error),
) (UseCases, error) {
	poster, secrets := webhook.New(cfg.Webhook), webhookSecretBoxOf(cfg.WebhookKEK)
	stats, err := cache.New[app.OrderStats](cache.Config{
		TTL: statsTTL / time.Duration(max(1, cfg.Clock.Speed())), Now: cfg.Clock.Now, Random: random,
	})
	if err != nil {
		return UseCases{}, err
	}
	useCases := func(login string) *app.App {
		db := logins[login]
		if db == nil {
			return nil
		}
		return app.New(app.Deps{
			Store: db, Accounts: db, Catalog: postgres.NewCatalogue(db), PaymentWebhooks: db, Tasks: db,
			Clock: cfg.Clock, NewID: cfg.newID(), Random: rand.Reader, Log: cfg.Log,
			Installation: cfg.Installation, Placement: cfg.Placement, Payments: cfg.Payments,
			Mailer: mailer{}, PortalURL: cfg.PublicURL, Consumers: status, Fallback: cfg.Fallback, WebhookSender: poster,
			Secrets: secrets, WebhookDeliveryJobs: db,
			Stats: stats,
		})
	}
	v, err := wire(cfg, logins, useCases)
	if err != nil || cfg.Failpoints == nil {
		return v, err
	}
	for _, a := range []*app.App{v.API, v.Portal, v.Worker, v.Audit} {
		if a != nil {
			cfg.Failpoints.Ports(&a.Deps)
		}
	}
	return v, nil
}

// wire gives the portal's and the worker's use cases what they have besides.
func wire(cfg Config, logins map[string]*postgres.DB, useCases func(login string) *app.App) (UseCases, error) {
	v := UseCases{
		API: useCases(postgres.LoginAPI), Portal: useCases(postgres.LoginPortal), Worker: useCases(postgres.LoginWorker),
		Audit: useCases(postgres.LoginAudit),
	}
	if v.Audit != nil {
		v.Audit.AuditLog = logins[postgres.LoginAudit]
	}
	if v.Portal != nil {
		v.Portal.Passphrases = passphraseStore{db: logins[postgres.LoginPortal], vault: vault.New(cfg.PassphraseKEK)}
	}
	if v.Worker != nil {
		v.Worker.Rollup, v.Worker.Notices = logins[postgres.LoginWorker], logins[postgres.LoginWorker]
		v.Worker.Handlers = listeners(v.Worker, cfg.Failpoints)
	}
	if v.Worker == nil || logins[postgres.LoginDelivery] == nil {
		return v, nil
	}
	sender, err := mail.NewSender(cfg.Mail)
	if err != nil {
		return v, fmt.Errorf("mail: %w", err)
	}
	guarded := guard.New(logins[postgres.LoginWorker], cfg.Clock)
	v.Worker.Providers = map[string]provider.Provider{}
	for name, p := range cfg.Providers {
		v.Worker.Providers[name] = guarded.Wrap(name, p)
	}
	v.Worker.Mailer = mailer{sender}
	v.Worker.Sealer = credentialEncrypter{
		db: logins[postgres.LoginWorker], credentials: vault.New(cfg.CredentialKEK),
		passphrases: vault.New(cfg.PassphraseKEK),
	}
	v.Worker.Credentials = credentialDecrypter{db: logins[postgres.LoginDelivery], vault: vault.New(cfg.CredentialKEK)}
	return v, nil
}

func (c Config) newID() func() [16]byte {
	if c.NewID != nil {
		return c.NewID
	}
	return NewID
}
