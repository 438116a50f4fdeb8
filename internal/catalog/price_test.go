package catalog_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
)

// noon returns a moment at which the built-in catalogue is valid.
func noon() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

func load(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load(catalog.Default(), noon())
	if err != nil {
		t.Fatalf("Load(Default()): %v", err)
	}
	return c
}

func TestPricesAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	builtIn := load(t)
	// Computed by hand from D14; annual = 12 × monthly × 0.80 (D11).
	for _, c := range []struct{ product, plan, configuration, monthly, annual string }{
		{"vps", "core", `{"os_image":"debian-12"}`, "10.00", "96.00"},
		{"vps", "business", `{"os_image":"ubuntu-24.04"}`, "20.10", "192.96"},
		{"vps", "enterprise", `{"os_image":"windows-2022"}`, "56.60", "543.36"},

		{"kubernetes", "", `{"workers":3,"storage_gb":10}`, "455.00", "4368.00"},
		{"kubernetes", "", `{"workers":3,"storage_gb":11}`, "455.50", "4372.80"},
		{"kubernetes", "", `{"workers":5,"storage_gb":200,"storage_class":"fast"}`, "850.00", "8160.00"},
		{
			"kubernetes", "", `{"workers":5,"storage_gb":200,"autoscaling":{"enabled":true,"min_workers":3,"max_workers":50}}`,
			"850.00", "8160.00",
		},
		{"kubernetes", "", `{"workers":50,"storage_gb":20000}`, "17500.00", "168000.00"},

		{"database", "starter", `{"storage_gb":20}`, "50.00", "480.00"},
		{"database", "starter", `{"storage_gb":105}`, "92.50", "888.00"},
		{"database", "starter", `{"storage_gb":2000}`, "1040.00", "9984.00"},
		{"database", "starter", `{"storage_gb":20,"high_availability":true}`, "90.00", "864.00"},
		{"database", "starter", `{"storage_gb":2000,"high_availability":true}`, "1080.00", "10368.00"},
		{"database", "production", `{"storage_gb":20}`, "130.00", "1248.00"},
		{"database", "production", `{"storage_gb":500}`, "370.00", "3552.00"},
		{"database", "production", `{"storage_gb":2000}`, "1120.00", "10752.00"},
		{"database", "production", `{"storage_gb":20,"high_availability":true}`, "250.00", "2400.00"},
		{"database", "production", `{"storage_gb":500,"high_availability":true}`, "490.00", "4704.00"},
		{"database", "production", `{"storage_gb":2000,"high_availability":true}`, "1240.00", "11904.00"},

		{"gpu", "", `{"gpu_type":"a100","nodes":1,"storage_gb":100}`, "1250.00", "12000.00"},
		{"gpu", "", `{"gpu_type":"a100","nodes":4,"storage_gb":1000}`, "5300.00", "50880.00"},
		{"gpu", "", `{"gpu_type":"a100","nodes":8,"storage_gb":50000}`, "34600.00", "332160.00"},
		{"gpu", "", `{"gpu_type":"h100","nodes":1,"storage_gb":100}`, "2450.00", "23520.00"},
		{"gpu", "", `{"gpu_type":"h100","nodes":4,"storage_gb":1000}`, "10100.00", "96960.00"},
		{"gpu", "", `{"gpu_type":"h100","nodes":8,"storage_gb":50000}`, "44200.00", "424320.00"},

		{"private_cloud", "", `{"cluster_size":"small","nodes":3,"storage_tb":5}`, "1750.00", "16800.00"},
		{"private_cloud", "", `{"cluster_size":"medium","nodes":5,"storage_tb":20}`, "3850.00", "36960.00"},
		{"private_cloud", "", `{"cluster_size":"large","nodes":20,"storage_tb":500}`, "49000.00", "470400.00"},

		{"object_storage", "standard", `{"capacity_tb":1}`, "20.00", "192.00"},
		{"object_storage", "standard", `{"capacity_tb":50,"replication":"dual_region"}`, "1000.00", "9600.00"},
		{"object_storage", "standard", `{"capacity_tb":1000}`, "20000.00", "192000.00"},
		{"object_storage", "archive", `{"capacity_tb":1}`, "10.00", "96.00"},
		{"object_storage", "archive", `{"capacity_tb":50}`, "500.00", "4800.00"},
		{"object_storage", "archive", `{"capacity_tb":1000}`, "10000.00", "96000.00"},
	} {
		for _, cycle := range []catalog.Cycle{catalog.Monthly, catalog.Annual} {
			sel := catalog.Selection{
				Product: c.product, Plan: c.plan, Region: "lj-1", Cycle: cycle, Configuration: json.RawMessage(c.configuration),
			}
			p, err := builtIn.Price(sel)
			if err != nil {
				t.Errorf("Price(%s %s %s): %v %+v", c.product, c.plan, c.configuration, err, fault.Of(err))
				continue
			}
			monthly, due := p.FirstPeriod(cycle, nil, money.EUR)
			want := c.monthly
			if cycle == catalog.Annual {
				want = c.annual
			}
			if got := money.Format(due, money.EUR); got != want || monthly != p.Monthly ||
				money.Format(monthly, money.EUR) != c.monthly {
				t.Errorf("%s %s %s %s: due %s, want %s; monthly %d, want %s",
					c.product, c.plan, c.configuration, cycle, got, want, monthly, c.monthly)
			}
		}
	}
}

