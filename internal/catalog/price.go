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

// maxItem is the highest price of an item, €10 million a month; more than a hundred times the dearest of D14.
// Load refuses a product that can exceed it, so that a year's price fits into an int64 in any currency, at any
// rate that money.ParseRate accepts.
const maxItem money.Cents = 10_000_000_00

// Line is one summand of a price, in EUR per month. Amount is exactly Quantity × UnitPrice.
type Line struct {
	Component string      `json:"component"`
	Quantity  int64       `json:"quantity"`
	UnitPrice money.Cents `json:"unit_price_cents"`
	Amount    money.Cents `json:"amount_cents"`
}

// Priced is a selection with its price, as an item's snapshot stores it (D10).
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

// Price prices a selection. If Check does not accept it, Price returns fault.Violated with the faults that Check
// finds.
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

// FirstPeriod returns the item's price per month and the amount due for its first period, one month or one year,
// in the order's currency. rate is the order's stored rate from EUR to cur; if it is nil, the amounts stay in EUR
// and cur is ignored. Each amount is computed exactly, converted, and rounded half-even once (D11), so a year is
// never computed from a rounded month.
func (p Priced) FirstPeriod(cycle Cycle, rate *money.Rate, cur money.Currency) (monthly, due money.Cents) {
	month := new(big.Rat).SetInt64(int64(p.Monthly))
	period := month
	if cycle == Annual {
		period = money.Annual(p.Monthly)
	}
	return inCurrency(month, rate, cur), inCurrency(period, rate, cur)
}

// inCurrency converts an exact amount in euro cents and rounds it. The result fits into an int64: maxItem for a
// year is 10^10 cents, a rate is below 10^6 and no currency has more than three decimals.
func inCurrency(exact *big.Rat, rate *money.Rate, cur money.Currency) money.Cents {
	if rate != nil {
		exact = rate.Exact(exact, money.EUR, cur)
	}
	return money.Cents(money.RoundHalfEven(exact).Int64())
}

// component is a price component, resolved against plans, schema and shared prices.
type component struct {
	name, title, unit string
	quantity          string // pointer to an integer; "" means 1
	least, most       int64  // bounds of the quantity, without the factor
	by                string // what selects the price: "" (there is one), byPlan, or a pointer to an enumerated member
	prices            map[string]money.Cents
	choices           []string // keys of prices, in the order they are shown
	when              string   // pointer to a switch; "" means never
	factor            int64    // multiplies the quantity if the switch is on
}

const byPlan = "plan"

// maxFactor bounds a factor. A larger one is a typing error.
const maxFactor = 1000

// newComponent resolves a component. The members that it refers to must be in every accepted configuration
// (node.certain).
func newComponent(b componentBody, plans []Plan, fields *node, shared map[string]sharedPrice) (component, error) {
	c := component{name: b.Component, title: b.Title, unit: b.Unit, quantity: b.Quantity, least: 1, most: 1, factor: 1}
	if b.Title == "" || b.Unit == "" {
		return c, errors.New("title and unit are required")
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

// resolvePrices reads the unit prices from the one place that the component names.
func (c *component) resolvePrices(b componentBody, plans []Plan, fields *node, shared map[string]sharedPrice) error {
	given := 0
	for _, set := range []bool{b.UnitPrice != "", b.UnitPriceFrom != "", b.UnitPriceOf != "", b.UnitPriceBy != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		return errors.New("exactly one of unit_price, unit_price_from, unit_price_of, unit_price_by is required")
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
		return fmt.Errorf("unit_price_of must be %q, in a product with plans", byPlan)
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

// line prices the component for an accepted configuration whose defaults are filled in.
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

// choice returns the key of the price that applies to a selection.
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

// priceList returns the component's part of the product's price list.
func (c component) priceList() []Price {
	list := make([]Price, 0, len(c.choices))
	for _, choice := range c.choices {
		list = append(list, Price{
			Component: c.name, Title: c.title, Choice: choice, Unit: c.unit, UnitPrice: c.prices[choice],
		})
	}
	return list
}

// priceBounds returns the monthly prices of the cheapest and the dearest configuration, at most money.Max. It
// takes the cheapest and the dearest price of each component by itself, which is right as long as no choice
// makes one component cheaper and another one dearer.
func (o *offer) priceBounds() (low, high money.Cents) {
	least, most := new(big.Int), new(big.Int)
	for _, c := range o.components {
		prices := slices.Collect(maps.Values(c.prices))
		least.Add(least, product(c.least, 1, slices.Min(prices)))
		most.Add(most, product(c.most, c.factor, slices.Max(prices)))
	}
	return capped(least), capped(most)
}

func product(quantity, factor int64, price money.Cents) *big.Int {
	n := new(big.Int).Mul(big.NewInt(quantity), big.NewInt(factor))
	return n.Mul(n, big.NewInt(int64(price)))
}

func capped(n *big.Int) money.Cents {
	if !n.IsInt64() || n.Int64() > int64(money.Max) {
		return money.Max
	}
	return money.Cents(n.Int64())
}
