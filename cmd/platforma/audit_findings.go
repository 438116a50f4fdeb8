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

// advice is the first thing to do about a kind of finding; docs/runbook.md has the rest.
func advice(k auditlog.Kind) string {
	return map[auditlog.Kind]string{
		auditlog.Gap: "look whether the record that is missing comes: platforma events verify. If it does not, " +
			"rebuild the topic.",
		auditlog.Duplicate: "nothing was applied twice. Find who else writes the topic.",
		auditlog.Misplaced: "see whether the topic's partitions were changed, or who else writes it. Consumers that had " +
			"gone on lack the late event.",
		auditlog.Conflict: "somebody changed an event. platforma events verify says whether the table or the topic is the " +
			"changed one.",
		auditlog.Foreign: "nothing was applied. Find who else writes the topic, and take their right to.",
	}[k]
}

type auditFindingsCmd struct {
	books
	Since time.Time `placeholder:"TIME" help:"Only what was found since, such as 2026-01-31T00:00:00Z: what is older was looked into."`
}

// Run lists what the witness found wrong about the topic; it ends with status 1 when there is something.
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
		tenants = append(tenants, postgres.Tenant{}) // what is nobody's
	}
	found := []auditlog.Finding{}
	for _, t := range tenants {
		some, err := db.Findings(g.ctx, t.ID, c.Since)
		if err != nil {
			return err
		}
		found = append(found, some...)
	}
	if c.JSON {
		err = printJSON(g.out, found)
	} else {
		err = printFound(g, found)
	}
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return errReported
	}
	return nil
}

func printFound(g *globals, found []auditlog.Finding) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(g.out, "The witness found nothing wrong about the topic.")
		return err
	}
	var rows [][]string
	var kinds []auditlog.Kind
	for _, f := range found {
		rows = append(rows, []string{
			day(f.At), string(f.Kind), orNobody(f.Tenant), orDash(f), fmt.Sprintf("%d/%d", f.Partition, f.Offset), f.Detail,
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

func orNobody(t tenant.ID) string {
	if t.IsZero() {
		return "nobody's"
	}
	return t.String()
}

func orDash(f auditlog.Finding) string {
	if f.Order.IsZero() {
		return "-"
	}
	return f.Order.String() + "/" + strconv.Itoa(f.Seq)
}
