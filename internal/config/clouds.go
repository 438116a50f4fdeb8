package config

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Any is the wildcard of a placement: every product, or every region.
const Any = "*"

// Clouds holds the accounts of an installation and the placements on them.
type Clouds struct {
	accounts   []*Account // in the file's order
	byName     map[string]*Account
	placements []Placement
}

// Account is one account at one cloud. Its name is stored with every item that is built on it.
type Account struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"`
	// Drained accounts get no new items. Items that they have are still built, delivered and removed.
	Drained  bool              `yaml:"drained"`
	Provider provider.Provider `yaml:"-"`

	line int
}

// Placement says which account builds new items of a product in a region; either may be Any.
type Placement struct {
	Product string `yaml:"product" json:"product"`
	Region  string `yaml:"region"  json:"region"`
	Account string `yaml:"account" json:"-"`

	line int
}

// Pair returns product and region in words, such as "vps in lj-1".
func (p Placement) Pair() string {
	product, region := p.Product, "in "+p.Region
	if product == Any {
		product = "every product"
	}
	if p.Region == Any {
		region = "in every region"
	}
	return product + " " + region
}

// specificity ranks placements: one that names product and region is above one that names the product, which
// is above one that names the region, which is above one that names neither.
func (p Placement) specificity() int {
	n := 0
	if p.Product != Any {
		n += 2
	}
	if p.Region != Any {
		n++
	}
	return n
}

// Accounts returns all accounts in the order of the file.
func (c *Clouds) Accounts() []Account {
	all := make([]Account, 0, len(c.accounts))
	for _, a := range c.accounts {
		all = append(all, *a)
	}
	return all
}

// Account returns the account of that name. The error for an unknown name suggests the nearest one.
func (c *Clouds) Account(name string) (Account, error) {
	a, ok := c.byName[name]
	if !ok {
		return Account{}, fmt.Errorf("there is no account %q; %s", name, suggestion(name, c.names()))
	}
	return *a, nil
}

func (c *Clouds) names() []string {
	names := make([]string, 0, len(c.accounts))
	for _, a := range c.accounts {
		names = append(names, a.Name)
	}
	return names
}

// Providers returns the adapters by account name. Drained accounts are included, because their items go on.
func (c *Clouds) Providers() map[string]provider.Provider {
	all := make(map[string]provider.Provider, len(c.accounts))
	for _, a := range c.accounts {
		all[a.Name] = a.Provider
	}
	return all
}

// PlacementsOf returns the placements on an account in the order of the file.
func (c *Clouds) PlacementsOf(account string) []Placement {
	var placements []Placement
	for _, p := range c.placements {
		if p.Account == account {
			placements = append(placements, p)
		}
	}
	return placements
}

// Place returns the account that builds new items of a product in a region; ok is false when there is none,
// or when it is drained. It is an app.Placement.
func (c *Clouds) Place(product, region string) (account string, ok bool) {
	a := c.accountFor(product, region)
	if a == nil || a.Drained {
		return "", false
	}
	return a.Name, true
}

// accountFor returns the account of the most specific placement that matches the pair, or nil. A drained
// account counts: no less specific placement takes its place.
func (c *Clouds) accountFor(product, region string) *Account {
	var best *Placement
	for i := range c.placements {
		p := &c.placements[i]
		if p.matches(product, region) && (best == nil || p.specificity() > best.specificity()) {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	return c.byName[best.Account]
}

func (p Placement) matches(product, region string) bool {
	return (p.Product == Any || p.Product == product) && (p.Region == Any || p.Region == region)
}

// mayOffer reports whether a list of an account's capabilities has the wanted product or region. An empty list
// says nothing, so it allows everything.
func mayOffer(offered []string, wanted string) bool {
	return wanted == Any || len(offered) == 0 || slices.Contains(offered, wanted)
}

// CheckCatalog compares a catalogue with the placements. The error names every product and region that no
// account can build. Paused lists those whose account is drained: they are not sold for now.
func (c *Clouds) CheckCatalog(products []catalog.Product) (paused []string, err error) {
	var faults []string
	for _, p := range products {
		for _, region := range p.Regions {
			pair := Placement{Product: p.ID, Region: region}.Pair()
			a := c.accountFor(p.ID, region)
			switch {
			case a == nil:
				faults = append(faults, pair+": no placement names an account for it")
			case !mayOffer(a.Provider.Capabilities().Products, p.ID):
				faults = append(faults, fmt.Sprintf("%s: account %s does not build %s", pair, a.Name, p.ID))
			case !mayOffer(a.Provider.Capabilities().Regions, region):
				faults = append(faults, fmt.Sprintf("%s: account %s has no region %s", pair, a.Name, region))
			case a.Drained:
				paused = append(paused, fmt.Sprintf("%s (account %s)", pair, a.Name))
			}
		}
	}
	if len(faults) > 0 {
		return paused, fmt.Errorf(
			"the catalogue sells what no account can build; correct the placements or the catalogue:\n  %s",
			strings.Join(faults, "\n  "))
	}
	return paused, nil
}

// Check asks the cloud what an account offers and what it lacks, without changing anything. Placements of
// products or regions that the account does not offer are added to what is missing.
func (c *Clouds) Check(ctx context.Context, account string) (provider.Checkup, error) {
	a, err := c.Account(account)
	if err != nil {
		return provider.Checkup{}, err
	}
	found, err := a.Provider.Check(ctx)
	if err != nil {
		return found, fmt.Errorf("check account %s: %w", account, err)
	}
	for _, p := range c.PlacementsOf(account) {
		if !slices.ContainsFunc(found.Regions, func(r provider.RegionFacts) bool {
			return (p.Region == Any || p.Region == r.Name) && (p.Product == Any || slices.Contains(r.Products, p.Product))
		}) {
			found.Missing = append(found.Missing, p.Pair()+" is placed on the account, which does not offer it")
		}
	}
	return found, nil
}

// Close closes the connections of the adapters.
func (c *Clouds) Close() {
	for _, a := range c.accounts {
		if p, ok := a.Provider.(interface{ Close() }); ok {
			p.Close()
		}
	}
}
