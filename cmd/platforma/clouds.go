package main

import (
	"fmt"

	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// defaultDevConfig is the configuration of a development installation without a configuration file: its own
// simulator builds everything.
const defaultDevConfig = `
accounts:
  - name: sim
    type: sim
placements:
  - product: "*"
    region: "*"
    account: sim
`

// devClouds reads the configuration file of a development installation, or the default configuration. A sim
// account without an address is on the installation's own simulator.
func devClouds(file string, own sim.Settings) (*config.Clouds, error) {
	if file == "" {
		return config.Parse("the default configuration", []byte(defaultDevConfig), config.Defaults{Sim: own})
	}
	return config.Read(file, config.Defaults{Sim: own})
}

// clouds returns the accounts of a running development installation, or those of a file when one is named.
func (a Addresses) clouds(file string) (*config.Clouds, error) {
	if file == "" {
		file = a.Config
	}
	return devClouds(file, sim.Settings{URL: a.Sim, Naming: a.Naming})
}

// cloudFlags holds the flags by which a command finds the accounts.
type cloudFlags struct {
	Config string `env:"PLATFORMA_CONFIG" placeholder:"FILE" help:"File with the clouds' accounts. Without it, the accounts of the development installation in --data are used."`
	Data   string `default:".data" type:"path" help:"Data folder of a running development installation."`
	JSON   bool   `help:"Print as JSON."`
}

// open reads the file. When a file is named, no development installation has to run.
func (c cloudFlags) open() (*config.Clouds, error) {
	a, err := readAddresses(c.Data)
	if err != nil && c.Config == "" {
		return nil, fmt.Errorf("name the configuration file (--config or PLATFORMA_CONFIG), "+
			"or a running development installation (--data): %w", err)
	}
	return a.clouds(c.Config)
}
