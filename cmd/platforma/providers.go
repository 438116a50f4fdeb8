package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/platforma-cloud/orders/internal/config"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/provider"
)

type providersListCmd struct{ cloudFlags }

// accountLine is an account in the JSON of the list.
type accountLine struct {
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	Drained    bool               `json:"drained"`
	Simulated  bool               `json:"simulated"`
	Placements []config.Placement `json:"placements"`
}

// Run lists the accounts of the file without calling any cloud.
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
		return printJSON(g.out, lines)
	}
	w := tabwriter.NewWriter(g.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tTYPE\tNEW ITEMS\tPLACED\t")
	for _, l := range lines {
		newItems := "yes"
		if l.Drained {
			newItems = "no, drained"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", l.Name, l.Type, newItems, placementsText(l.Placements))
	}
	return w.Flush()
}

func placementsText(placements []config.Placement) string {
	if len(placements) == 0 {
		return "nothing"
	}
	pairs := make([]string, 0, len(placements))
	for _, p := range placements {
		pairs = append(pairs, p.Pair())
	}
	return strings.Join(pairs, "; ")
}

type providersCheckCmd struct {
	cloudFlags
	Account string `arg:"" optional:"" help:"The account to check; all when not given."`
}

// checkLine is the result of checking one account, as it is in the JSON.
type checkLine struct {
	Account string                 `json:"account"`
	Type    string                 `json:"type"`
	Login   bool                   `json:"login"`           // the cloud answered and accepted the login
	Error   string                 `json:"error,omitempty"` // why it did not
	Regions []provider.RegionFacts `json:"regions"`
	Missing []string               `json:"missing"`
}

// checkTimeout is how long the check of one account may take.
const checkTimeout = 30 * time.Second

// Run checks the accounts. It ends with status 1 when one cannot be checked or something is missing there.
func (c *providersCheckCmd) Run(g *globals) error {
	clouds, err := c.open()
	if err != nil {
		return err
	}
	defer clouds.Close()
	accounts := clouds.Accounts()
	if c.Account != "" {
		account, err := clouds.Account(c.Account)
		if err != nil {
			return err
		}
		accounts = []config.Account{account}
	}
	lines, allUsable := []checkLine{}, true
	for _, a := range accounts {
		l := checkAccount(g.ctx, clouds, a)
		allUsable = allUsable && l.Login && len(l.Missing) == 0
		lines = append(lines, l)
	}
	if err := c.print(g, lines); err != nil {
		return err
	}
	if !allUsable {
		return errReported
	}
	return nil
}

func checkAccount(ctx context.Context, clouds *config.Clouds, a config.Account) checkLine {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	l := checkLine{Account: a.Name, Type: a.Type, Regions: []provider.RegionFacts{}, Missing: []string{}}
	found, err := clouds.Check(ctx, a.Name)
	if err != nil {
		l.Error = checkFailure(err)
		return l
	}
	l.Login = true
	l.Regions = append(l.Regions, found.Regions...)
	l.Missing = append(l.Missing, found.Missing...)
	return l
}

// checkFailure says for operators why an account could not be checked.
func checkFailure(err error) string {
	e := provider.AsError(err)
	switch {
	case e == nil:
		return err.Error()
	case e.Class == fault.Suspended:
		return "the cloud refused the login: " + e.Error()
	case e.Class == fault.Forbidden:
		return "the login may not read what the account offers: " + e.Error()
	default:
		return "the cloud could not be reached; is its address right, and is it up? " + e.Error()
	}
}

func (c *providersCheckCmd) print(g *globals, lines []checkLine) error {
	if c.JSON {
		return printJSON(g.out, lines)
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
