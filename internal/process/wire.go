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

// UseCases holds the use cases of a process, one set for each database login, because the login decides what
// the database lets them see. A set is nil when the process has no such login.
type UseCases struct {
	API, Portal, Worker, Audit *app.App
}

// statsTTL is how old the figures may be (D25). The logins of a process share one cache, because the figures
// of a tenant do not depend on who asks.
const statsTTL = 5 * time.Minute

// Wire builds the use cases of each login. Only workers get providers, mail and the key of credentials: a
// write through the API reaches nothing but the database.
func Wire(
	cfg Config, logins map[string]*postgres.DB, status func(context.Context) ([]app.ConsumerStatus, error),
) (UseCases, error) {
	sender, secrets := webhook.New(cfg.Webhook), newWebhookSecretBox(cfg.WebhookKEK)
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
			Mailer: mailer{}, PortalURL: cfg.PublicURL, Consumers: status, Fallback: cfg.Fallback,
			WebhookSender: sender, Secrets: secrets, WebhookDeliveryJobs: db, Stats: stats,
		})
	}
	u, err := wireLogins(cfg, logins, useCases)
	if err != nil || cfg.Failpoints == nil {
		return u, err
	}
	for _, a := range []*app.App{u.API, u.Portal, u.Worker, u.Audit} {
		if a != nil {
			cfg.Failpoints.Ports(&a.Deps)
		}
	}
	return u, nil
}

// wireLogins builds the use cases of each login and adds the ports that only this login has.
func wireLogins(cfg Config, logins map[string]*postgres.DB, useCases func(login string) *app.App) (UseCases, error) {
	u := UseCases{
		API: useCases(postgres.LoginAPI), Portal: useCases(postgres.LoginPortal), Worker: useCases(postgres.LoginWorker),
		Audit: useCases(postgres.LoginAudit),
	}
	if u.Audit != nil {
		u.Audit.AuditLog = logins[postgres.LoginAudit]
	}
	if u.Portal != nil {
		u.Portal.Passphrases = passphraseStore{db: logins[postgres.LoginPortal], vault: vault.New(cfg.PassphraseKEK)}
	}
	if u.Worker != nil {
		u.Worker.Rollup, u.Worker.Notices = logins[postgres.LoginWorker], logins[postgres.LoginWorker]
		u.Worker.Handlers = consumerHandlers(u.Worker, cfg.Failpoints)
	}
	if u.Worker == nil || logins[postgres.LoginDelivery] == nil {
		return u, nil
	}
	sender, err := mail.NewSender(cfg.Mail)
	if err != nil {
		return u, fmt.Errorf("mail: %w", err)
	}
	guarded := guard.New(logins[postgres.LoginWorker], cfg.Clock)
	u.Worker.Providers = map[string]provider.Provider{}
	for name, p := range cfg.Providers {
		u.Worker.Providers[name] = guarded.Wrap(name, p)
	}
	u.Worker.Mailer = mailer{sender}
	u.Worker.Sealer = credentialEncrypter{
		db: logins[postgres.LoginWorker], credentials: vault.New(cfg.CredentialKEK),
		passphrases: vault.New(cfg.PassphraseKEK),
	}
	u.Worker.Credentials = credentialDecrypter{db: logins[postgres.LoginDelivery], vault: vault.New(cfg.CredentialKEK)}
	return u, nil
}

func (c Config) newID() func() [16]byte {
	if c.NewID != nil {
		return c.NewID
	}
	return NewID
}