func TestHighAvailabilityDoublesThePlanAndNotTheStorage(t *testing.T) {
	t.Parallel()
	p, err := load(t).Price(catalog.Selection{
		Product: "database", Plan: "production", Region: "mb-1", Cycle: catalog.Annual, Label: "main db",
		Configuration: json.RawMessage(` {"storage_gb": 500, "high_availability": true} `),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := catalog.Priced{
		Product: "database", ProductTitle: "Managed database", Plan: "production", PlanTitle: "Production",
		Region: "mb-1", Cycle: catalog.Annual, Label: "main db",
		Configuration: json.RawMessage(`{"engine":"postgresql-16","high_availability":true,"storage_gb":500}`),
		Lines: []catalog.Line{
			{Component: "plan", Quantity: 2, UnitPrice: 120_00, Amount: 240_00},
			{Component: "storage", Quantity: 500, UnitPrice: 50, Amount: 250_00},
		},
		Monthly: 490_00, FormulaVersion: 1, CatalogVersion: 1,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("Price (-want +got):\n%s", diff)
	}
}

func TestEveryLineIsQuantityTimesUnitPrice(t *testing.T) {
	t.Parallel()
	got := map[string][]catalog.Line{}
	c := load(t)
	for product, sel := range map[string]catalog.Selection{
		"gpu":            {Configuration: json.RawMessage(`{"gpu_type":"h100","nodes":2,"storage_gb":300}`)},
		"kubernetes":     {Configuration: json.RawMessage(`{"workers":4,"storage_gb":101}`)},
		"private_cloud":  {Configuration: json.RawMessage(`{"cluster_size":"small","nodes":4,"storage_tb":6}`)},
		"object_storage": {Plan: "archive", Configuration: json.RawMessage(`{"capacity_tb":7}`)},
		"vps":            {Plan: "business", Configuration: json.RawMessage(`{"os_image":"rocky-9"}`)},
	} {
		sel.Product, sel.Region, sel.Cycle = product, "lj-1", catalog.Monthly
		p, err := c.Price(sel)
		if err != nil {
			t.Fatalf("Price(%s): %v", product, err)
		}
		got[product] = p.Lines
	}
	want := map[string][]catalog.Line{
		"gpu":            {{"nodes", 2, 2400_00, 4800_00}, {"storage", 300, 50, 150_00}},
		"kubernetes":     {{"workers", 4, 150_00, 600_00}, {"storage", 101, 50, 50_50}},
		"private_cloud":  {{"nodes", 4, 450_00, 1800_00}, {"storage", 6, 80_00, 480_00}},
		"object_storage": {{"capacity", 7, 10_00, 70_00}},
		"vps":            {{"plan", 1, 20_10, 20_10}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestOtherCurrenciesAreConvertedExactlyAndRoundedOnce(t *testing.T) {
	t.Parallel()
	p, err := load(t).Price(catalog.Selection{
		Product: "vps", Plan: "business", Region: "lj-1", Cycle: catalog.Annual,
		Configuration: json.RawMessage(`{"os_image":"debian-12"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cur                  money.Currency
		rate                 string
		month, monthly, year string
	}{
		{"CHF", "0.9321", "18.74", "18.74", "179.86"},       // 18.735 21; 179.858 016, where 18.74 × 9.6 would be 179.90
		{"HUF", "391.55", "7870.16", "7870.16", "75553.49"}, // 7870.155, half to even; 75553.488
		{"JPY", "162.55", "3267", "3267", "31366"},          // 3267.255; 31365.648
	} {
		r, err := money.ParseRate(c.rate)
		if err != nil {
			t.Fatal(err)
		}
		monthly, due := p.FirstPeriod(catalog.Monthly, &r, c.cur)
		if money.Format(monthly, c.cur) != c.month || money.Format(due, c.cur) != c.monthly {
			t.Errorf("%s monthly: %d, %d, want %s, %s", c.cur, monthly, due, c.month, c.monthly)
		}
		monthly, due = p.FirstPeriod(catalog.Annual, &r, c.cur)
		if money.Format(monthly, c.cur) != c.month || money.Format(due, c.cur) != c.year {
			t.Errorf("%s annual: %d, %d, want %s, %s", c.cur, monthly, due, c.month, c.year)
		}
	}
}

func TestAYearIsNotRoundedBeforeItsConversion(t *testing.T) {
	t.Parallel()
	r, err := money.ParseRate("1.5")
	if err != nil {
		t.Fatal(err)
	}
	cent := catalog.Priced{Monthly: 1}
	// 9.6 cents at 1.5 are 14.4. If they were rounded to 10 before, they would be 15.
	if monthly, due := cent.FirstPeriod(catalog.Annual, &r, "USD"); monthly != 2 || due != 14 {
		t.Errorf("FirstPeriod = %d, %d, want 2, 14", monthly, due)
	}
}

func TestTheDearestItemAtTheHighestRateStillFits(t *testing.T) {
	t.Parallel()
	r, err := money.ParseRate("999999.999999")
	if err != nil {
		t.Fatal(err)
	}
	dearest := catalog.Priced{Monthly: 10_000_000_00}
	_, due := dearest.FirstPeriod(catalog.Annual, &r, "KWD")
	if got := money.Format(due, "KWD"); got != "95999999999904.000" {
		t.Errorf("due = %s, want 95999999999904.000", got)
	}
}

func TestPriceOfWhatCheckRefusesCarriesTheFaults(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, sel := range []catalog.Selection{
		{Product: "mainframe"},
		{Product: "vps", Plan: "core", Region: "lj-1", Cycle: catalog.Monthly},
	} {
		p, err := c.Price(sel)
		f := fault.Of(err)
		if f == nil || f.Kind != fault.KindInvalid {
			t.Fatalf("Price(%v) = %v, want a fault", sel, err)
		}
		if diff := cmp.Diff(c.Check(sel, ""), f.Violations); diff != "" || len(f.Violations) == 0 {
			t.Errorf("violations (-check +price):\n%s", diff)
		}
		if diff := cmp.Diff(catalog.Priced{}, p); diff != "" {
			t.Errorf("Price returned more than an error:\n%s", diff)
		}
	}
}

func TestSnapshotSurvivesJSON(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, product := range c.Products() {
		p, err := c.Price(product.Default)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var decoded catalog.Priced
		if err := json.Unmarshal(b, &decoded); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, decoded); diff != "" {
			t.Errorf("%s (-before +after):\n%s", product.ID, diff)
		}
		if strings.Contains(string(b), "Monthly") {
			t.Errorf("%s: a member has no JSON name: %s", product.ID, b)
		}
	}
}
