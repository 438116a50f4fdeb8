package main

import (
	"fmt"

	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/provider/sim"
)

// devFile is the configuration of a development installation that names no file: its own simulator
// builds everything.
const devFile = `
accounts:
  - name: sim
    type: sim
placements:
  - product: "*"
    region: "*"
    account: sim
`

// devClouds reads the configuration file of a development installation, or its default one. An account
// of the simulator without an address is that of the installation's own.
func devClouds(file string, own sim.Settings) (*config.Clouds, error) {
	if file == "" {
		return config.Parse("the default configuration", []byte(devFile), config.Defaults{Sim: own})
	}
	return config.Read(file, config.Defaults{Sim: own})
}

// clouds are the accounts of a running development installation, by another file when one is named.
func (a Addresses) clouds(file string) (*config.Clouds, error) {
	if file == "" {
		file = a.Config
	}
	return devClouds(file, sim.Settings{URL: a.Sim, Naming: a.Naming})
}

// cloudFile is where a command finds the accounts.
type cloudFile struct {
	Config string `env:"PLATFORMA_CONFIG" placeholder:"FILE" help:"File with the clouds' accounts; none: see --data."`
	Data   string `default:".data" type:"path" help:"Data folder of a running development installation."`
	JSON   bool   `help:"Print as JSON."`
}

// open reads the file. That no development installation runs is a fault only where no file is named.
func (c cloudFile) open() (*config.Clouds, error) {
	a, err := readAddresses(c.Data)
	if err != nil && c.Config == "" {
		return nil, fmt.Errorf("name the configuration file (--config or PLATFORMA_CONFIG), "+
			"or a running development installation (--data): %w", err)
	}
	return a.clouds(c.Config)
}
