package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/tenant"
)

type eventsVerifyCmd struct {
	books
	Lag   time.Duration `default:"1m" help:"Events younger than this may be on their way still, and are not missed."`
	Since time.Time     `placeholder:"TIME" help:"Pass over what the witness found before, such as 2026-01-31T00:00:00Z: it was looked into."`
}

// verdict is what was found of a tenant's events.
type verdict struct {
	chainLine
	Events      int                   `json:"events"` // of the table
	Differences []auditlog.Difference `json:"differences"`
	Findings    []auditlog.Finding    `json:"findings"`
}

func (v *verdict) well() bool {
	return v.Broken == nil && len(v.Differences) == 0 && len(v.Findings) == 0
}

// Run compares the events with what the witness saw on the topic; it ends with status 1 when they differ, a
// chain is broken, or the witness found something.
func (c *eventsVerifyCmd) Run(g *globals) error {
	log, err := c.open(g, postgres.LoginAudit)
	if err != nil {
		return err
	}
	defer log.Close()
	table, err := c.open(g, postgres.LoginWorker)
	if err != nil {
		return err
	}
	defer table.Close()
	tenants, err := c.tenants(g.ctx, log)
	if err != nil {
		return err
	}
	verdicts := []*verdict{}
	p := newCounted(g.err)
	for _, t := range tenants {
		v, err := c.tenant(g.ctx, log, table, t, p)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, v)
	}
	p.end()
	var nobodys []auditlog.Finding
	if c.Tenant == "" {
		if nobodys, err = log.Findings(g.ctx, tenant.ID{}, c.Since); err != nil {
			return err
		}
	}
	if err := c.print(g, verdicts, nobodys); err != nil {
		return err
	}
	if len(nobodys) > 0 || slices.ContainsFunc(verdicts, func(v *verdict) bool { return !v.well() }) {
		return errReported
	}
	return nil
}

// tenant checks a tenant's chain, then compares its events.
func (c *eventsVerifyCmd) tenant(
	ctx context.Context, log, table *postgres.DB, t postgres.Tenant, p *counted,
) (*verdict, error) {
	v := &verdict{Differences: []auditlog.Difference{}, Findings: []auditlog.Finding{}}
	chain := auditlog.NewVerifier()
	chain.Begin(t.ID)
	err := app.EachEntry(ctx, log, t.ID, func(entry auditlog.Entry) error { p.add(t.Slug); return passed(chain, entry) })
	if err != nil && !errors.Is(err, errBroken) {
		return nil, err
	}
	v.chainLine = chainLine{t.Slug, chain.Chains()[0]}
	before := time.Now().Add(-c.Lag)
	err = app.VerifyEvents(ctx, log, table, t.ID, before, func(told int, found []auditlog.Difference) error {
		v.Events += told
		v.Differences = append(v.Differences, found...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	found, err := log.Findings(ctx, t.ID, c.Since)
	v.Findings = append(v.Findings, found...)
	return v, err
}

// mostTold differences of a tenant are printed; the others are counted.
const mostTold = 20

func (c *eventsVerifyCmd) print(g *globals, verdicts []*verdict, nobodys []auditlog.Finding) error {
	if c.JSON {
		return printJSON(g.out, map[string]any{
			"tenants": verdicts, "nobodys_findings": slices.Concat([]auditlog.Finding{}, nobodys),
		})
	}
	found := nobodys
	for _, v := range verdicts {
		fmt.Fprintf(g.out, "%s; %d events, %d differences\n", v.chainLine, v.Events, len(v.Differences))
		for i, d := range v.Differences {
			if i == mostTold {
				fmt.Fprintf(g.out, "  … and %d more\n", len(v.Differences)-i)
				break
			}
			fmt.Fprintf(g.out, "  %s\n", d)
		}
		found = append(found, v.Findings...)
	}
	return printFound(g, found)
}
