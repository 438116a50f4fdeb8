package sim

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/platforma-cloud/orders/internal/provider"
)

// Settings are an account's keys in the configuration file, in addition to its name and type.
type Settings struct {
	URL    string `yaml:"url"`    // such as http://127.0.0.1:8091
	Naming string `yaml:"naming"` // what the simulator does with a second create under one name; empty: unique-409
}

// Faults lists everything that is wrong with the settings.
func (s Settings) Faults() []provider.SettingFault {
	var faults []provider.SettingFault
	if s.URL == "" {
		faults = append(faults, provider.SettingFault{
			Setting: "url", Message: "is required: the address of the simulator, such as http://127.0.0.1:8091",
		})
	} else if !validURL(s.URL) {
		faults = append(faults, provider.SettingFault{Setting: "url", Message: "must be of the form http://host:port"})
	}
	if _, ok := s.naming(); !ok {
		faults = append(faults, provider.SettingFault{
			Setting: "naming", Message: fmt.Sprintf("must be none, unique-409 or upsert, not %q", s.Naming),
		})
	}
	return faults
}

func (s Settings) naming() (provider.Naming, bool) {
	if s.Naming == "" {
		return provider.NamingUnique409, true
	}
	return provider.ParseNaming(s.Naming)
}

// Open returns the adapter of an account. It sends nothing.
func Open(s Settings) (provider.Provider, error) {
	naming, _ := s.naming()
	return New(ProviderConfig{URL: s.URL, Naming: naming})
}

func validURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "http" && u.Host != "" && u.User == nil
}

// Check reads the simulator's facts. There is no login that could be refused. The only possible fault is a
// simulator whose naming differs from the account's settings.
func (p *Provider) Check(ctx context.Context) (provider.Checkup, error) {
	var f facts
	if _, err := p.call(ctx, request{method: http.MethodGet, path: "/v1/facts"}, &f); err != nil {
		return provider.Checkup{}, err
	}
	var c provider.Checkup
	for _, name := range slices.Sorted(maps.Keys(f.Regions)) {
		r := f.Regions[name]
		c.Regions = append(c.Regions, provider.RegionFacts{Name: name, Products: r.Products, Images: r.Images})
	}
	if f.Naming != p.naming.String() {
		c.Missing = append(c.Missing, fmt.Sprintf(
			"the simulator runs with naming %s, the account is configured with %s: make them equal",
			f.Naming, p.naming))
	}
	return c, nil
}
