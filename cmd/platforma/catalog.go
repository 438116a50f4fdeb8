package main

import (
	"fmt"
	"os"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
)

// open opens the API's login, which may read and add what belongs to no tenant, such as catalogue and rates.
func (d database) open(g *globals) (*postgres.DB, error) {
	return postgres.Open(g.ctx, process.LoginURL(d.DatabaseURL, postgres.LoginAPI),
		postgres.LoginAPI, postgres.Options{Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2})
}

// catalogFile holds the flags of commands that compare a file with the catalogue in force.
type catalogFile struct {
	database
	File string `arg:"" type:"existingfile" help:"Catalogue file, as 'platforma catalog show' prints it."`
	JSON bool   `help:"Print as JSON."`
}

// changes reads the file and returns what it would change. Entries are the new versions; refused reports whether
// one of the changes is not allowed.
func (c *catalogFile) changes(
	g *globals, db *postgres.DB,
) (entries []catalog.Entry, changes []catalog.Change, refused bool, err error) {
	current, err := db.CatalogEntries(g.ctx)
	if err != nil {
		return nil, nil, false, err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, nil, false, fmt.Errorf("open the catalogue file: %w", err)
	}
	defer func() { _ = f.Close() }()
	file, err := catalog.ParseFile(f, current...)
	if err != nil {
		return nil, nil, false, fmt.Errorf("%s: %w", c.File, err)
	}
	changes = catalog.Diff(current, file)
	added := map[string]bool{}
	for _, ch := range changes {
		refused = refused || ch.Kind == catalog.Refused
		added[ch.Entry] = ch.Kind == catalog.Added || ch.Kind == catalog.Changed
	}
	for _, e := range file {
		if added[e.Name] {
			entries = append(entries, e)
		}
	}
	return entries, changes, refused, nil
}

func (c *catalogFile) print(g *globals, changes []catalog.Change) error {
	if c.JSON {
		return printJSON(g.out, changes)
	}
	for _, ch := range changes {
		if _, err := fmt.Fprintln(g.out, ch); err != nil {
			return err
		}
	}
	return nil
}

type catalogDiffCmd struct{ catalogFile }

// Run shows what the file would change. It ends with status 1 when a change would be refused.
func (c *catalogDiffCmd) Run(g *globals) error {
	db, err := c.open(g)
	if err != nil {
		return err
	}
	defer db.Close()
	_, changes, refused, err := c.changes(g, db)
	if err != nil {
		return err
	}
	if err := c.print(g, changes); err != nil {
		return err
	}
	if refused {
		return errReported
	}
	return nil
}

type catalogApplyCmd struct {
	catalogFile
	By string `required:"" help:"Who changes the catalogue; stored with the change."`
}

// Run adds all of the file's new versions, or none. Existing orders keep their snapshots (D10).
func (c *catalogApplyCmd) Run(g *globals) error {
	db, err := c.open(g)
	if err != nil {
		return err
	}
	defer db.Close()
	entries, changes, refused, err := c.changes(g, db)
	if err != nil {
		return err
	}
	if err := c.print(g, changes); err != nil {
		return err
	}
	if refused {
		fmt.Fprintln(g.err, "Nothing was changed.")
		return errReported
	}
	if len(entries) == 0 {
		_, err := fmt.Fprintln(g.out, "Nothing to change.")
		return err
	}
	summary := fmt.Sprintf("%d entries from %s", len(entries), c.File)
	if err := db.AddCatalogEntries(g.ctx, entries, "cli:"+c.By, summary); err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.out, "%d entries added. New prices apply within 5 seconds; existing orders keep theirs.\n",
		len(entries))
	return err
}

type catalogShowCmd struct{ database }

// Run prints every version of the catalogue.
func (c *catalogShowCmd) Run(g *globals) error {
	db, err := c.open(g)
	if err != nil {
		return err
	}
	defer db.Close()
	entries, err := db.CatalogEntries(g.ctx)
	if err != nil {
		return err
	}
	return printJSON(g.out, entries)
}
