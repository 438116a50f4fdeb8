package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

type providersListCmd struct{ cloudFile }

// accountLine is an account in the list's JSON.
type accountLine struct {
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	Drained    bool               `json:"drained"`
	Simulated  bool               `json:"simulated"`
	Placements []config.Placement `json:"placements"`
}

// Run lists the accounts of the file; it asks none of them.
func (c *providersListCmd) Run(g *globals) error {
	clouds, err := c.open()
	if err != nil {
		return err
	}
	defer clouds.Close()
	lines := []accountLine{}
	for _, a := range clouds.Accounts() {
		lines = append(lines, accountLine{
			Name: a.Name, Type: a.Type, Drained: a.Drained, Simulated: a.Provider.Capabilities().Sim,
			Placements: append([]config.Placement{}, clouds.PlacementsOf(a.Name)...),
		})
	}
	if c.JSON {
		return printIndented(g, lines)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tTYPE\tNEW ITEMS\tPLACED\t")
	for _, l := range lines {
		takes := "yes"
		if l.Drained {
			takes = "no, drained"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", l.Name, l.Type, takes, placedWords(l.Placements))
	}
	return w.Flush()
}

func placedWords(all []config.Placement) string {
	if len(all) == 0 {
		return "nothing"
	}
	words := make([]string, 0, len(all))
	for _, p := range all {
		words = append(words, p.Pair())
	}
	return strings.Join(words, "; ")
}

type providersCheckCmd struct {
	cloudFile
	Account string `arg:"" optional:"" help:"The account to check; all when not given."`
}

// checkLine is what came of one account's check, in its JSON.
type checkLine struct {
	Account string                 `json:"account"`
	Type    string                 `json:"type"`
	Login   bool                   `json:"login"`           // it answered and let us in
	Error   string                 `json:"error,omitempty"` // why not
	Regions []provider.RegionFacts `json:"regions"`
	Missing []string               `json:"missing"`
}

// checkTimeout is for one account.
const checkTimeout = 30 * time.Second

// Run asks the accounts; it ends with status 1 when one cannot be asked or misses something.
func (c *providersCheckCmd) Run(g *globals) error {
	clouds, err := c.open()
	if err != nil {
		return err
	}
	defer clouds.Close()
	accounts := clouds.Accounts()
	if c.Account != "" {
		one, err := clouds.Account(c.Account)
		if err != nil {
			return err
		}
		accounts = []config.Account{one}
	}
	lines, well := []checkLine{}, true
	for _, a := range accounts {
		l := checkOne(g.ctx, clouds, a)
		well = well && l.Login && len(l.Missing) == 0
		lines = append(lines, l)
	}
	if err := c.print(g, lines); err != nil {
		return err
	}
	if !well {
		return errReported
	}
	return nil
}

func checkOne(ctx context.Context, clouds *config.Clouds, a config.Account) checkLine {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	l := checkLine{Account: a.Name, Type: a.Type, Regions: []provider.RegionFacts{}, Missing: []string{}}
	found, err := clouds.Check(ctx, a.Name)
	if err != nil {
		l.Error = whyUnchecked(err)
		return l
	}
	l.Login = true
	l.Regions = append(l.Regions, found.Regions...)
	l.Missing = append(l.Missing, found.Missing...)
	return l
}

// whyUnchecked says in an operator's words why an account could not be asked.
func whyUnchecked(err error) string {
	e := provider.AsError(err)
	switch {
	case e == nil:
		return err.Error()
	case e.Class == fault.Suspended:
		return "it refused the login: " + e.Error()
	case e.Class == fault.Forbidden:
		return "the login may not read its facts: " + e.Error()
	default:
		return "it could not be asked; is its address right, and is it up? " + e.Error()
	}
}

func (c *providersCheckCmd) print(g *globals, lines []checkLine) error {
	if c.JSON {
		return printIndented(g, lines)
	}
	for _, l := range lines {
		if !l.Login {
			fmt.Fprintf(g.out, "%s (%s): %s\n", l.Account, l.Type, l.Error)
			continue
		}
		fmt.Fprintf(g.out, "%s (%s): reachable, the login works\n", l.Account, l.Type)
		for _, r := range l.Regions {
			fmt.Fprintf(g.out, "  region %s: %s\n", r.Name, strings.Join(r.Products, ", "))
			if len(r.Images) > 0 {
				fmt.Fprintf(g.out, "    images: %s\n", strings.Join(r.Images, ", "))
			}
		}
		for _, m := range l.Missing {
			fmt.Fprintf(g.out, "  MISSING: %s\n", m)
		}
		if len(l.Missing) == 0 {
			fmt.Fprintln(g.out, "  nothing is missing")
		}
	}
	return nil
}

func printIndented(g *globals, v any) error {
	enc := json.NewEncoder(g.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
