package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
)

type ratesSetCmd struct {
	database
	Pair   string `arg:"" help:"Currencies, such as EUR/CHF."`
	Rate   string `arg:"" help:"How many of the second one euro is, as a decimal."`
	Source string `default:"manual" help:"Where the rate comes from; kept on every order priced with it."`
}

// Run records a rate from now on; the earlier ones stay, and so do the orders priced with them (D11).
func (c *ratesSetCmd) Run(g *globals) error {
	base, quote, ok := strings.Cut(c.Pair, "/")
	cur, err := money.ParseCurrency(quote)
	if !ok || err != nil || money.Currency(base) != app.CatalogCurrency || cur == app.CatalogCurrency {
		return fmt.Errorf("%q is no pair of currencies: write it as EUR/CHF", c.Pair)
	}
	rate, err := money.ParseRate(c.Rate)
	if err != nil {
		return fmt.Errorf("rate %q: %w", c.Rate, err)
	}
	db, err := c.store(g)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.AddRate(g.ctx, cur, order.FX{Rate: rate, Source: c.Source, At: time.Now().UTC()}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.out, "One euro is %s %s from now on (%s).\n", rate, cur, c.Source)
	return err
}

type ratesListCmd struct {
	database
	JSON bool `help:"Print as JSON."`
}

// Run lists the rates in force.
func (c *ratesListCmd) Run(g *globals) error {
	db, err := c.store(g)
	if err != nil {
		return err
	}
	defer db.Close()
	type line struct {
		Currency money.Currency `json:"currency"`
		Rate     string         `json:"rate"`
		Source   string         `json:"source"`
		At       time.Time      `json:"at"`
	}
	lines := []line{}
	for _, cur := range money.Currencies() {
		fx, err := db.Rate(g.ctx, cur)
		if err != nil {
			return err
		}
		if fx != nil {
			lines = append(lines, line{cur, fx.Rate.String(), fx.Source, fx.At})
		}
	}
	if c.JSON {
		enc := json.NewEncoder(g.out)
		enc.SetIndent("", "  ")
		return enc.Encode(lines)
	}
	for _, l := range lines {
		if _, err := fmt.Fprintf(g.out, "EUR/%s %s  %s, %s\n", l.Currency, l.Rate, l.Source,
			l.At.Format(time.RFC3339)); err != nil {
			return err
		}
	}
	return nil
}
