package config

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/provider"
)

// Any stands for every product or every region in a placement.
const Any = "*"

// Clouds are the accounts of an installation and what is placed on them.
type Clouds struct {
	accounts   []*Account // in the file's order
	byName     map[string]*Account
	placements []Placement
}

// Account is one account at one cloud. Its name is recorded with every item that begins on it.
type Account struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"`
	// Drained accounts take no new items; what is there is built, delivered and removed as ever.
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

// Pair is product and region in words.
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

// weight is how narrowly a placement names a pair: product and region, product, region, nothing.
func (p Placement) weight() int {
	w := 0
	if p.Product != Any {
		w += 2
	}
	if p.Region != Any {
		w++
	}
	return w
}

// Accounts are all, in the file's order.
func (c *Clouds) Accounts() []Account {
	all := make([]Account, 0, len(c.accounts))
	for _, a := range c.accounts {
		all = append(all, *a)
	}
	return all
}

// Account finds one by its name.
func (c *Clouds) Account(name string) (Account, error) {
	a, ok := c.byName[name]
	if !ok {
		return Account{}, fmt.Errorf("there is no account %q; %s", name, meant(name, c.names()))
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

// Providers are the adapters by account, drained ones too: what is there goes on.
func (c *Clouds) Providers() map[string]provider.Provider {
	all := make(map[string]provider.Provider, len(c.accounts))
	for _, a := range c.accounts {
		all[a.Name] = a.Provider
	}
	return all
}

// PlacementsOf are what is placed on an account, in the file's order.
func (c *Clouds) PlacementsOf(account string) []Placement {
	var of []Placement
	for _, p := range c.placements {
		if p.Account == account {
			of = append(of, p)
		}
	}
	return of
}

// Place names the account that builds new items of a product in a region; false when none does. It is
// app.Placement.
func (c *Clouds) Place(product, region string) (account string, ok bool) {
	a := c.placed(product, region)
	if a == nil || a.Drained {
		return "", false
	}
	return a.Name, true
}

// placed finds the narrowest placement of a pair: by product and region, else by product, else by
// region, else the one of everything. That its account is drained makes no wider one count.
func (c *Clouds) placed(product, region string) *Account {
	var best *Placement
	for i := range c.placements {
		p := &c.placements[i]
		if p.covers(product, region) && (best == nil || p.weight() > best.weight()) {
			best = p
		}
	}
	if best == nil {
		return nil
	}
	return c.byName[best.Account]
}

func (p Placement) covers(product, region string) bool {
	return (p.Product == Any || p.Product == product) && (p.Region == Any || p.Region == region)
}

// builds reports whether an account can build it, as far as the capabilities tell.
func builds(offered []string, wanted string) bool {
	return wanted == Any || len(offered) == 0 || slices.Contains(offered, wanted)
}

// CheckCatalog holds a catalogue against the placements. The error names every product and region that
// nothing can build; paused are those whose account is drained: they are not sold for now.
func (c *Clouds) CheckCatalog(products []catalog.Product) (paused []string, err error) {
	var faults []string
	for _, p := range products {
		for _, region := range p.Regions {
			pair := Placement{Product: p.ID, Region: region}.Pair()
			a := c.placed(p.ID, region)
			switch {
			case a == nil:
				faults = append(faults, pair+": no placement names an account for it")
			case !builds(a.Provider.Capabilities().Products, p.ID):
				faults = append(faults, fmt.Sprintf("%s: account %s does not build %s", pair, a.Name, p.ID))
			case !builds(a.Provider.Capabilities().Regions, region):
				faults = append(faults, fmt.Sprintf("%s: account %s has no region %s", pair, a.Name, region))
			case a.Drained:
				paused = append(paused, fmt.Sprintf("%s (account %s)", pair, a.Name))
			}
		}
	}
	if len(faults) > 0 {
		return paused, fmt.Errorf("the catalogue sells what no account can build; mend the placements or the catalogue:"+
			"\n  %s", strings.Join(faults, "\n  "))
	}
	return paused, nil
}

// Check asks an account for its facts, without any effect, and adds to what it misses whatever is
// placed on it and not offered there.
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

// Close lets go of the adapters' connections.
func (c *Clouds) Close() {
	for _, a := range c.accounts {
		if p, ok := a.Provider.(interface{ Close() }); ok {
			p.Close()
		}
	}
}
