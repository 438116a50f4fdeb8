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
	tenantReader
	Lag   time.Duration `default:"1m" help:"Events younger than this may not be in the audit log yet and do not count as missing."`
	Since time.Time     `placeholder:"TIME" help:"Leave out findings from before this time, such as 2026-01-31T00:00:00Z, when you have dealt with them."`
}

// verifyResult is the result of comparing a tenant's events with the audit log.
type verifyResult struct {
	chainLine
	Events      int                   `json:"events"` // in the table
	Differences []auditlog.Difference `json:"differences"`
	Findings    []auditlog.Finding    `json:"findings"`
}

// ok reports whether nothing is wrong.
func (v *verifyResult) ok() bool {
	return v.Broken == nil && len(v.Differences) == 0 && len(v.Findings) == 0
}

// Run compares the events with the audit log. It ends with status 1 when they differ, a chain is broken, or the
// Audit consumer found a fault of the topic.
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
	results := []*verifyResult{}
	rows := newRowCounter(g.err)
	for _, t := range tenants {
		v, err := c.verifyTenant(g.ctx, log, table, t, rows)
		if err != nil {
			return err
		}
		results = append(results, v)
	}
	rows.end()
	var ofNoTenant []auditlog.Finding
	if c.Tenant == "" {
		if ofNoTenant, err = log.Findings(g.ctx, tenant.ID{}, c.Since); err != nil {
			return err
		}
	}
	if err := c.print(g, results, ofNoTenant); err != nil {
		return err
	}
	if len(ofNoTenant) > 0 || slices.ContainsFunc(results, func(v *verifyResult) bool { return !v.ok() }) {
		return errReported
	}
	return nil
}

// verifyTenant checks a tenant's hash chain, then compares its events.
func (c *eventsVerifyCmd) verifyTenant(
	ctx context.Context, log, table *postgres.DB, t postgres.Tenant, rows *rowCounter,
) (*verifyResult, error) {
	v := &verifyResult{Differences: []auditlog.Difference{}, Findings: []auditlog.Finding{}}
	chain := auditlog.NewVerifier()
	chain.Begin(t.ID)
	err := app.EachEntry(ctx, log, t.ID, func(entry auditlog.Entry) error {
		rows.add(t.Slug)
		return verifyEntry(chain, entry)
	})
	if err != nil && !errors.Is(err, errBroken) {
		return nil, err
	}
	v.chainLine = chainLine{t.Slug, chain.Chains()[0]}
	before := time.Now().Add(-c.Lag)
	err = app.VerifyEvents(ctx, log, table, t.ID, before, func(events int, differences []auditlog.Difference) error {
		v.Events += events
		v.Differences = append(v.Differences, differences...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	findings, err := log.Findings(ctx, t.ID, c.Since)
	v.Findings = append(v.Findings, findings...)
	return v, err
}

// maxDifferences is how many differences of a tenant are printed; the others are only counted.
const maxDifferences = 20

func (c *eventsVerifyCmd) print(g *globals, results []*verifyResult, ofNoTenant []auditlog.Finding) error {
	if c.JSON {
		return printJSON(g.out, map[string]any{
			"tenants": results, "nobodys_findings": slices.Concat([]auditlog.Finding{}, ofNoTenant),
		})
	}
	findings := ofNoTenant
	for _, v := range results {
		fmt.Fprintf(g.out, "%s; %d events, %d differences\n", v.chainLine, v.Events, len(v.Differences))
		for i, d := range v.Differences {
			if i == maxDifferences {
				fmt.Fprintf(g.out, "  … and %d more\n", len(v.Differences)-i)
				break
			}
			fmt.Fprintf(g.out, "  %s\n", d)
		}
		findings = append(findings, v.Findings...)
	}
	return printFindings(g, findings)
}
