// Package catalog holds what is sold: products with their plans, regions, billing cycles, the JSON Schema of
// their configuration, and prices. All of it is data (D14). The package checks a selection and reports every
// fault at once (D13), and it prices a selection to the cent (D11). It must not know an order, a tenant, a
// provider's capacity or a clock; the moment that a catalogue is read for is a parameter.
package catalog

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Entry is one version of a product, or of a price that products share. A row of the catalogue's table is an
// entry. Entries are added and never changed.
type Entry struct {
	Name      string          `json:"entry"`      // a product's id, or the shared price's name
	Version   int             `json:"version"`    // from 1 upwards
	ValidFrom time.Time       `json:"valid_from"` // the version is valid from this moment on
	Body      json.RawMessage `json:"body"`
}

//go:embed catalog.json
var embedded []byte

// Default returns the built-in catalogue: version 1 of every entry, valid from the beginning of 2026. A test
// lints it like an operator's file.
func Default() []Entry {
	var entries []Entry
	if err := json.Unmarshal(embedded, &entries); err != nil {
		panic(fmt.Sprintf("catalog: embedded catalogue: %v", err))
	}
	return entries
}

// Catalog is what is sold at one moment. It never changes after Load and is safe for concurrent use.
type Catalog struct {
	products map[string]*offer
	order    []string // ids in the order they are shown: by position, then by id
}

// offer is a product with everything that is needed to check and price it.
type offer struct {
	Product

	components []component
	rules      []ruleBody
	fields     *node   // the configuration's schema as this package reads it: labels, bounds, defaults
	compiled   *schema // the same schema, compiled for validation
}

// Load builds the catalogue of a moment from the newest version of each entry that is valid then. It ignores
// entries that become valid later. One faulty entry fails the whole, because nobody wants to sell half a
// catalogue; the error names the entry and its fault.
func Load(entries []Entry, at time.Time) (*Catalog, error) {
	current := newest(entries, at)
	prices := map[string]sharedPrice{}
	products := map[string]productBody{}
	for _, e := range current {
		body, err := parseBody(e.Body)
		if err != nil {
			return nil, entryError(e, err)
		}
		if body.price != nil {
			prices[e.Name] = *body.price
			continue
		}
		products[e.Name] = *body.product
	}
	c := &Catalog{products: map[string]*offer{}}
	for _, e := range current {
		body, ok := products[e.Name]
		if !ok {
			continue
		}
		o, err := newOffer(e, body, prices)
		if err != nil {
			return nil, entryError(e, err)
		}
		c.products[e.Name] = o
		c.order = append(c.order, e.Name)
	}
	slices.SortFunc(c.order, func(a, b string) int {
		if d := products[a].Position - products[b].Position; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return c, nil
}

// Products lists the products in the order they are shown. Their slices and maps are shared and must not be
// written to.
func (c *Catalog) Products() []Product {
	list := make([]Product, 0, len(c.order))
	for _, id := range c.order {
		list = append(list, c.products[id].Product)
	}
	return list
}

// Product finds a product by its id.
func (c *Catalog) Product(id string) (Product, bool) {
	o, ok := c.products[id]
	if !ok {
		return Product{}, false
	}
	return o.Product, true
}

// newest picks the highest version of each name that is valid at a moment, ordered by name.
func newest(entries []Entry, at time.Time) []Entry {
	highest := map[string]Entry{}
	for _, e := range entries {
		if e.ValidFrom.After(at) {
			continue
		}
		if known, ok := highest[e.Name]; !ok || e.Version > known.Version {
			highest[e.Name] = e
		}
	}
	picked := make([]Entry, 0, len(highest))
	for _, e := range highest {
		picked = append(picked, e)
	}
	slices.SortFunc(picked, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return picked
}

func entryError(e Entry, err error) error {
	return fmt.Errorf("catalogue entry %s version %d: %w", e.Name, e.Version, err)
}
