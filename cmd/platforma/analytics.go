package main

import (
	"fmt"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// rollupLine is what is said of a tenant's figures.
type rollupLine struct {
	Tenant string `json:"tenant"`
	Slug   string `json:"slug"`
	Holds  bool   `json:"holds"`
	app.RollupCheck
}

func (l rollupLine) String() string {
	said := "the figures are those of the orders"
	switch {
	case !l.Holds:
		said = fmt.Sprintf("the figures are WRONG on %d counts (mend them: platforma analytics rebuild --tenant %s)",
			len(l.Differences), l.Slug)
	case !l.Backfilled:
		said = "not counted yet"
	}
	if l.Behind > 0 {
		said += fmt.Sprintf("; of %d orders events are still to be taken in", l.Behind)
	}
	if l.Parked > 0 {
		said += fmt.Sprintf(", %d of them behind a parked event, see the desk", l.Parked)
	}
	return l.Slug + ": " + said
}

type analyticsCheckCmd struct{ books }

// Run compares the roll-up behind the figures with the orders; it ends with status 1 when one is wrong.
func (c *analyticsCheckCmd) Run(g *globals) error {
	return c.each(g, func(*postgres.DB, postgres.Tenant) error { return nil })
}

type analyticsRebuildCmd struct{ books }

// Run counts the roll-up anew from the orders. Orders go on meanwhile; the tenant's events wait.
func (c *analyticsRebuildCmd) Run(g *globals) error {
	return c.each(g, func(db *postgres.DB, t postgres.Tenant) error { return db.Recount(g.ctx, t.ID) })
}

// each does something about every tenant that was asked for, then says how its figures stand.
func (b *books) each(g *globals, do func(db *postgres.DB, t postgres.Tenant) error) error {
	db, err := b.open(g, postgres.LoginWorker)
	if err != nil {
		return err
	}
	defer db.Close()
	tenants, err := b.tenants(g.ctx, db)
	if err != nil {
		return err
	}
	lines := []rollupLine{}
	whole := true
	for _, t := range tenants {
		if err := do(db, t); err != nil {
			return err
		}
		check, err := db.CheckRollup(g.ctx, t.ID)
		if err != nil {
			return err
		}
		check.Differences = append([]app.RollupDifference{}, check.Differences...) // a list in JSON too
		l := rollupLine{Tenant: t.ID.String(), Slug: t.Slug, Holds: check.Holds(), RollupCheck: check}
		lines, whole = append(lines, l), whole && l.Holds
	}
	if err := b.tellRollups(g, lines); err != nil {
		return err
	}
	if !whole {
		return errReported
	}
	return nil
}

func (b *books) tellRollups(g *globals, lines []rollupLine) error {
	if b.JSON {
		return printJSON(g.out, lines)
	}
	for _, l := range lines {
		fmt.Fprintln(g.out, l)
		for i, d := range l.Differences {
			if l.Holds {
				break // of the events that are on their way
			}
			if i == mostTold {
				fmt.Fprintf(g.out, "  … and %d more\n", len(l.Differences)-i)
				break
			}
			fmt.Fprintf(g.out, "  %s, %s: the orders say %s; the roll-up %s\n", d.Day, d.What, d.Tables, d.Rollup)
		}
	}
	return nil
}
