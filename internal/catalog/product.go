package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/money"
)

// Cycle is how often an item is billed. Its values are the API's (D15).
type Cycle string

// The cycles.
const (
	Monthly Cycle = "monthly"
	Annual  Cycle = "annual" // twelve months at 20 % less (D11)
)

// Product is an offer as customers, the API and the portal see it. Amounts are in EUR, net of tax (D11, D15).
type Product struct {
	ID             string
	Title          string
	Description    string
	CatalogVersion int // the entry's version
	FormulaVersion int // rises when the price components change in kind, not in amount
	Plans          []Plan
	Regions        []string
	Cycles         []Cycle
	Schema         json.RawMessage // of the configuration: JSON Schema 2020-12 with x-ui hints
	Prices         []Price         // every unit price, for a price list
	From           money.Cents     // price of the cheapest configuration, per month
	Default        Selection       // the selection that a form starts with; Check accepts it
	Deadline       time.Duration   // how long the long operation may take (D6)
	CapacityWait   time.Duration   // how long an item may wait for capacity (D6)
	Assumptions    []string        // what the specification leaves open and the entry assumes
}

// Plan is a named size or tier with its price per month. Selections of a product without plans name none.
type Plan struct {
	ID       string
	Title    string
	Price    money.Cents
	Included map[string]int64 // such as vcpu, ram_gb, disk_gb
	Unit     string           // what the price is for: "month", or for example "TB and month"
}

// Price is one line of a product's price list.
type Price struct {
	Component string
	Title     string
	Choice    string // the plan, or the member's value, that has this price; "" if there is only one price
	Unit      string // what is counted: "worker", "GB", "month"
	UnitPrice money.Cents
}

// newOffer resolves an entry's body against the shared prices and compiles its schema.
func newOffer(e Entry, body productBody, shared map[string]sharedPrice) (*offer, error) {
	if err := body.lint(); err != nil {
		return nil, err
	}
	fields, err := parseSchema(body.Configuration)
	if err != nil {
		return nil, fmt.Errorf("configuration schema: %w", err)
	}
	compiled, err := compileSchema(e.Name, body.Configuration)
	if err != nil {
		return nil, fmt.Errorf("configuration schema: %w", err)
	}
	o := &offer{fields: fields, compiled: compiled, rules: body.Rules}
	o.Product = Product{
		ID: e.Name, Title: body.Title, Description: body.Description,
		CatalogVersion: e.Version, FormulaVersion: body.FormulaVersion,
		Regions: body.Regions, Cycles: body.Cycles, Schema: body.Configuration,
		Deadline:     time.Duration(body.DeadlineMinutes) * time.Minute,
		CapacityWait: time.Duration(body.CapacityWaitMinutes) * time.Minute,
		Assumptions:  body.Assumptions,
	}
	if err := checkRules(fields, body.Rules); err != nil {
		return nil, err
	}
	if o.Plans, err = plansOf(body); err != nil {
		return nil, err
	}
	for _, cb := range body.Components {
		comp, err := newComponent(cb, o.Plans, fields, shared)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", cb.Component, err)
		}
		o.components = append(o.components, comp)
		o.Prices = append(o.Prices, comp.priceList()...)
	}
	low, high := o.priceBounds()
	if high > maxItem {
		return nil, fmt.Errorf("the largest configuration costs %s a month, above the bound of %s",
			money.Format(high, money.EUR), money.Format(maxItem, money.EUR))
	}
	o.From = low
	o.Default, err = o.defaultSelection(body.Default)
	return o, err
}

// plansOf reads the plans with their prices.
func plansOf(body productBody) ([]Plan, error) {
	plans := make([]Plan, 0, len(body.Plans))
	for _, p := range body.Plans {
		price, err := parsePrice(p.Price)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", p.ID, err)
		}
		plans = append(plans, Plan{ID: p.ID, Title: p.Title, Price: price, Included: p.Included, Unit: p.Unit})
	}
	return plans, nil
}

// defaultSelection returns the entry's default plan, region and cycle with the configuration that its form
// starts with: each member's x-ui default, else its schema default.
func (o *offer) defaultSelection(d defaultBody) (Selection, error) {
	configuration, err := json.Marshal(o.fields.formDefault())
	if err != nil {
		return Selection{}, fmt.Errorf("default configuration: %w", err)
	}
	sel := Selection{Product: o.ID, Plan: d.Plan, Region: d.Region, Cycle: d.Cycle, Configuration: configuration}
	checked := o.check(sel, "")
	if len(checked.faults) > 0 {
		f := checked.faults[0]
		return Selection{}, fmt.Errorf("default selection is refused: %s %s: %s", f.Pointer, f.Code, f.Message)
	}
	sel.Configuration = checked.canonical
	return sel, o.checkSchemaDefaults(sel)
}

// checkSchemaDefaults checks the schema's own defaults, which the form's defaults may have hidden.
func (o *offer) checkSchemaDefaults(sel Selection) error {
	minimal, err := json.Marshal(o.fields.minimalDefault())
	if err != nil {
		return fmt.Errorf("schema defaults: %w", err)
	}
	sel.Configuration = minimal
	if faults := o.check(sel, "").faults; len(faults) > 0 {
		return fmt.Errorf("schema defaults are refused: %s %s: %s", faults[0].Pointer, faults[0].Code, faults[0].Message)
	}
	return nil
}

// plan finds a plan by its id.
func (o *offer) plan(id string) (Plan, bool) {
	i := slices.IndexFunc(o.Plans, func(p Plan) bool { return p.ID == id })
	if i < 0 {
		return Plan{}, false
	}
	return o.Plans[i], true
}

// parsePrice reads a unit price in EUR, which must not be negative.
func parsePrice(s string) (money.Cents, error) {
	c, err := money.ParseDecimal(s, money.EUR)
	if err != nil {
		return 0, fmt.Errorf("price %q: %w", s, err)
	}
	if c < 0 {
		return 0, errors.New("a price is never negative")
	}
	return c, nil
}
