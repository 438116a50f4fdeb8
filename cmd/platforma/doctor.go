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
	Config     string        `env:"PLATFORMA_CONFIG" placeholder:"FILE" help:"Clouds' accounts, if not dev's."`
	Invariants bool          `default:"true" negatable:"" help:"Check the promises from outside: database, topic, the cloud's own ledger, the inbox."`
	Orphans    bool          `help:"Compare the providers' inventory with our books, both ways, instead."`
	Delete     bool          `help:"With --orphans: remove what is not in our books now. Only resources with this installation's label are ever touched."`
	Patience   time.Duration `default:"20s" help:"How long to wait for everything to come to rest before looking."`
	JSON       bool          `help:"Print as JSON."`
}

// Run checks a running development installation from outside; it ends with status 1 when a promise is
// broken.
func (c *doctorCmd) Run(g *globals) error {
	raw, err := os.ReadFile(filepath.Join(c.Data, "dev.json"))
	if err != nil {
		return fmt.Errorf("no development installation runs here (start one: platforma dev): %w", err)
	}
	d := installation{}
	if err := json.Unmarshal(raw, &d.Addresses); err != nil {
		return fmt.Errorf("read dev.json: %w", err)
	}
	if !answers(g.ctx, d.API+"/healthz") {
		return fmt.Errorf("nothing answers at %s: start it with platforma dev --data %s", d.API, c.Data)
	}
	if !c.Invariants && !c.Orphans {
		_, err := fmt.Fprintf(g.out, "%s answers.\n", d.API)
		return err
	}
	d.admin, d.brokers, d.speed = d.DatabaseURL, []string{d.Addresses.Kafka}, d.Speed
	if c.Orphans {
		return c.orphans(g, &d)
	}
	results, err := d.examine(g.ctx, c.Patience)
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
		return slices.ContainsFunc(r.Violations, foundByAudit)
	}) {
		fmt.Fprintf(g.out,
			"What to do about what the witness found: platforma audit findings --data %s, and docs/runbook.md.\n", c.Data)
	}
	return errReported
}

func foundByAudit(v invariant.Violation) bool {
	return strings.HasPrefix(v.Detail, "the witness found")
}

// examine waits until nothing is on its way, then asks every promise of what it sees. What is still on
// its way after the patience counts as that.
func (d *installation) examine(ctx context.Context, patience time.Duration) ([]invariant.Result, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen, err := facts.Await(wait, facts.Sources{
		AdminURL: d.admin, Brokers: d.brokers, Topic: kafka.StandardNames().Events, SimURL: d.Sim,
		InboxURL: d.Inbox, Speed: d.speed,
	}, func(ctx context.Context) error { return kafka.Wait(ctx, 200*time.Millisecond) })
	if err != nil && !errors.Is(err, facts.ErrRestless) {
		return nil, fmt.Errorf("look at the installation from outside: %w", err)
	}
	return invariant.Examine(seen), nil
}

// check examines the installation after the demo and says what it found.
func (d *installation) check(ctx context.Context, w io.Writer) (clean bool, err error) {
	fmt.Fprintln(w, "The promises, checked from outside (database, topic, the cloud's own ledger, inbox):")
	results, err := d.examine(ctx, 30*time.Second)
	if err != nil {
		return false, err
	}
	if err := invariant.Report(w, results); err != nil {
		return false, err
	}
	return !invariant.Broken(results), nil
}
