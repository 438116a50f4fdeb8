package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/invariant"
	"github.com/platforma-cloud/orders/internal/invariant/facts"
	"github.com/platforma-cloud/orders/internal/kafka"
)

type doctorCmd struct {
	Data       string        `default:".data" type:"path" help:"Data folder of a running development installation."`
	Config     string        `env:"PLATFORMA_CONFIG" placeholder:"FILE" help:"File with the clouds' accounts, when it is not the one of the running installation."`
	Invariants bool          `default:"true" negatable:"" help:"Check the invariants from outside: in the database, on the topic, in the cloud's own ledger and in the inbox."`
	Orphans    bool          `help:"Instead, compare the inventory with what the clouds list, in both directions."`
	Delete     bool          `help:"With --orphans: remove resources that are not in the inventory. Only resources with this installation's label are ever touched."`
	Patience   time.Duration `default:"20s" help:"How long to wait for everything to be at rest before the check."`
	JSON       bool          `help:"Print as JSON."`
}

// Run checks a running development installation from outside. It ends with status 1 when an invariant is
// violated.
func (c *doctorCmd) Run(g *globals) error {
	raw, err := os.ReadFile(filepath.Join(c.Data, "dev.json"))
	if err != nil {
		return fmt.Errorf("no development installation runs on %s; start one (platforma dev), or name its folder "+
			"(--data): %w", c.Data, err)
	}
	d := installation{}
	if err := json.Unmarshal(raw, &d.Addresses); err != nil {
		return fmt.Errorf("read dev.json: %w", err)
	}
	if !isHealthy(g.ctx, d.API+"/healthz") {
		return fmt.Errorf("nothing answers at %s: start it with platforma dev --data %s", d.API, c.Data)
	}
	if !c.Invariants && !c.Orphans {
		_, err := fmt.Fprintf(g.out, "%s answers.\n", d.API)
		return err
	}
	d.admin, d.brokers, d.speed = d.DatabaseURL, []string{d.Addresses.Kafka}, d.Speed
	if c.Orphans {
		return c.findOrphans(g, &d)
	}
	results, err := d.checkInvariants(g.ctx, c.Patience)
	if err != nil {
		return err
	}
	if c.JSON {
		err = invariant.ReportJSON(g.out, results)
	} else {
		err = invariant.Report(g.out, results)
	}
	if err != nil {
		return err
	}
	if !invariant.Broken(results) {
		return nil
	}
	if !c.JSON && slices.ContainsFunc(results, func(r invariant.Result) bool {
		return slices.ContainsFunc(r.Violations, isAuditFinding)
	}) {
		fmt.Fprintf(g.out, "For what to do about the faults that the Audit consumer found, see "+
			"platforma audit findings --data %s and docs/runbook.md.\n", c.Data)
	}
	return errReported
}

// isAuditFinding reports whether a violation is a finding of the Audit consumer, by the words of package
// invariant.
func isAuditFinding(v invariant.Violation) bool {
	return strings.HasPrefix(v.Detail, "the Audit consumer found")
}

// checkInvariants waits until the installation is at rest, but not longer than patience, and checks every
// invariant. Work that is not finished by then is checked as it is.
func (d *installation) checkInvariants(ctx context.Context, patience time.Duration) ([]invariant.Result, error) {
	waitCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	collected, err := facts.Await(waitCtx, facts.Sources{
		AdminURL: d.admin, Brokers: d.brokers, Topic: kafka.StandardNames().Events, SimURL: d.Sim,
		InboxURL: d.Inbox, Speed: d.speed,
	}, func(ctx context.Context) error { return kafka.Wait(ctx, 200*time.Millisecond) })
	if err != nil && !errors.Is(err, facts.ErrNotAtRest) {
		return nil, fmt.Errorf("collect the facts of the installation: %w", err)
	}
	return invariant.Examine(collected), nil
}

// printInvariants checks the invariants after the demo, prints the results, and reports whether all hold.
func (d *installation) printInvariants(ctx context.Context, w io.Writer) (hold bool, err error) {
	fmt.Fprintln(w, "The invariants, checked from outside (database, topic, the cloud's own ledger, inbox):")
	results, err := d.checkInvariants(ctx, 30*time.Second)
	if err != nil {
		return false, err
	}
	if err := invariant.Report(w, results); err != nil {
		return false, err
	}
	return !invariant.Broken(results), nil
}
