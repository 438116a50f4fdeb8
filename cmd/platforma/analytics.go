package main

import (
	"fmt"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/postgres"
)

// rollupLine is the result of checking a tenant's figures.
type rollupLine struct {
	Tenant string `json:"tenant"`
	Slug   string `json:"slug"`
	Holds  bool   `json:"holds"`
	app.RollupCheck
}

func (l rollupLine) String() string {
	text := "the figures match the orders"
	switch {
	case !l.Holds:
		text = fmt.Sprintf("the figures are WRONG in %d places (correct them: platforma analytics rebuild --tenant %s)",
			len(l.Differences), l.Slug)
	case !l.Backfilled:
		text = "not counted yet"
	}
	if l.Behind > 0 {
		text += fmt.Sprintf("; events of %d orders are still to be counted", l.Behind)
	}
	if l.Parked > 0 {
		text += fmt.Sprintf(", %d of them behind a parked event (see: platforma deadletters list --cause event-failed)",
			l.Parked)
	}
	return l.Slug + ": " + text
}

type analyticsCheckCmd struct{ tenantReader }

// Run compares the roll-up behind the figures with the orders. It ends with status 1 when they differ.
func (c *analyticsCheckCmd) Run(g *globals) error {
	return c.checkRollups(g, func(*postgres.DB, postgres.Tenant) error { return nil })
}

type analyticsRebuildCmd struct{ tenantReader }

// Run counts the roll-up again from the orders. Orders go on meanwhile; only the tenant's figures wait.
func (c *analyticsRebuildCmd) Run(g *globals) error {
	return c.checkRollups(g, func(db *postgres.DB, t postgres.Tenant) error { return db.Recount(g.ctx, t.ID) })
}

// checkRollups calls prepare for each tenant, then checks the tenant's figures and prints the result.
func (r *tenantReader) checkRollups(g *globals, prepare func(db *postgres.DB, t postgres.Tenant) error) error {
	db, err := r.open(g, postgres.LoginWorker)
	if err != nil {
		return err
	}
	defer db.Close()
	tenants, err := r.tenants(g.ctx, db)
	if err != nil {
		return err
	}
	lines := []rollupLine{}
	allHold := true
	for _, t := range tenants {
		if err := prepare(db, t); err != nil {
			return err
		}
		check, err := db.CheckRollup(g.ctx, t.ID)
		if err != nil {
			return err
		}
		check.Differences = append([]app.RollupDifference{}, check.Differences...) // an empty list in JSON, not null
		l := rollupLine{Tenant: t.ID.String(), Slug: t.Slug, Holds: check.Holds(), RollupCheck: check}
		lines, allHold = append(lines, l), allHold && l.Holds
	}
	if err := r.printRollups(g, lines); err != nil {
		return err
	}
	if !allHold {
		return errReported
	}
	return nil
}

func (r *tenantReader) printRollups(g *globals, lines []rollupLine) error {
	if r.JSON {
		return printJSON(g.out, lines)
	}
	for _, l := range lines {
		fmt.Fprintln(g.out, l)
		for i, d := range l.Differences {
			if l.Holds {
				break // these differences are due to events that are not counted yet
			}
			if i == maxDifferences {
				fmt.Fprintf(g.out, "  … and %d more\n", len(l.Differences)-i)
				break
			}
			fmt.Fprintf(g.out, "  %s, %s: the orders say %s; the roll-up says %s\n", d.Day, d.What, d.Tables, d.Rollup)
		}
	}
	return nil
}
