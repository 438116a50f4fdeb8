package main

import (
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
	Rate   string `arg:"" help:"How much of the second currency one euro is, as a decimal."`
	Source string `default:"manual" help:"Where the rate comes from; stored with every order that is priced with it."`
}

// Run records a rate that applies from now on. Earlier rates stay, and so do the orders priced with them (D11).
func (c *ratesSetCmd) Run(g *globals) error {
	base, quote, ok := strings.Cut(c.Pair, "/")
	cur, err := money.ParseCurrency(quote)
	if !ok || err != nil || money.Currency(base) != app.CatalogCurrency || cur == app.CatalogCurrency {
		return fmt.Errorf("%q is not a pair of currencies: write euro first, as in EUR/CHF", c.Pair)
	}
	rate, err := money.ParseRate(c.Rate)
	if err != nil {
		return fmt.Errorf("rate %q: %w", c.Rate, err)
	}
	db, err := c.open(g)
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
	db, err := c.open(g)
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
		return printJSON(g.out, lines)
	}
	for _, l := range lines {
		at := l.At.Format(time.RFC3339)
		if _, err := fmt.Fprintf(g.out, "EUR/%s %s  %s, %s\n", l.Currency, l.Rate, l.Source, at); err != nil {
			return err
		}
	}
	return nil
}
