package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/money"
)

type productView struct {
	ID              string          `json:"id" example:"vps"`
	Title           string          `json:"title"`
	Description     string          `json:"description"`
	CatalogVersion  int             `json:"catalog_version"`
	FormulaVersion  int             `json:"formula_version"`
	Plans           []planView      `json:"plans" nullable:"false"`
	Regions         []string        `json:"regions" nullable:"false"`
	BillingCycles   []string        `json:"billing_cycles" nullable:"false"`
	Schema          object          `json:"configuration_schema" doc:"The JSON Schema (2020-12) of an item's configuration, with hints for user interfaces under x-ui."`
	Prices          []unitPriceView `json:"prices" nullable:"false" doc:"Every unit price of the product."`
	From            amountView      `json:"from" doc:"The price of the cheapest configuration, per month."`
	Default         defaultsView    `json:"default" doc:"A selection that is valid as it is."`
	DeadlineMinutes int             `json:"deadline_minutes" doc:"How long provisioning may take. After that it is compensated and refunded."`
	Assumptions     []string        `json:"assumptions" nullable:"false"`
}

type planView struct {
	ID       string           `json:"id" example:"business"`
	Title    string           `json:"title"`
	Price    amountView       `json:"price"`
	Unit     string           `json:"unit" doc:"The unit that the price is for."`
	Included map[string]int64 `json:"included" doc:"What the plan includes, such as vcpu, ram_gb and disk_gb."`
}

type unitPriceView struct {
	Component string     `json:"component"`
	Title     string     `json:"title"`
	Choice    *string    `json:"choice" doc:"The plan or value that the price is for."`
	Unit      string     `json:"unit"`
	UnitPrice amountView `json:"unit_price"`
}

type defaultsView struct {
	Plan          *string `json:"plan"`
	Region        string  `json:"region"`
	BillingCycle  string  `json:"billing_cycle"`
	Configuration object  `json:"configuration"`
}

type catalogView struct {
	Data     []productView  `json:"data" nullable:"false"`
	Currency money.Currency `json:"currency" doc:"The currency of all these prices."`
	Tax      string         `json:"tax" enum:"net" doc:"Prices are net of tax."`
}

type quoteBody struct {
	Currency string        `json:"currency,omitempty" doc:"Your organisation's currency if it is not sent." pattern:"^[A-Z]{3}$"`
	Items    []newItemBody `json:"items" maxItems:"100" nullable:"false"`
}

type quoteView struct {
	Totals totalsView             `json:"totals"`
	Items  []priceView            `json:"items" nullable:"false" doc:"In the order of the request."`
	FX     *fxView                `json:"fx" doc:"The exchange rate that was used; null if the currency is EUR."`
	Faults []httpkit.ProblemFault `json:"faults" nullable:"false" doc:"All faults for which an order of these items would be refused."`
}

// TransformSchema documents the members that may be null.
func (*quoteView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "fx")
}

type quoteInput struct{ Body quoteBody }

type productInput struct {
	Product string `path:"product"`
}

type noInput struct{}

func (s *server) catalogRoutes() {
	const tag = "catalogue"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/catalog", ID: "get-catalog", Tag: tag, Summary: "Read the catalogue",
		Who:         "anyone with a key",
		Description: "The products, each with the JSON Schema of its configuration, its prices and its regions.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (*catalog.Catalog, error) {
		if err := s.maySeeCatalog(c); err != nil {
			return nil, err
		}
		return s.useCases.Catalog(ctx)
	}, func(_ app.Caller, cat *catalog.Catalog) reply[catalogView] {
		v := catalogView{Data: []productView{}, Currency: app.CatalogCurrency, Tax: "net"}
		for _, p := range cat.Products() {
			v.Data = append(v.Data, viewProduct(p))
		}
		return plain(v)
	})
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/catalog/{product}", ID: "get-product", Tag: tag, Summary: "Read a product",
		Who: "anyone with a key", Errors: []int{404},
		Description: "The product as the catalogue has it.",
	}, func(ctx context.Context, c app.Caller, in *productInput) (catalog.Product, error) {
		if err := s.maySeeCatalog(c); err != nil {
			return catalog.Product{}, err
		}
		cat, err := s.useCases.Catalog(ctx)
		if err != nil {
			return catalog.Product{}, err
		}
		p, ok := cat.Product(in.Product)
		if !ok {
			return p, fault.Absent()
		}
		return p, nil
	}, func(_ app.Caller, p catalog.Product) reply[productView] { return plain(viewProduct(p)) })
	serve(s, route{
		Method: http.MethodPost, Path: "/v1/quotes", ID: "quote", Tag: tag, Summary: "Get a quote",
		Who:         "anyone with a key except auditors",
		Description: "The prices and all faults of items. Nothing is stored, so it takes no Idempotency-Key.",
		Errors:      []int{413, 415},
	}, func(ctx context.Context, c app.Caller, in *quoteInput) (app.Quote, error) {
		return s.useCases.Quote(ctx, c, inputsOf(in.Body.Items), money.Currency(in.Body.Currency))
	}, showQuote)
}

// maySeeCatalog checks the permission to read the catalogue. Its use case takes no caller, because the catalogue is
// the same for all.
func (s *server) maySeeCatalog(c app.Caller) error {
	if s.useCases.May(c.Actor, app.SeeCatalog) {
		return nil
	}
	return fault.New(fault.KindForbidden, fault.CodeForbidden,
		"This needs the permission %s, which your role or key does not have.", app.SeeCatalog)
}

func showQuote(_ app.Caller, q app.Quote) reply[quoteView] {
	v := quoteView{
		Totals: totalsOf(q.Totals, q.Currency), Items: make([]priceView, len(q.Items)), FX: fxOf(q.FX),
		Faults: faultsOf(q.Faults),
	}
	for i, it := range q.Items {
		v.Items[i] = priceView{Lines: []lineView{}}
		if it.OK {
			v.Items[i] = priceOf(it.Lines, it.Monthly, it.Due, q.Currency)
		}
	}
	return plain(v)
}

func viewProduct(p catalog.Product) productView {
	v := productView{
		ID: p.ID, Title: p.Title, Description: p.Description, CatalogVersion: p.CatalogVersion,
		FormulaVersion: p.FormulaVersion,
		Plans:          make([]planView, len(p.Plans)), Regions: p.Regions, BillingCycles: make([]string, len(p.Cycles)),
		Schema: object(p.Schema),
		Prices: make([]unitPriceView, len(p.Prices)), From: amountOf(p.From, app.CatalogCurrency),
		DeadlineMinutes: int(p.Deadline / time.Minute), Assumptions: p.Assumptions,
		Default: defaultsView{
			Plan: orNull(p.Default.Plan), Region: p.Default.Region, BillingCycle: string(p.Default.Cycle),
			Configuration: object(p.Default.Configuration),
		},
	}
	for i, c := range p.Cycles {
		v.BillingCycles[i] = string(c)
	}
	for i, pl := range p.Plans {
		v.Plans[i] = planView{
			ID: pl.ID, Title: pl.Title, Price: amountOf(pl.Price, app.CatalogCurrency), Unit: pl.Unit, Included: pl.Included,
		}
	}
	for i, u := range p.Prices {
		v.Prices[i] = unitPriceView{
			Component: u.Component, Title: u.Title, Choice: orNull(u.Choice), Unit: u.Unit,
			UnitPrice: amountOf(u.UnitPrice, app.CatalogCurrency),
		}
	}
	return v
}
