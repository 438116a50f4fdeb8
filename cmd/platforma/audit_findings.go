package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/platforma-cloud/orders/internal/auditlog"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// advice returns what to do first about a kind of finding; docs/runbook.md has the rest.
func advice(k auditlog.Kind) string {
	return map[auditlog.Kind]string{
		auditlog.Gap: "check whether the missing record still comes: platforma events verify. If it does not, rebuild " +
			"the topic: platforma events rebuild.",
		auditlog.Duplicate: "nothing was applied twice. Find who else writes to the topic.",
		auditlog.Misplaced: "find out whether the topic's partitions were changed, or who else writes to it. Consumers " +
			"that had gone on have not applied the late event.",
		auditlog.Conflict: "somebody changed an event. platforma events verify says whether the change is in the table " +
			"or on the topic.",
		auditlog.Foreign: "nothing was applied. Find who else writes to the topic, and revoke their right to do so.",
	}[k]
}

type auditFindingsCmd struct {
	tenantReader
	Since time.Time `placeholder:"TIME" help:"Only findings since this time, such as 2026-01-31T00:00:00Z, when you have dealt with the older ones."`
}

// Run lists the faults of the topic that the Audit consumer found. It ends with status 1 when there are any.
func (c *auditFindingsCmd) Run(g *globals) error {
	db, err := c.open(g, postgres.LoginAudit)
	if err != nil {
		return err
	}
	defer db.Close()
	tenants, err := c.tenants(g.ctx, db)
	if err != nil {
		return err
	}
	if c.Tenant == "" {
		tenants = append(tenants, postgres.Tenant{}) // the zero tenant has the findings that belong to no tenant
	}
	findings := []auditlog.Finding{}
	for _, t := range tenants {
		ofTenant, err := db.Findings(g.ctx, t.ID, c.Since)
		if err != nil {
			return err
		}
		findings = append(findings, ofTenant...)
	}
	if c.JSON {
		err = printJSON(g.out, findings)
	} else {
		err = printFindings(g, findings)
	}
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return errReported
	}
	return nil
}

func printFindings(g *globals, findings []auditlog.Finding) error {
	if len(findings) == 0 {
		_, err := fmt.Fprintln(g.out, "The Audit consumer found no fault of the topic.")
		return err
	}
	var rows [][]string
	var kinds []auditlog.Kind
	for _, f := range findings {
		rows = append(rows, []string{
			formatTime(f.At), string(f.Kind), tenantText(f.Tenant), eventText(f),
			fmt.Sprintf("%d/%d", f.Partition, f.Offset), f.Detail,
		})
		if !slices.Contains(kinds, f.Kind) {
			kinds = append(kinds, f.Kind)
		}
	}
	if err := table(g.out, "AT KIND TENANT ORDER/SEQ RECORD DETAIL", rows); err != nil {
		return err
	}
	for _, k := range kinds {
		fmt.Fprintf(g.out, "%s: %s\n", k, advice(k))
	}
	return nil
}

// tenantText returns the tenant of a finding, or "none".
func tenantText(t tenant.ID) string {
	if t.IsZero() {
		return "none"
	}
	return t.String()
}

// eventText returns the order and the number of a finding's event, or "-".
func eventText(f auditlog.Finding) string {
	if f.Order.IsZero() {
		return "-"
	}
	return f.Order.String() + "/" + strconv.Itoa(f.Seq)
}
