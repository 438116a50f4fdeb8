package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// Admin is a connection of the login that migrates, a member of platforma_owner. It adds tenants; the rows of a
// tenant are then written by the api login, under the tenant walls. It must be used by one goroutine only.
type Admin struct{ conn *pgx.Conn }

// OpenAdmin connects to a database.
func OpenAdmin(ctx context.Context, url string) (*Admin, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the database address: %w", withoutAddress(err))
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect as the owner: %w", err)
	}
	return &Admin{conn}, nil
}

// AddTenant adds a tenant. It has no effect if there is one with this id or slug.
func (a *Admin) AddTenant(ctx context.Context, t tenant.ID, slug string, at time.Time) error {
	_, err := a.conn.Exec(ctx, `
		INSERT INTO platforma.tenants (id, slug, created_at)
		VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, uid(t), slug, stamp(at))
	if err != nil {
		return fmt.Errorf("add tenant %s: %w", slug, err)
	}
	return nil
}

// Close ends the connection.
func (a *Admin) Close(ctx context.Context) error { return a.conn.Close(ctx) }

// Tenant is an organisation that the installation serves.
type Tenant struct {
	ID   tenant.ID
	Slug string
}

func idsOf(tenants []Tenant) []tenant.ID {
	return column(tenants, func(t *Tenant) tenant.ID { return t.ID })
}

const sqlTenants = `SELECT id, slug FROM tenants ORDER BY slug`

// Tenants returns all tenants, for the logins that may see them: api, portal, worker and audit.
func (db *DB) Tenants(ctx context.Context) ([]Tenant, error) {
	var list []Tenant
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlTenants), func(r pgx.Rows) error {
			var t Tenant
			err := r.Scan(intoID(&t.ID), &t.Slug)
			list = append(list, t)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "list tenants")
	}
	return list, nil
}
