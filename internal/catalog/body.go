package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// The kinds of entry.
const (
	kindProduct = "product"
	kindPrice   = "price"
)

// body is the content of an entry: exactly one of the two is set.
type body struct {
	product *productBody
	price   *sharedPrice
}

// productBody is a product as it is written in the catalogue. docs/adding-a-product.md explains each member.
type productBody struct {
	Kind                string          `json:"kind"`
	Title               string          `json:"title"`
	Description         string          `json:"description"`
	Position            int             `json:"position"` // its place in the list
	FormulaVersion      int             `json:"formula_version"`
	DeadlineMinutes     int             `json:"deadline_minutes"`      // D6
	CapacityWaitMinutes int             `json:"capacity_wait_minutes"` // D6
	Cycles              []Cycle         `json:"cycles"`
	Regions             []string        `json:"regions"`
	Plans               []planBody      `json:"plans"`
	Components          []componentBody `json:"components"`
	Rules               []ruleBody      `json:"rules"`
	Configuration       json.RawMessage `json:"configuration"` // JSON Schema
	Default             defaultBody     `json:"default"`
	Samples             []sampleBody    `json:"samples"` // orders priced by hand
	Assumptions         []string        `json:"assumptions"`
}

type planBody struct {
	ID       string           `json:"id"`
	Title    string           `json:"title"`
	Price    string           `json:"price"`
	Unit     string           `json:"unit"`
	Included map[string]int64 `json:"included"`
}

// componentBody is one summand of a product's price: quantity × unit price. The quantity is multiplied by a
// factor if a switch of the configuration is on.
type componentBody struct {
	Component string `json:"component"`
	Title     string `json:"title"`
	Unit      string `json:"unit"`
	Quantity  string `json:"quantity"` // JSON pointer to a whole number of the configuration; "" is 1

	// The unit price is given in exactly one of four ways.
	UnitPrice     string       `json:"unit_price"`      // the price itself
	UnitPriceFrom string       `json:"unit_price_from"` // the name of a shared price entry
	UnitPriceOf   string       `json:"unit_price_of"`   // "plan": the selected plan's price
	UnitPriceBy   *priceByBody `json:"unit_price_by"`   // a price for each value of a member

	Times *timesBody `json:"times"`
}

type priceByBody struct {
	Member string            `json:"member"` // JSON pointer to an enumerated member
	Prices map[string]string `json:"prices"` // value → price, one for each value
}

type timesBody struct {
	Factor int64  `json:"factor"`
	When   string `json:"when"` // JSON pointer to a switch
}

type defaultBody struct {
	Plan   string `json:"plan"`
	Region string `json:"region"`
	Cycle  Cycle  `json:"billing_cycle"`
}

// sampleBody is a sample order with its price, worked out by hand. The lint prices it and compares.
type sampleBody struct {
	Plan          string          `json:"plan"`
	Region        string          `json:"region"`
	Configuration json.RawMessage `json:"configuration"`
	Monthly       string          `json:"monthly"` // EUR a month
	Annual        string          `json:"annual"`  // EUR a year
}

// sharedPrice is a price that several products refer to, so that it is changed in one place.
type sharedPrice struct {
	Kind       string `json:"kind"`
	Title      string `json:"title"`
	Unit       string `json:"unit"`
	UnitPrice  string `json:"unit_price"`
	Assumption string `json:"assumption"`
}

// parseBody reads an entry's body. Its kind decides which members it may have.
func parseBody(raw json.RawMessage) (body, error) {
	var probe struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(raw, &probe); err != nil {
		return body{}, fmt.Errorf("body: %w", err)
	}
	switch probe.Kind {
	case kindProduct:
		var p productBody
		err := decodeExact(raw, &p)
		return body{product: &p}, err
	case kindPrice:
		var p sharedPrice
		if err := decodeExact(raw, &p); err != nil {
			return body{}, err
		}
		_, err := parsePrice(p.UnitPrice)
		return body{price: &p}, err
	}
	return body{}, fmt.Errorf("kind %q is neither %q nor %q", probe.Kind, kindProduct, kindPrice)
}

// name matches the ids of products, plans and regions. They are used in URLs and in names at providers.
var name = regexp.MustCompile(`^[a-z][a-z0-9]*([-_][a-z0-9]+)*$`)

// longestWait bounds deadlines and waits: 30 days, more than any provider or person needs.
const longestWait = 30 * 24 * time.Hour

// lint checks the body by itself, before references are resolved.
func (b productBody) lint() error {
	longest := int(longestWait / time.Minute)
	switch {
	case b.Title == "" || b.Description == "":
		return errors.New("title and description are required")
	case b.FormulaVersion < 1:
		return errors.New("formula_version must be at least 1")
	case b.DeadlineMinutes < 1 || b.DeadlineMinutes > longest:
		return fmt.Errorf("deadline_minutes must lie between 1 and %d", longest)
	case b.CapacityWaitMinutes < 1 || b.CapacityWaitMinutes > longest:
		return fmt.Errorf("capacity_wait_minutes must lie between 1 and %d", longest)
	case len(b.Components) == 0:
		return errors.New("a product needs at least one price component")
	case len(b.Samples) == 0:
		return errors.New("a product needs at least one sample order")
	}
	if err := distinct("region", b.Regions); err != nil {
		return err
	}
	if err := lintCycles(b.Cycles); err != nil {
		return err
	}
	if err := lintPlans(b.Plans); err != nil {
		return err
	}
	names := make([]string, 0, len(b.Components))
	for _, c := range b.Components {
		names = append(names, c.Component)
	}
	return distinct("component", names)
}

func lintCycles(cycles []Cycle) error {
	names := make([]string, 0, len(cycles))
	for _, c := range cycles {
		if c != Monthly && c != Annual {
			return fmt.Errorf("cycle %q is neither %q nor %q", c, Monthly, Annual)
		}
		names = append(names, string(c))
	}
	return distinct("cycle", names)
}

// lintPlans checks that each plan has a title and a name of its own. A product may have no plans.
func lintPlans(plans []planBody) error {
	if len(plans) == 0 {
		return nil
	}
	names := make([]string, 0, len(plans))
	for _, p := range plans {
		if p.Title == "" {
			return fmt.Errorf("plan %s has no title", p.ID)
		}
		names = append(names, p.ID)
	}
	return distinct("plan", names)
}

// distinct checks that there is at least one name, and that all names are well-formed and different.
func distinct(what string, names []string) error {
	if len(names) == 0 {
		return fmt.Errorf("a product needs at least one %s", what)
	}
	for i, n := range names {
		if !name.MatchString(n) {
			return fmt.Errorf("%s %q is not a name of lower-case letters, digits and single - or _", what, n)
		}
		if slices.Contains(names[:i], n) {
			return fmt.Errorf("%s %s is listed twice", what, n)
		}
	}
	return nil
}
