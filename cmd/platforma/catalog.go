package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
)

// store opens the login that reads and adds to what belongs to no tenant.
func (d database) store(g *globals) (*postgres.DB, error) {
	return postgres.Open(g.ctx, process.LoginURL(d.DatabaseURL, postgres.LoginAPI),
		postgres.LoginAPI, postgres.Options{Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2})
}

// catalogFile is a file against the catalogue in force.
type catalogFile struct {
	database
	File string `arg:"" type:"existingfile" help:"Catalogue file, as 'platforma catalog show' prints it."`
	JSON bool   `help:"Print as JSON."`
}

// changes reads the file and says what it would do; nothing may be refused.
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
		enc := json.NewEncoder(g.out)
		enc.SetIndent("", "  ")
		return enc.Encode(changes)
	}
	for _, ch := range changes {
		if _, err := fmt.Fprintln(g.out, ch); err != nil {
			return err
		}
	}
	return nil
}

type catalogDiffCmd struct{ catalogFile }

// Run shows what the file would change; it ends with status 1 when something would be refused.
func (c *catalogDiffCmd) Run(g *globals) error {
	db, err := c.store(g)
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
	By string `required:"" help:"Who changes the catalogue; kept with the change."`
}

// Run adds the file's new versions, all or none. Orders that exist keep their snapshots (D10).
func (c *catalogApplyCmd) Run(g *globals) error {
	db, err := c.store(g)
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
	_, err = fmt.Fprintf(g.out, "%d entries added. Prices show within 5 seconds; orders that exist keep theirs.\n",
		len(entries))
	return err
}

type catalogShowCmd struct{ database }

// Run prints every version there is.
func (c *catalogShowCmd) Run(g *globals) error {
	db, err := c.store(g)
	if err != nil {
		return err
	}
	defer db.Close()
	entries, err := db.CatalogEntries(g.ctx)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(g.out)
	enc.SetIndent("", "  ")
	return enc.Encode(entries)
}
