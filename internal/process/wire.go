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

// Verbs are the verbs of a process, one set per login: whose work it is decides what the database
// lets it see. One that the process has no login for is nil.
type Verbs struct {
	API, Portal, Worker, Audit *app.App
}

// statsTTL is how old the figures may be (D25). A process's logins share them: they are the tenant's, whoever
// asks.
const statsTTL = 5 * time.Minute

// Wire gives each login its verbs. Providers, mail and the key of credentials are known to workers
// alone: an API write reaches nothing but the database.
func Wire(cfg Config, logins map[string]*postgres.DB, status func(context.Context) ([]app.ConsumerStatus, error)) (Verbs, error) {
	poster, secrets := webhook.New(cfg.Webhook), boxOf(cfg.WebhookKEK)
	stats, err := cache.New[app.OrderStats](cache.Config{TTL: statsTTL / time.Duration(max(1, cfg.Clock.Speed())), Now: cfg.Clock.Now, Random: random})
	if err != nil {
		return Verbs{}, err
	}
	verbs := func(login string) *app.App {
		db := logins[login]
		if db == nil {
			return nil
		}
		return app.New(app.Deps{
			Store: db, Accounts: db, Catalog: postgres.NewCatalogue(db), Webhooks: db, Units: db,
			Clock: cfg.Clock, NewID: cfg.newID(), Random: rand.Reader, Log: cfg.Log,
			Installation: cfg.Installation, Placement: cfg.Placement, Payments: cfg.Payments,
			Mailer: mailer{}, PortalURL: cfg.PublicURL, Consumers: status, Fallback: cfg.Fallback, Poster: poster, Secrets: secrets, PostingJobs: db,
			Stats: stats,
		})
	}
	v, err := wire(cfg, logins, verbs)
	if err != nil || cfg.Seam == nil {
		return v, err
	}
	for _, a := range []*app.App{v.API, v.Portal, v.Worker, v.Audit} {
		if a != nil {
			cfg.Seam.Ports(&a.Deps)
		}
	}
	return v, nil
}

// wire gives the portal's and the worker's verbs what they have besides.
func wire(cfg Config, logins map[string]*postgres.DB, verbs func(login string) *app.App) (Verbs, error) {
	v := Verbs{API: verbs(postgres.LoginAPI), Portal: verbs(postgres.LoginPortal), Worker: verbs(postgres.LoginWorker), Audit: verbs(postgres.LoginAudit)}
	if v.Audit != nil {
		v.Audit.Witness = logins[postgres.LoginAudit]
	}
	if v.Portal != nil {
		v.Portal.Passphrases = taker{db: logins[postgres.LoginPortal], vault: vault.New(cfg.PassphraseKEK)}
	}
	if v.Worker != nil {
		v.Worker.Rollup, v.Worker.Notices = logins[postgres.LoginWorker], logins[postgres.LoginWorker]
		v.Worker.Listeners = listeners(v.Worker, cfg.Seam)
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
	v.Worker.Sealer = sealer{db: logins[postgres.LoginWorker], credentials: vault.New(cfg.CredentialKEK), passphrases: vault.New(cfg.PassphraseKEK)}
	v.Worker.Credentials = opener{db: logins[postgres.LoginDelivery], vault: vault.New(cfg.CredentialKEK)}
	return v, nil
}

func (c Config) newID() func() [16]byte {
	if c.NewID != nil {
		return c.NewID
	}
	return NewID
}
