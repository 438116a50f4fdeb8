package catalog_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/money"
)

// formula returns a product's price in euros, as the specification defines it and without the catalogue.
// FuzzPrice compares the catalogue with it.
func formula(product, plan, choice string, units, storage int64, double bool) *big.Rat {
	euro := func(s string) *big.Rat {
		r, _ := new(big.Rat).SetString(s)
		return r
	}
	times := func(r *big.Rat, n int64) *big.Rat { return r.Mul(r, new(big.Rat).SetInt64(n)) }
	half := times(euro("0.5"), storage)
	switch product {
	case "vps":
		return euro(map[string]string{"core": "10", "business": "20.1", "enterprise": "56.6"}[plan])
	case "kubernetes":
		return half.Add(half, times(euro("150"), units))
	case "database":
		base := euro(map[string]string{"starter": "40", "production": "120"}[plan])
		if double {
			times(base, 2)
		}
		return half.Add(half, base)
	case "gpu":
		return half.Add(half, times(euro(map[string]string{"a100": "1200", "h100": "2400"}[choice]), units))
	case "private_cloud":
		nodes := times(euro("450"), units)
		return nodes.Add(nodes, times(euro("80"), storage))
	}
	return times(euro(map[string]string{"standard": "20", "archive": "10"}[plan]), storage)
}

// dueInMinorUnits converts an exact amount in euros and rounds it half-even. It compares the rest with one half,
// instead of using the package's own rounding.
func dueInMinorUnits(euros *big.Rat, rate string, decimals int) *big.Int {
	r, _ := new(big.Rat).SetString(rate)
	exact := new(big.Rat).Mul(euros, r)
	for range decimals {
		exact.Mul(exact, big.NewRat(10, 1))
	}
	floor := new(big.Int).Div(exact.Num(), exact.Denom())
	rest := new(big.Rat).Sub(exact, new(big.Rat).SetInt(floor))
	switch rest.Cmp(big.NewRat(1, 2)) {
	case 1:
		return floor.Add(floor, big.NewInt(1))
	case 0:
		return floor.Add(floor, big.NewInt(int64(floor.Bit(0))))
	}
	return floor
}

