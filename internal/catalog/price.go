package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
)

// maxItem bounds the price of an item at €10 million a month, a hundred times the dearest of D14
// and more. Load refuses a product that can exceed it, so that no price in any currency, at any
// rate money.ParseRate accepts, for a whole year, leaves an int64.
const maxItem money.Cents = 10_000_000_00

// Line is one summand of a price, in EUR per month: Amount is exactly Quantity × UnitPrice.
type Line struct {
	Component string      `json:"component"`
	Quantity  int64       `json:"quantity"`
	UnitPrice money.Cents `json:"unit_price_cents"`
	Amount    money.Cents `json:"amount_cents"`
}

// Priced is a selection with its price: what is snapshotted on an item (D10).
type Priced struct {
	Product        string          `json:"product"`
	ProductTitle   string          `json:"product_title"`
	Plan           string          `json:"plan"`
	PlanTitle      string          `json:"plan_title"`
	Region         string          `json:"region"`
	Cycle          Cycle           `json:"billing_cycle"`
	Label          string          `json:"label"`
	Configuration  json.RawMessage `json:"configuration"` // canonical, defaults filled in
	Lines          []Line          `json:"lines"`
	Monthly        money.Cents     `json:"monthly_cents"` // EUR, the exact sum of the lines
	FormulaVersion int             `json:"formula_version"`
	CatalogVersion int             `json:"catalog_version"`
}

// Price prices a selection that Check accepts; any other is answered by fault.Violated with the
// faults Check finds.
func (c *Catalog) Price(sel Selection) (Priced, error) {
	o, ok := c.products[sel.Product]
	if !ok {
		return Priced{}, fault.Violated(c.Check(sel, ""))
	}
	result := o.check(sel, "")
	if len(result.faults) > 0 {
		return Priced{}, fault.Violated(result.faults)
	}
	plan, _ := o.plan(sel.Plan)
	p := Priced{
		Product: o.ID, ProductTitle: o.Title, Plan: plan.ID, PlanTitle: plan.Title,
		Region: sel.Region, Cycle: sel.Cycle, Label: sel.Label, Configuration: result.canonical,
		FormulaVersion: o.FormulaVersion, CatalogVersion: o.CatalogVersion,
	}
	for _, comp := range o.components {
		line := comp.line(result.configuration, sel.Plan)
		p.Lines = append(p.Lines, line)
		p.Monthly += line.Amount
	}
	return p, nil
}

// FirstPeriod is the item's price per month and the amount due for its first period, one month or
// one year, in the order's currency. rate is the order's stored one from EUR to cur; nil leaves the
// amounts in EUR, and cur is not read. Each is computed exactly, converted, and rounded half-even
// once (D11): what is due for a year is not the rounded month times anything.
func (p Priced) FirstPeriod(cycle Cycle, rate *money.Rate, cur money.Currency) (monthly, due money.Cents) {
	month := new(big.Rat).SetInt64(int64(p.Monthly))
	period := month
	if cycle == Annual {
		period = money.Annual(p.Monthly)
	}
	return inCurrency(month, rate, cur), inCurrency(period, rate, cur)
}

// inCurrency rounds an exact amount in euro cents after its conversion. It fits: maxItem for a
// year is 10^10, a rate is below 10^6 and no currency has more than three decimals.
func inCurrency(exact *big.Rat, rate *money.Rate, cur money.Currency) money.Cents {
	if rate != nil {
		exact = rate.Exact(exact, money.EUR, cur)
	}
	return money.Cents(money.RoundHalfEven(exact).Int64())
}

// component is a price component resolved against plans, schema and shared prices.
type component struct {
	name, title, unit string
	quantity          string // pointer to a certain integer; "" is 1
	least, most       int64  // of the quantity, the factor not counted
	by                string // what selects the price: "" one price, byPlan, or a pointer to a certain enumerated member
	prices            map[string]money.Cents
	choices           []string // keys of prices, in the order they are shown
	when              string   // pointer to a certain switch; "" is never
	factor            int64    // of the quantity, where the switch is on
}

const byPlan = "plan"

// maxFactor bounds a factor: a product that costs a thousandfold by a switch is a slip of the pen.
const maxFactor = 1000

// newComponent resolves a component; what it speaks of must be in every accepted selection.
func newComponent(b componentBody, plans []Plan, fields *node, shared map[string]sharedPrice) (component, error) {
	c := component{name: b.Component, title: b.Title, unit: b.Unit, quantity: b.Quantity, least: 1, most: 1, factor: 1}
	if b.Title == "" || b.Unit == "" {
		return c, errors.New("title and unit must be said")
	}
	if b.Quantity != "" {
		n, err := fields.certain(b.Quantity)
		if err != nil {
			return c, fmt.Errorf("quantity: %w", err)
		}
		if n.Type != "integer" {
			return c, fmt.Errorf("quantity: %s is not an integer", b.Quantity)
		}
		c.least, c.most = *n.Minimum, *n.Maximum
	}
	if b.Times != nil {
		n, err := fields.certain(b.Times.When)
		if err != nil {
			return c, fmt.Errorf("times: %w", err)
		}
		if n.Type != "boolean" || b.Times.Factor < 1 || b.Times.Factor > maxFactor {
			return c, fmt.Errorf("times: needs a switch and a factor between 1 and %d", maxFactor)
		}
		c.when, c.factor = b.Times.When, b.Times.Factor
	}
	return c, c.resolvePrices(b, plans, fields, shared)
}

