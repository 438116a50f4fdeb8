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
	Speed  float64 `default:"1" help:"How much faster than real time: with 60, a minute takes a second."`
	Seed   int64   `default:"1" help:"Seed of the random latencies: the same seed gives the same latencies."`
	Naming string  `default:"unique-409" enum:"none,unique-409,upsert" help:"How a second create under one name is answered: none makes a second resource, unique-409 refuses, upsert returns the first."`
}

// Run serves the simulated cloud until a signal ends the context.
func (c *simCmd) Run(g *globals) error {
	naming, _ := provider.ParseNaming(c.Naming)
	if err := os.MkdirAll(filepath.Dir(c.Ledger), 0o700); err != nil {
		return fmt.Errorf("make the ledger's folder: %w", err)
	}
	log := &simLog{sim: c, out: g.out}
	return sim.Main(g.ctx, sim.Config{
		Listen: c.Listen, Ledger: c.Ledger, Speed: c.Speed, Seed: c.Seed, Naming: naming, Log: log,
	})
}

// simLog waits for the log line with the cloud's address, and writes the address to a file beside the ledger for
// the next start of a development installation.
type simLog struct {
	sim *simCmd
	out io.Writer
}

// Write passes the line on to the output.
func (l *simLog) Write(line []byte) (int, error) {
	if url, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "sim: ready on "); ok {
		p := simProcess{PID: os.Getpid(), URL: url, Speed: l.sim.Speed, Naming: l.sim.Naming}
		if err := writePrivate(simProcessFile(l.sim.Ledger), p); err != nil {
			return 0, err
		}
	}
	return l.out.Write(line)
}
