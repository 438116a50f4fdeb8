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

	"golang.org/x/term"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// books are where the witness log is, and whose. They are opened by the product's own logins, behind their
// walls: no owner's rights are needed.
type books struct {
	DatabaseURL string `env:"DATABASE_URL" placeholder:"URL" help:"Address of the database; its user is replaced by the logins that may read. Without it a development installation is asked, see --data."`
	Data        string `default:".data" type:"path" help:"Data folder of a running development installation."`
	Tenant      string `placeholder:"TENANT" help:"Only this organisation: its id or slug."`
	JSON        bool   `help:"Print as JSON."`
}

func (b *books) open(g *globals, login string) (*postgres.DB, error) {
	if b.DatabaseURL == "" {
		d, err := readAddresses(b.Data)
		if err != nil {
			return nil, fmt.Errorf("name a database (--database-url): %w", err)
		}
		b.DatabaseURL = d.DatabaseURL
	}
	return postgres.Open(g.ctx, process.LoginURL(b.DatabaseURL, login), login, postgres.Options{
		Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2, AcquireTimeout: 10 * time.Second,
	})
}

// tenants are those asked for.
func (b *books) tenants(ctx context.Context, db *postgres.DB) ([]postgres.Tenant, error) {
	all, err := db.Tenants(ctx)
	if err != nil || b.Tenant == "" {
		return all, err
	}
	for _, t := range all {
		if t.Slug == b.Tenant || t.ID.String() == strings.ToLower(b.Tenant) {
			return []postgres.Tenant{t}, nil
		}
	}
	return nil, fmt.Errorf("there is no organisation %q", b.Tenant)
}

// printJSON writes a document for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// chainLine is what is said of a tenant's chain.
type chainLine struct {
	Slug string `json:"slug,omitempty"` // not known of a file
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
	books
	File string   `type:"existingfile" placeholder:"FILE" help:"Check a file that 'platforma audit export' wrote instead: it takes no database."`
	Head []string `placeholder:"TENANT=HASH" help:"A head printed earlier, here or in the log of the audit role: the chain must still hold it. May be given more than once."`
}

// Run checks the chains; it ends with status 1 when one is broken, and says where.
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
	p := newCounted(g.err)
	for _, t := range tenants {
		v.Begin(t.ID)
		if err := app.EachEntry(g.ctx, db, t.ID, func(entry auditlog.Entry) error {
			p.add(t.Slug)
			return passed(v, entry)
		}); err != nil && !errors.Is(err, errBroken) {
			return err
		}
	}
	p.end()
	return c.report(g, v.Chains(), slugs)
}

// errBroken ends the reading of a chain whose first break is known.
var errBroken = errors.New("the chain is broken")

func passed(v *auditlog.Verifier, entry auditlog.Entry) error {
	if v.Add(entry) {
		return nil
	}
	return errBroken
}

// verifier reads the heads asked for; slugs name the tenants that are looked at, nil stands for any.
func (c *auditVerifyCmd) verifier(slugs map[tenant.ID]string) (*auditlog.Verifier, error) {
	var heads []auditlog.Head
	for _, text := range c.Head {
		name, hash, ok := strings.Cut(text, "=")
		h := auditlog.Head{}
		if _, bare, numbered := strings.Cut(hash, ":"); numbered { // as it is printed, with n
			hash = bare
		}
		if err := h.Hash.UnmarshalText([]byte(hash)); err != nil || !ok {
			return nil, fmt.Errorf("--head %s: write it as the organisation, =, and the 64 digits of the hash", text)
		}
		var err error
		if h.Tenant, err = id.Parse[tenant.Tenant](name); err != nil {
			for t, slug := range slugs {
				if slug == name {
					h.Tenant = t
				}
			}
		}
		if _, looked := slugs[h.Tenant]; h.Tenant.IsZero() || slugs != nil && !looked {
			return nil, fmt.Errorf("--head %s: %q is no organisation that is looked at here (of a file, give its id)", text,
				name)
		}
		heads = append(heads, h)
	}
	return auditlog.NewVerifier(heads...), nil
}

// verifyFile checks an export, with nothing but the file.
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
	p := newCounted(g.err)
	lines := json.NewDecoder(f)
	lines.DisallowUnknownFields()
	for n := 1; ; n++ {
		var entry auditlog.Entry
		if err := lines.Decode(&entry); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("%s, row %d: %w", c.File, n, err)
		}
		p.add(c.File)
		if c.Tenant == "" || strings.EqualFold(c.Tenant, entry.Tenant.String()) {
			v.Add(entry)
		}
	}
	p.end()
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

type auditExportCmd struct{ books }

// Run writes the witness log as JSON lines, chain by chain, for 'audit verify --file' or a program of an
// auditor's own.
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

// counted tells on a terminal how far a long reading has come.
type counted struct {
	w    io.Writer
	live bool
	n    int
}

func newCounted(w io.Writer) *counted {
	f, ok := w.(*os.File)
	return &counted{w: w, live: ok && term.IsTerminal(int(f.Fd()))}
}

const countEvery = 1000 // rows between two prints

func (c *counted) add(what string) {
	if c.n++; c.live && c.n%countEvery == 0 {
		fmt.Fprintf(c.w, "\r\x1b[2K%s: %d rows", what, c.n)
	}
}

func (c *counted) end() {
	if c.live && c.n >= countEvery {
		fmt.Fprint(c.w, "\r\x1b[2K")
	}
}
