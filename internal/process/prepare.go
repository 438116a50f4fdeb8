package process

import (
	"context"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/queue"
)

// Prepare migrates a database, as its owner: the product's tables and those of the job engine. It adds the
// catalogue as shipped when there is none yet. Several processes may call it at once.
func Prepare(ctx context.Context, admin string) error {
	if err := postgres.Migrate(ctx, admin); err != nil {
		return err
	}
	if err := queue.Migrate(ctx, admin); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, LoginURL(admin, postgres.LoginAPI), postgres.LoginAPI, postgres.Options{
		Clock: WallClock(1), NewID: NewID, MaxConns: 1,
	})
	if err != nil {
		return err
	}
	defer db.Close()
	entries, err := db.CatalogEntries(ctx)
	if err != nil || len(entries) > 0 {
		return err
	}
	return db.AddCatalogEntries(ctx, catalog.Default(), "system:migrate", "the catalogue as shipped")
}
