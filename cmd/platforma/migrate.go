package main

import (
	"fmt"

	"github.com/platforma-cloud/orders/internal/process"
)

// database holds the flag by which a command reaches the database. Only migrate uses the user in the address;
// the others replace it by their own login.
type database struct {
	DatabaseURL string `env:"DATABASE_URL" required:"" help:"Address of the database. For migrate its user must be allowed to create roles and tables; other commands replace the user by the product's own logins."`
}

type migrateCmd struct{ database }

// Run creates or updates the tables. It can be repeated.
func (c *migrateCmd) Run(g *globals) error {
	if err := process.Prepare(g.ctx, c.DatabaseURL); err != nil {
		return err
	}
	_, err := fmt.Fprintln(g.out, "The database is up to date.")
	return err
}
