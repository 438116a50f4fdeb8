package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/catalog"
)

const (
	sqlCatalog       = `SELECT entry, version, body, valid_from FROM catalog ORDER BY entry, version`
	sqlCatalogCount  = `SELECT count(*) FROM catalog`
	sqlCatalogInsert = `INSERT INTO catalog (entry, version, body, valid_from) VALUES ($1, $2, $3, $4)`
	sqlCatalogChange = `INSERT INTO catalog_change (at, actor, summary) VALUES ($1, $2, $3)`
)

// CatalogEntries returns every version of every entry, ordered by name and version.
func (db *DB) CatalogEntries(ctx context.Context) ([]catalog.Entry, error) {
	var list []catalog.Entry
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlCatalog), func(r pgx.Rows) error {
			var e catalog.Entry
			var body string
			err := r.Scan(&e.Name, &e.Version, &body, intoTime(&e.ValidFrom))
			e.Body = []byte(body)
			list = append(list, e)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the catalogue")
	}
	return list, nil
}

// AddCatalogEntries adds versions to the catalogue, all or none, and records who added them and why. A version
// that exists is a conflict, because entries are never changed (D14).
func (db *DB) AddCatalogEntries(ctx context.Context, entries []catalog.Entry, actor, summary string) error {
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		for _, e := range entries {
			b.Queue(sqlCatalogInsert, e.Name, e.Version, string(e.Body), stamp(e.ValidFrom))
		}
		b.Queue(sqlCatalogChange, stamp(db.now()), actor, summary)
	})
	if err != nil {
		return faultOr(err, "add %d catalogue entries", len(entries))
	}
	return nil
}

// recheck is how long a loaded catalogue is used without a look at the table. A change is visible everywhere
// after this time.
const recheck = 5 * time.Second

// Catalogue implements app.CatalogSource on the table. It caches the catalogue, compares it with the table every
// few seconds, and loads it again when an entry was added or has become valid. It is safe for concurrent use.
type Catalogue struct {
	db *DB

	mu      sync.Mutex
	current *catalog.Catalog // guarded by mu, as all below
	entries int
	next    time.Time // when the next known entry becomes valid; zero when none does
	checked time.Time
}

// NewCatalogue returns a source that reads the table at the first call of Catalog.
func NewCatalogue(db *DB) *Catalogue { return &Catalogue{db: db} }

// Catalog returns the catalogue of now. While the table cannot be read, it returns the last one that was loaded,
// unless an entry has become valid since.
func (c *Catalogue) Catalog(ctx context.Context) (*catalog.Catalog, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.db.now()
	due := c.current == nil || !c.next.IsZero() && !now.Before(c.next)
	if !due && now.Sub(c.checked) < recheck {
		return c.current, nil
	}
	if !due {
		var n int
		err := c.db.inSystem(ctx, func(b *pgx.Batch) {
			b.Queue(sqlCatalogCount).QueryRow(func(r pgx.Row) error { return r.Scan(&n) })
		})
		if err != nil || n == c.entries { // entries are only ever added
			c.checked = now
			return c.current, nil
		}
	}
	return c.load(ctx, now)
}

func (c *Catalogue) load(ctx context.Context, now time.Time) (*catalog.Catalog, error) {
	entries, err := c.db.CatalogEntries(ctx)
	if err != nil {
		return nil, err
	}
	loaded, err := catalog.Load(entries, now)
	if err != nil {
		return nil, fmt.Errorf("load the catalogue: %w", err)
	}
	c.current, c.entries, c.checked, c.next = loaded, len(entries), now, time.Time{}
	later := slices.DeleteFunc(entries, func(e catalog.Entry) bool { return !e.ValidFrom.After(now) })
	if len(later) > 0 {
		c.next = slices.MinFunc(later, func(a, b catalog.Entry) int { return a.ValidFrom.Compare(b.ValidFrom) }).ValidFrom
	}
	return loaded, nil
}
