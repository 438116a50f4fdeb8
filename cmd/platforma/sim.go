package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

type simCmd struct {
	Listen string  `default:"127.0.0.1:8091" help:"Loopback address; port 0 takes a free one."`
	Ledger string  `required:"" type:"path" help:"File that holds all of the cloud's state."`
	Speed  float64 `default:"1" help:"How much faster than life: 60 makes a minute a second."`
	Seed   int64   `default:"1" help:"Of the latencies: the same seed replays the same cloud."`
	Naming string  `default:"unique-409" enum:"none,unique-409,upsert" help:"What a second create under one name does: none makes a twin, unique-409 refuses, upsert answers with the first."`
}

func (c *simCmd) Run(g *globals) error {
	naming, _ := provider.ParseNaming(c.Naming)
	if err := os.MkdirAll(filepath.Dir(c.Ledger), 0o700); err != nil {
		return fmt.Errorf("make the ledger's folder: %w", err)
	}
	note := &noteWriter{sim: c, to: g.out}
	return sim.Main(g.ctx, sim.Config{
		Listen: c.Listen, Ledger: c.Ledger, Speed: c.Speed, Seed: c.Seed, Naming: naming, Log: note,
	})
}

// noteWriter hears the line that says where the cloud can be called, and leaves that beside the
// ledger for who starts after us.
type noteWriter struct {
	sim *simCmd
	to  io.Writer
}

// Write passes what is said on.
func (n *noteWriter) Write(said []byte) (int, error) {
	if url, ok := strings.CutPrefix(strings.TrimSpace(string(said)), "sim: ready on "); ok {
		p := simProcess{PID: os.Getpid(), URL: url, Speed: n.sim.Speed, Naming: n.sim.Naming}
		if err := writePrivate(simNote(n.sim.Ledger), p); err != nil {
			return 0, err
		}
	}
	return n.to.Write(said)
}
