package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// Admin is the connection of who migrates: a member of platforma_owner. It makes tenants; everything
// inside one is then made by the api login, through its walls.
type Admin struct{ conn *pgx.Conn }

// OpenAdmin connects. It is used by one goroutine.
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

// AddTenant makes a tenant; one that is there already, by id or slug, is left as it is.
func (a *Admin) AddTenant(ctx context.Context, t tenant.ID, slug string, at time.Time) error {
	_, err := a.conn.Exec(ctx, `INSERT INTO platforma.tenants (id, slug, created_at) VALUES ($1, $2, $3)
		ON CONFLICT DO NOTHING`, uid(t), slug, stamp(at))
	if err != nil {
		return fmt.Errorf("add tenant %s: %w", slug, err)
	}
	return nil
}

// Close ends the connection.
func (a *Admin) Close(ctx context.Context) error { return a.conn.Close(ctx) }

// Tenant is one of the organisations served here.
type Tenant struct {
	ID   tenant.ID
	Slug string
}

const sqlTenants = `SELECT id, slug FROM tenants ORDER BY slug`

// Tenants lists all, for the logins that may know of them: api, portal, worker, audit.
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
