// Package portal is what people see: pages for customers and operators, rendered on the server and
// whole without any script. It decodes a form, calls one use case and draws the answer; prices, rules and
// permissions are decided by the use cases. It must not know SQL, brokers or providers, and it calls no
// other adapter.
package portal

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// UseCases are the facets of the application that the pages show. *app.App has them.
type UseCases interface {
	app.Access
	app.Orders
	app.Deliveries
	app.Payments
	app.Catalogue
	app.Operations
	app.Analytics
	app.Account
	app.Webhooks
}

// DemoUser is a member whom the sign-in page offers in dev, without any key.
type DemoUser struct {
	Tenant     tenant.ID
	TenantName string
	Member     tenant.MemberID
	Role       tenant.Role
	Email      string
}

// Config of the pages. Now is required, and is the wall clock: deadlines of connections are set by it.
// Everything else may be left zero.
type Config struct {
	Dev   bool       // the sign-in page lists Users; else it asks for an API key
	Users []DemoUser // of dev
	// Secure says that browsers come over https: cookies get the prefix __Host- and HSTS is sent.
	Secure bool
	// Methods are the payment methods offered at submit, the first by default; none: manual (D28).
	Methods []string
	// Simulated reports whether nothing real is built of a product in a region: by the account that an item
	// began with, or, where that is "", by where new items are placed. nil: everything is real.
	Simulated func(product, region, account string) bool
	Wakes     app.OrderChanges // nil: streams poll alone
	Refresh   time.Duration    // the longest time a stream goes without reading; 0: one second
	Sessions  SessionStore     // nil: in memory, gone with the process
	MailURL   string           // of dev: where mails can be read
	RequestID func() string    // numbers a request, for its log lines and its error page; nil: none
	Now       func() time.Time
	Log       *slog.Logger
}

// Portal serves the pages. Make one with New.
type Portal struct {
	useCases UseCases
	cfg      Config
	sessions *scs.SessionManager
	assets   *assets
	front    httpkit.Front
	signIns  *httpkit.Throttle

	mu     sync.Mutex // guards brands
	brands map[tenant.ID]cachedBrand
}

// New makes the handler of all pages, to be mounted at "/". It panics when Now is missing: a fault
// of the wiring, seen at start.
func New(useCases UseCases, cfg Config) http.Handler {
	if cfg.Now == nil {
		panic("portal: Config.Now is required")
	}
	if cfg.Refresh <= 0 {
		cfg.Refresh = time.Second
	}
	if len(cfg.Methods) == 0 {
		cfg.Methods = []string{"manual"}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Simulated == nil {
		cfg.Simulated = func(_, _, _ string) bool { return false }
	}
	if cfg.Sessions == nil {
		cfg.Sessions = NewMemorySessions(cfg.Now)
	}
	p := &Portal{
		useCases: useCases, cfg: cfg, assets: loadAssets(), brands: map[tenant.ID]cachedBrand{},
		front:   httpkit.Front{NewRequestID: cfg.RequestID, HTTPS: cfg.Secure},
		signIns: httpkit.NewThrottle(httpkit.DefaultLimits().FailedKeys), // a sign-in shows a key, as a call does
	}
	p.sessions = newSessions(cfg)
	p.sessions.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, r, nil, err) }
	return p.handler()
}

func (p *Portal) handler() http.Handler {
	pages, quiet := http.NewServeMux(), http.NewServeMux()
	p.routes(pages, quiet)
	forgery := http.NewCrossOriginProtection()
	forgery.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, nil, errForeignForm)
	}))

	all := http.NewServeMux()
	all.Handle("GET /static/", p.assets)
	for _, pattern := range quietRoutes {
		all.Handle(pattern, forgery.Handler(p.loadSession(quiet)))
	}
	all.Handle("/", forgery.Handler(p.sessions.LoadAndSave(pages)))
	return p.first(all)
}

// quietRoutes read the session and never write it: they run beside a page's own requests, and saving
// would undo what those have just put there.
var quietRoutes = []string{"GET /brand.css", "POST /catalog/{product}/quote", "GET /orders/{order}/stream"}

