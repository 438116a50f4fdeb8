package main

import (
	"fmt"

	"github.com/platforma-cloud/orders/internal/process"
)

// database is how a command reaches the database as its owner.
type database struct {
	DatabaseURL string `env:"DATABASE_URL" required:"" help:"Address of the database, as a user who may create roles and tables."`
}

type migrateCmd struct{ database }

func (c *migrateCmd) Run(g *globals) error {
	if err := process.Prepare(g.ctx, c.DatabaseURL); err != nil {
		return err
	}
	_, err := fmt.Fprintln(g.out, "The database is up to date.")
	return err
}
