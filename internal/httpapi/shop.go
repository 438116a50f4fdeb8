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
	Schema          object          `json:"configuration_schema" doc:"JSON Schema 2020-12 of an item's configuration, with x-ui hints."`
	Prices          []unitPriceView `json:"prices" nullable:"false" doc:"Every unit price there is."`
	From            amountView      `json:"from" doc:"Of the cheapest configuration, per month."`
	Default         defaultsView    `json:"default" doc:"A selection that is accepted as it stands."`
	DeadlineMinutes int             `json:"deadline_minutes" doc:"How long building it may take before it is given up and refunded."`
	Assumptions     []string        `json:"assumptions" nullable:"false"`
}

type planView struct {
	ID       string           `json:"id" example:"business"`
	Title    string           `json:"title"`
	Price    amountView       `json:"price"`
	Unit     string           `json:"unit" doc:"What the price is for."`
	Included map[string]int64 `json:"included" doc:"Such as vcpu, ram_gb, disk_gb."`
}

type unitPriceView struct {
	Component string     `json:"component"`
	Title     string     `json:"title"`
	Choice    *string    `json:"choice" doc:"Of which plan or value this is the price."`
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
	Currency money.Currency `json:"currency" doc:"Of every price here."`
	Tax      string         `json:"tax" enum:"net" doc:"Prices are net of tax."`
}

type quoteBody struct {
	Currency string        `json:"currency,omitempty" doc:"Your organisation's when not given." pattern:"^[A-Z]{3}$"`
	Items    []newItemBody `json:"items" maxItems:"100" nullable:"false"`
}

type quoteView struct {
	Totals totalsView             `json:"totals"`
	Items  []priceView            `json:"items" nullable:"false" doc:"In the order asked for."`
	FX     *fxView                `json:"fx" doc:"The exchange rate used; null when the currency is EUR."`
	Faults []httpkit.ProblemFault `json:"faults" nullable:"false" doc:"Everything that ordering this would be refused for."`
}

// TransformSchema documents what may be null.
func (*quoteView) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	return nullable(s, "fx")
}

type quoteInput struct{ Body quoteBody }

type productInput struct {
	Product string `path:"product"`
}

type noInput struct{}

func (s *server) shopRoutes() {
	const tag = "catalogue"
	serve(s, route{
		Method: http.MethodGet, Path: "/v1/catalog", ID: "get-catalog", Tag: tag, Summary: "What is sold",
		Who:         "anyone with a key",
		Description: "Products with the JSON Schema of their configuration, their prices and where they are sold.",
	}, func(ctx context.Context, c app.Caller, _ *noInput) (*catalog.Catalog, error) {
		if err := s.mayShop(c); err != nil {
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
		Method: http.MethodGet, Path: "/v1/catalog/{product}", ID: "get-product", Tag: tag, Summary: "One product",
		Who: "anyone with a key", Errors: []int{404},
		Description: "As it stands in the catalogue.",
	}, func(ctx context.Context, c app.Caller, in *productInput) (catalog.Product, error) {
		if err := s.mayShop(c); err != nil {
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
		Method: http.MethodPost, Path: "/v1/quotes", ID: "quote", Tag: tag, Summary: "What items would cost",
		Who:         "anyone with a key but auditors",
		Description: "Prices and faults of items, all at once; nothing is stored, so no Idempotency-Key is taken.",
		Errors:      []int{413, 415},
	}, func(ctx context.Context, c app.Caller, in *quoteInput) (app.Quote, error) {
		return s.useCases.Quote(ctx, c, inputsOf(in.Body.Items), money.Currency(in.Body.Currency))
	}, showQuote)
}

// mayShop guards the catalogue, whose use case takes no caller because it is the same for all.
func (s *server) mayShop(c app.Caller) error {
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
