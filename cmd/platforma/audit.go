package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// tenantReader holds the flags of commands that read an installation's database, tenant by tenant. They use the
// product's own logins behind the tenant walls, and need no rights of the owner.
type tenantReader struct {
	DatabaseURL string `env:"DATABASE_URL" placeholder:"URL" help:"Address of the database; the product's own logins replace its user. Without it, the database of the development installation in --data is used."`
	Data        string `default:".data" type:"path" help:"Data folder of a running development installation."`
	Tenant      string `placeholder:"TENANT" help:"Only this organisation: its id or slug."`
	JSON        bool   `help:"Print as JSON."`
}

func (r *tenantReader) open(g *globals, login string) (*postgres.DB, error) {
	if r.DatabaseURL == "" {
		d, err := readAddresses(r.Data)
		if err != nil {
			return nil, fmt.Errorf("name a database (--database-url): %w", err)
		}
		r.DatabaseURL = d.DatabaseURL
	}
	return postgres.Open(g.ctx, process.LoginURL(r.DatabaseURL, login), login, postgres.Options{
		Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2, AcquireTimeout: 10 * time.Second,
	})
}

// tenants returns the tenant that --tenant names, or all of them.
func (r *tenantReader) tenants(ctx context.Context, db *postgres.DB) ([]postgres.Tenant, error) {
	all, err := db.Tenants(ctx)
	if err != nil || r.Tenant == "" {
		return all, err
	}
	for _, t := range all {
		if t.Slug == r.Tenant || t.ID.String() == strings.ToLower(r.Tenant) {
			return []postgres.Tenant{t}, nil
		}
	}
	return nil, fmt.Errorf("there is no organisation %q", r.Tenant)
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// chainLine is the result of checking a tenant's hash chain.
type chainLine struct {
	Slug string `json:"slug,omitempty"` // empty for a chain from a file
	auditlog.Chain
}

func (c chainLine) String() string {
	name := c.Head.Tenant.String()
	if c.Slug != "" {
		name += " " + c.Slug
	}
	if c.Broken != nil {
		return fmt.Sprintf("%s  BROKEN at %s", name, c.Broken)
	}
	return fmt.Sprintf("%s  whole, head %d:%s", name, c.Head.N, c.Head.Hash)
}

type auditVerifyCmd struct {
	tenantReader
	File string   `type:"existingfile" placeholder:"FILE" help:"Check a file that 'platforma audit export' wrote, without a database."`
	Head []string `placeholder:"TENANT=HASH" help:"A head that was printed earlier, here or in the log of the audit role: the chain must still contain it. May be given more than once."`
}

// Run checks the chains. It prints where one is broken, and then ends with status 1.
func (c *auditVerifyCmd) Run(g *globals) error {
	if c.File != "" {
		return c.verifyFile(g)
	}
	db, err := c.open(g, postgres.LoginAudit)
	if err != nil {
		return err
	}
	defer db.Close()
	tenants, err := c.tenants(g.ctx, db)
	if err != nil {
		return err
	}
	slugs := map[tenant.ID]string{}
	for _, t := range tenants {
		slugs[t.ID] = t.Slug
	}
	v, err := c.verifier(slugs)
	if err != nil {
		return err
	}
	rows := newRowCounter(g.err)
	for _, t := range tenants {
		v.Begin(t.ID)
		if err := app.EachEntry(g.ctx, db, t.ID, func(entry auditlog.Entry) error {
			rows.add(t.Slug)
			return verifyEntry(v, entry)
		}); err != nil && !errors.Is(err, errBroken) {
			return err
		}
	}
	rows.end()
	return c.report(g, v.Chains(), slugs)
}

// errBroken stops reading a chain at its first break.
var errBroken = errors.New("the chain is broken")

// verifyEntry adds an entry to the verifier and returns errBroken when it breaks the chain.
func verifyEntry(v *auditlog.Verifier, entry auditlog.Entry) error {
	if v.Add(entry) {
		return nil
	}
	return errBroken
}

// verifier returns a verifier with the heads of --head. Slugs names the tenants that are checked; nil means any
// tenant.
func (c *auditVerifyCmd) verifier(slugs map[tenant.ID]string) (*auditlog.Verifier, error) {
	var heads []auditlog.Head
	for _, text := range c.Head {
		name, hash, ok := strings.Cut(text, "=")
		h := auditlog.Head{}
		if _, bare, numbered := strings.Cut(hash, ":"); numbered { // heads are printed as number:hash
			hash = bare
		}
		if err := h.Hash.UnmarshalText([]byte(hash)); err != nil || !ok {
			return nil, fmt.Errorf("--head %s: write it as ORGANISATION=HASH, with the 64 digits of the hash", text)
		}
		var err error
		if h.Tenant, err = id.Parse[tenant.Tenant](name); err != nil {
			for t, slug := range slugs {
				if slug == name {
					h.Tenant = t
				}
			}
		}
		if _, checked := slugs[h.Tenant]; h.Tenant.IsZero() || slugs != nil && !checked {
			return nil, fmt.Errorf("--head %s: %q is no organisation that is checked here (for a file, give its id)",
				text, name)
		}
		heads = append(heads, h)
	}
	return auditlog.NewVerifier(heads...), nil
}

// verifyFile checks an exported file without a database.
func (c *auditVerifyCmd) verifyFile(g *globals) error {
	v, err := c.verifier(nil)
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("open the export: %w", err)
	}
	defer func() { _ = f.Close() }()
	rows := newRowCounter(g.err)
	lines := json.NewDecoder(f)
	lines.DisallowUnknownFields()
	for n := 1; ; n++ {
		var entry auditlog.Entry
		if err := lines.Decode(&entry); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("%s, row %d: %w", c.File, n, err)
		}
		rows.add(c.File)
		if c.Tenant == "" || strings.EqualFold(c.Tenant, entry.Tenant.String()) {
			v.Add(entry)
		}
	}
	rows.end()
	return c.report(g, v.Chains(), nil)
}