func (p *Portal) loadSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ""
		if c, err := r.Cookie(p.sessions.Cookie.Name); err == nil {
			token = c.Value
		}
		ctx, err := p.sessions.Load(r.Context(), token)
		if err != nil {
			p.fail(w, r, nil, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (p *Portal) routes(mux, quiet *http.ServeMux) {
	open := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle(pattern, p.open(h))
	}
	page := func(pattern string, need app.Permission, h pageFunc) { mux.Handle(pattern, p.signedIn(need, h)) }

	quiet.Handle("GET /brand.css", p.open(p.brandSheet))
	quiet.Handle("POST /catalog/{product}/quote", p.signedIn(app.AskQuote, p.quote))
	quiet.Handle("GET /orders/{order}/stream", p.signedIn(app.ReadOrders, p.stream))

	open("GET /sign-in", p.signInPage)
	open("POST /sign-in", p.signIn)
	open("POST /sign-out", p.signOut)
	page("GET /sign-in/again", "", p.signInAgainPage)
	page("POST /sign-in/again", "", p.signInAgain)

	page("GET /{$}", "", p.home)
	page("GET /catalog", app.SeeCatalog, p.catalogPage)
	page("GET /catalog/{product}", app.SeeCatalog, p.configurator)
	page("POST /catalog/{product}", app.WriteOrders, p.addToCart)

	page("GET /cart", app.WriteOrders, p.currentCart)
	page("GET /orders/{order}/cart", app.WriteOrders, p.cartPage)
	page("POST /orders/{order}/cart", app.WriteOrders, p.changeCart)

	page("GET /orders", app.ReadOrders, p.ordersPage)
	page("GET /orders/{order}", app.ReadOrders, p.orderPage)
	page("GET /orders/{order}/saga", app.ReadSaga, p.sagaPage)
	page("GET /orders/{order}/do/{action}", app.ReadOrders, p.actionPage)
	page("POST /orders/{order}/do/{action}", app.ReadOrders, p.act)
	page("GET /orders/{order}/payment", app.ConfirmMoney, p.paymentPage)
	page("POST /orders/{order}/payment", app.ConfirmMoney, p.confirmPayment)
	page("POST /orders/{order}/items/{item}/redeliver", app.WriteOrders, p.redeliver)
	page("POST /orders/{order}/deliveries/{delivery}/passphrase", app.WriteOrders, p.passphrase)

	page("GET /desk", app.ReadDesk, p.deskPage)
	page("GET /desk/payments", app.ConfirmMoney, p.paymentsPage)
	page("GET /desk/refunds", app.ReadDesk, p.refundsPage)
	page("POST /desk/refunds/{refund}", app.WorkDesk, p.finishRefund)
	page("GET /desk/dead-letters", app.ReadDesk, p.deadLettersPage)
	page("POST /desk/dead-letters", app.WorkDesk, p.redriveGroup)
	page("GET /desk/dead-letters/{letter}", app.ReadDesk, p.deadLetterPage)
	page("POST /desk/dead-letters/{letter}", app.WorkDesk, p.redrive)
	page("POST /desk/dead-letters/{letter}/adopt", app.WorkDesk, p.adopt)
	page("POST /desk/dead-letters/{letter}/abandon", app.WorkDesk, p.abandon)
	page("POST /desk/dead-letters/{letter}/withdraw", app.WorkDesk, p.withdraw)
	page("GET /desk/figures", app.ReadAnalytics, p.figuresPage)
	page("GET /desk/routing", app.ReadRouting, p.routingPage)

	page("GET /account", "", p.accountPage)
	page("POST /account/key", app.OwnDeliveryKey, p.putKey)

	page("GET /settings", app.ReadSettings, p.settingsPage)
	page("POST /settings", app.WriteSettings, p.putSettings)
	page("GET /settings/webhooks", app.ReadWebhooks, p.webhooksPage)
	page("POST /settings/webhooks", app.WriteWebhooks, p.addWebhook)
	page("GET /settings/webhooks/{webhook}", app.ReadWebhooks, p.webhookPage)
	page("POST /settings/webhooks/{webhook}", app.WriteWebhooks, p.changeWebhook)
	page("GET /settings/webhooks/{webhook}/deliveries/{delivery}", app.ReadWebhooks, p.webhookDeliveryPage)
	page("POST /settings/webhooks/{webhook}/deliveries/{delivery}/replay", app.WriteWebhooks, p.replayWebhookDelivery)

	page("/", "", func(http.ResponseWriter, *http.Request, *session) error { return errNoPage })
}

// first is what every request passes before the routes: its id, the headers of its answer, the bound of its
// body. A panic is answered like any internal error, unless the answer was begun.
func (p *Portal) first(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, r := p.front.Begin(w, r)
		r.Body = http.MaxBytesReader(w, r.Body, httpkit.MaxBody)
		defer httpkit.Recover(func(cause httpkit.Panic) {
			attrs := append(cause.Attrs(), slog.String("path", r.URL.Path))
			p.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "portal panicked", attrs...)
			if out.Status() == 0 {
				p.fail(out, r, nil, errPanic)
			}
		})
		next.ServeHTTP(out, r)
	})
}

var errPanic = errors.New("panic in a page")
