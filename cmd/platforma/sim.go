package main

import (
	"fmt"
	"os"
	"path/filepath"

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
	return sim.Main(g.ctx, sim.Config{Listen: c.Listen, Ledger: c.Ledger, Speed: c.Speed, Seed: c.Seed, Naming: naming, Log: g.out})
}