func (c *auditVerifyCmd) report(g *globals, chains []auditlog.Chain, slugs map[tenant.ID]string) error {
	lines := make([]chainLine, len(chains))
	for i, chain := range chains {
		lines[i] = chainLine{slugs[chain.Head.Tenant], chain}
	}
	whole := auditlog.Whole(chains)
	if c.JSON {
		if err := printJSON(g.out, map[string]any{"whole": whole, "chains": lines}); err != nil {
			return err
		}
	} else {
		for _, l := range lines {
			fmt.Fprintln(g.out, l)
		}
		if len(lines) == 0 {
			fmt.Fprintln(g.out, "There is no chain.")
		}
	}
	if !whole {
		return errReported
	}
	return nil
}

type auditExportCmd struct{ tenantReader }

// Run writes the audit log as JSON lines, chain by chain, for 'audit verify --file' or for an auditor's own
// program.
func (c *auditExportCmd) Run(g *globals) error {
	db, err := c.open(g, postgres.LoginAudit)
	if err != nil {
		return err
	}
	defer db.Close()
	tenants, err := c.tenants(g.ctx, db)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(g.out)
	for _, t := range tenants {
		if err := app.EachEntry(g.ctx, db, t.ID, func(entry auditlog.Entry) error { return enc.Encode(entry) }); err != nil {
			return err
		}
	}
	return nil
}

// rowCounter shows on a terminal how many rows have been read. Elsewhere it prints nothing.
type rowCounter struct {
	w        io.Writer
	terminal bool
	n        int
}

func newRowCounter(w io.Writer) *rowCounter {
	return &rowCounter{w: w, terminal: isTerminal(w)}
}

const rowsPerUpdate = 1000

func (c *rowCounter) add(what string) {
	if c.n++; c.terminal && c.n%rowsPerUpdate == 0 {
		fmt.Fprintf(c.w, "\r\x1b[2K%s: %d rows", what, c.n)
	}
}

// end clears the counter's line.
func (c *rowCounter) end() {
	if c.terminal && c.n >= rowsPerUpdate {
		fmt.Fprint(c.w, "\r\x1b[2K")
	}
}
