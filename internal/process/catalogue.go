package process

import (
	"context"
	"fmt"
	"strings"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// checkCatalog compares the catalogue that is sold now with the accounts. It reads through the first of the
// process's logins that may see the catalogue.
func (p *Process) checkCatalog(ctx context.Context) error {
	if p.cfg.CheckCatalog == nil {
		return nil
	}
	for _, login := range []string{postgres.LoginAPI, postgres.LoginPortal, postgres.LoginWorker} {
		db := p.logins[login]
		if db == nil {
			continue
		}
		entries, err := db.CatalogEntries(ctx)
		if err != nil {
			return err
		}
		sold, err := catalog.Load(entries, p.cfg.Clock.Now())
		if err != nil {
			return fmt.Errorf("read the catalogue: %w", err)
		}
		paused, err := p.cfg.CheckCatalog(sold.Products())
		if len(paused) > 0 {
			p.cfg.Log.WarnContext(ctx, "not sold for now: the account is drained", "what", strings.Join(paused, ", "))
		}
		return err
	}
	return nil
}