// resolvePrices reads the unit prices from the one place the component names.
func (c *component) resolvePrices(b componentBody, plans []Plan, fields *node, shared map[string]sharedPrice) error {
	said := 0
	for _, s := range []bool{b.UnitPrice != "", b.UnitPriceFrom != "", b.UnitPriceOf != "", b.UnitPriceBy != nil} {
		if s {
			said++
		}
	}
	if said != 1 {
		return errors.New("exactly one of unit_price, unit_price_from, unit_price_of, unit_price_by must be said")
	}
	switch {
	case b.UnitPriceFrom != "":
		entry, ok := shared[b.UnitPriceFrom]
		if !ok {
			return fmt.Errorf("there is no price entry %s", b.UnitPriceFrom)
		}
		return c.onePrice(entry.UnitPrice)
	case b.UnitPriceOf != "":
		return c.planPrices(b.UnitPriceOf, plans)
	case b.UnitPriceBy != nil:
		return c.memberPrices(*b.UnitPriceBy, fields)
	}
	return c.onePrice(b.UnitPrice)
}

func (c *component) onePrice(s string) error {
	price, err := parsePrice(s)
	c.prices, c.choices = map[string]money.Cents{"": price}, []string{""}
	return err
}

func (c *component) planPrices(of string, plans []Plan) error {
	if of != byPlan || len(plans) == 0 {
		return fmt.Errorf("unit_price_of must be %q, of a product with plans", byPlan)
	}
	c.by, c.prices = byPlan, map[string]money.Cents{}
	for _, p := range plans {
		c.prices[p.ID] = p.Price
		c.choices = append(c.choices, p.ID)
	}
	return nil
}

func (c *component) memberPrices(b priceByBody, fields *node) error {
	n, err := fields.certain(b.Member)
	if err != nil {
		return fmt.Errorf("unit_price_by: %w", err)
	}
	if n.Type != "string" || !slices.Equal(slices.Sorted(slices.Values(n.Enum)), slices.Sorted(maps.Keys(b.Prices))) {
		return fmt.Errorf("unit_price_by: needs exactly one price for each value of %s", b.Member)
	}
	c.by, c.prices, c.choices = b.Member, map[string]money.Cents{}, n.Enum
	for value, s := range b.Prices {
		if c.prices[value], err = parsePrice(s); err != nil {
			return err
		}
	}
	return nil
}

// line prices the component for an accepted configuration with its defaults filled in.
func (c component) line(configuration any, plan string) Line {
	l := Line{Component: c.name, Quantity: 1}
	if c.quantity != "" {
		l.Quantity, _ = integerAt(configuration, c.quantity)
	}
	if on, _ := lookup(configuration, c.when); c.when != "" && on == true {
		l.Quantity *= c.factor
	}
	l.UnitPrice = c.prices[c.choice(configuration, plan)]
	l.Amount = money.Cents(l.Quantity) * l.UnitPrice
	return l
}

// choice is the key of the price that a selection takes.
func (c component) choice(configuration any, plan string) string {
	switch c.by {
	case "":
		return ""
	case byPlan:
		return plan
	}
	value, _ := lookup(configuration, c.by)
	text, _ := value.(string)
	return text
}

// priceList is the component's part of the product's price list.
func (c component) priceList() []Price {
	list := make([]Price, 0, len(c.choices))
	for _, choice := range c.choices {
		list = append(list, Price{
			Component: c.name, Title: c.title, Choice: choice, Unit: c.unit, UnitPrice: c.prices[choice],
		})
	}
	return list
}

// priceBounds are the monthly prices of the cheapest and the dearest configuration; both are cut
// at money.Max. Each component is taken at its cheapest by itself, which is right as long as no two
// of them hang on one choice in opposite directions.
func (o *offer) priceBounds() (low, high money.Cents) {
	least, most := new(big.Int), new(big.Int)
	for _, c := range o.components {
		prices := slices.Collect(maps.Values(c.prices))
		least.Add(least, product(c.least, 1, slices.Min(prices)))
		most.Add(most, product(c.most, c.factor, slices.Max(prices)))
	}
	return cut(least), cut(most)
}

func product(quantity, factor int64, price money.Cents) *big.Int {
	n := new(big.Int).Mul(big.NewInt(quantity), big.NewInt(factor))
	return n.Mul(n, big.NewInt(int64(price)))
}

func cut(n *big.Int) money.Cents {
	if !n.IsInt64() || n.Int64() > int64(money.Max) {
		return money.Max
	}
	return money.Cents(n.Int64())
}
