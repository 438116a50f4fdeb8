package main

import (
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
)

// findOrphans compares the inventory of a running development installation with what each account lists. It ends
// with status 1 when a difference remains.
func (c *doctorCmd) findOrphans(g *globals, d *installation) error {
	ids, err := loadOrMakeSeed(filepath.Join(c.Data, "seed.json"))
	if err != nil {
		return err
	}
	clouds, err := d.clouds(c.Config)
	if err != nil {
		return err
	}
	defer clouds.Close()
	clock := process.WallClock(1)
	db, err := postgres.Open(g.ctx, process.LoginURL(d.DatabaseURL, postgres.LoginWorker),
		postgres.LoginWorker, postgres.Options{Clock: clock, NewID: process.NewID, MaxConns: 2})
	if err != nil {
		return err
	}
	defer db.Close()
	useCases, err := process.Wire(process.Config{
		Clock: clock, Log: newLogger(g.err, false), Installation: ids.Installation, Placement: clouds.Place,
	}, map[string]*postgres.DB{postgres.LoginWorker: db}, nil)
	if err != nil {
		return err
	}
	useCases.Worker.Providers = clouds.Providers()
	remove := app.Nothing
	if c.Delete {
		remove = app.Everything
	}
	findings, err := useCases.Worker.Reap(g.ctx, db, remove)
	if err != nil {
		return err
	}
	if err := c.printOrphans(g, findings); err != nil {
		return err
	}
	for _, f := range findings {
		if !f.Deleted {
			return errReported
		}
	}
	return nil
}

func (c *doctorCmd) printOrphans(g *globals, findings []app.Finding) error {
	if c.JSON {
		type line struct {
			app.Finding
			Kind string `json:"kind"`
		}
		lines := []line{}
		for _, f := range findings {
			lines = append(lines, line{f, f.Kind.String()})
		}
		return printJSON(g.out, lines)
	}
	if len(findings) == 0 {
		_, err := fmt.Fprintln(g.out, "The inventory and the clouds agree: no orphan, nothing missing.")
		return err
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tPROVIDER\tREGION\tRESOURCE\tID\tITEM\tMADE\t")
	for _, f := range findings {
		what := f.Kind.String()
		if f.Deleted {
			what += ", being removed"
		}
		item := f.Item.String()
		if f.Item.IsZero() {
			item = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", what, f.Provider, f.Region, f.Resource, f.Ref, item,
			f.Made.Format(time.RFC3339))
	}
	return w.Flush()
}