func FuzzPrice(f *testing.F) {
	f.Add(uint8(0), uint8(1), int64(3), int64(100), false, "0.9321", "CHF")
	f.Add(uint8(1), uint8(0), int64(3), int64(11), true, "391.55", "HUF")
	f.Add(uint8(2), uint8(1), int64(3), int64(500), true, "162.55", "JPY")
	f.Add(uint8(3), uint8(1), int64(8), int64(50000), false, "0.3345", "KWD")
	f.Add(uint8(4), uint8(0), int64(20), int64(500), true, "1.125", "USD")
	f.Add(uint8(5), uint8(1), int64(1), int64(1000), false, "1", "EUR")
	c := load(f)
	products := c.Products()
	f.Fuzz(func(t *testing.T, which, choice uint8, units, storage int64, double bool, rateText, code string) {
		p := products[int(which)%len(products)]
		sel := catalog.Selection{Product: p.ID, Region: "lj-1", Cycle: catalog.Monthly}
		if double {
			sel.Cycle = catalog.Annual
		}
		if len(p.Plans) > 0 {
			sel.Plan = p.Plans[int(choice)%len(p.Plans)].ID
		}
		gpu := []string{"a100", "h100"}[choice%2]
		sel.Configuration = json.RawMessage(map[string]string{
			"vps":            `{"os_image":"debian-12"}`,
			"kubernetes":     fmt.Sprintf(`{"workers":%d,"storage_gb":%d}`, units, storage),
			"database":       fmt.Sprintf(`{"storage_gb":%d,"high_availability":%t}`, storage, double),
			"gpu":            fmt.Sprintf(`{"gpu_type":%q,"nodes":%d,"storage_gb":%d}`, gpu, units, storage),
			"private_cloud":  fmt.Sprintf(`{"cluster_size":"large","nodes":%d,"storage_tb":%d}`, units, storage),
			"object_storage": fmt.Sprintf(`{"capacity_tb":%d}`, storage),
		}[p.ID])
		rate, err := money.ParseRate(rateText)
		cur, err2 := money.ParseCurrency(code)
		if err != nil || err2 != nil || len(c.Check(sel, "")) > 0 {
			return
		}
		priced, err := c.Price(sel)
		if err != nil {
			t.Fatalf("Price(%s) of what Check accepts: %v", sel.Configuration, err)
		}
		month := formula(p.ID, sel.Plan, gpu, units, storage, double)
		period := new(big.Rat).Set(month)
		if sel.Cycle == catalog.Annual {
			period.Mul(period, big.NewRat(96, 10))
		}
		monthly, due := priced.FirstPeriod(sel.Cycle, &rate, cur)
		for name, k := range map[string]struct {
			got  money.Cents
			want *big.Int
		}{
			"euro cents a month": {priced.Monthly, dueInMinorUnits(month, "1", 2)},
			"monthly":            {monthly, dueInMinorUnits(month, rateText, cur.Decimals())},
			"due":                {due, dueInMinorUnits(period, rateText, cur.Decimals())},
		} {
			if k.want.Cmp(big.NewInt(int64(k.got))) != 0 {
				t.Errorf("%s %s %s at %s %s: %s %d, want %s", p.ID, sel.Plan, sel.Configuration, rateText, cur, name, k.got, k.want)
			}
		}
		sum := money.Cents(0)
		for _, l := range priced.Lines {
			if l.Amount != money.Cents(l.Quantity)*l.UnitPrice {
				t.Errorf("line %+v is not quantity × unit price", l)
			}
			sum += l.Amount
		}
		if sum != priced.Monthly {
			t.Errorf("lines sum to %d, month is %d", sum, priced.Monthly)
		}
	})
}

func FuzzCheckAnswersAnyConfigurationAndAcceptsItsCanonicalForm(f *testing.F) {
	for i, s := range []string{
		`{"os_image":"debian-12","ssh_public_keys":[]}`,
		`{"workers":3,"storage_gb":10,"autoscaling":{"enabled":true,"min_workers":3,"max_workers":4}}`,
		`{"storage_gb":1e400000000}`, `{"gpu_type":"a100","nodes":1,"storage_gb":100}`, `[[[]]]`, `{"a":{"":1.5}}`,
		`{"a":1,"a":2}`, `nul`, `"\ud800"`, `-0`,
	} {
		f.Add(uint8(i), s, "web-1")
	}
	c := load(f)
	products := c.Products()
	f.Fuzz(func(t *testing.T, which uint8, configuration, label string) {
		sel := products[int(which)%len(products)].Default
		sel.Configuration, sel.Label = json.RawMessage(configuration), label
		faults := c.Check(sel, "/items/0")
		for _, v := range faults {
			if !strings.HasPrefix(v.Pointer, "/items/0/") || v.Message == "" || !utf8.ValidString(v.Message) {
				t.Errorf("fault %+v", v)
			}
			if !strings.Contains(" "+strings.Join(catalog.Codes(), " ")+" ", " "+v.Code+" ") ||
				v.Code == catalog.CodeInvalidValue {
				t.Errorf("fault %+v has no code of its own", v)
			}
		}
		priced, err := c.Price(sel)
		if (err == nil) != (len(faults) == 0) {
			t.Fatalf("Check found %v, Price answered %v", faults, err)
		}
		if err != nil {
			return
		}
		sel.Configuration = priced.Configuration
		again, err := c.Price(sel)
		if err != nil || string(again.Configuration) != string(priced.Configuration) || again.Monthly != priced.Monthly {
			t.Fatalf("the canonical form %s priced again: %s, %v", priced.Configuration, again.Configuration, err)
		}
	})
}
