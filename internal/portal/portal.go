// Package portal serves the pages for customers and operators. They are rendered on the server, and every form
// works without scripts. A handler decodes a form, calls one use case and renders the answer; the use cases
// decide prices, rules and permissions. It must not know SQL, brokers or providers, and it calls no other adapter.
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

// DemoUser is a member that the sign-in page offers in dev mode, without a key.
type DemoUser struct {
	Tenant     tenant.ID
	TenantName string
	Member     tenant.MemberID
	Role       tenant.Role
	Email      string
}

// Config configures the pages. Now is required and must be the wall clock, because the deadlines of connections
// are computed from it. Every other field may be zero.
type Config struct {
	Dev   bool       // the sign-in page lists Users instead of asking for an API key
	Users []DemoUser // of dev mode
	// Secure says that browsers connect over https: cookies get the prefix __Host- and HSTS is sent.
	Secure bool
	// Simulated reports whether a product in a region is built by a simulated provider. account is the one that
	// the item began with, or "" for the one that new items are placed on. nil: nothing is simulated.
	Simulated func(product, region, account string) bool
	Wakes     app.OrderChanges // wakes the streams of an order; nil: streams only poll
	Refresh   time.Duration    // how often a stream polls; 0: one second
	Sessions  SessionStore     // nil: in memory, lost with the process
	MailURL   string           // of dev mode: where mails can be read
	RequestID func() string    // makes the id of a request, for its log lines and its error page; nil: none
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

// New returns the handler of all pages, to be mounted at "/". It panics when Now is missing, because that is a
// mistake in the wiring that shows at start.
func New(useCases UseCases, cfg Config) http.Handler {
	if cfg.Now == nil {
		panic("portal: Config.Now is required")
	}
	if cfg.Refresh <= 0 {
		cfg.Refresh = time.Second
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
	return p.common(all)
}

// quietRoutes read the session and never save it. They run at the same time as a page's own requests, and saving
// would overwrite what those have just written.
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
	page("GET /desk/dead-letters/{deadLetter}", app.ReadDesk, p.deadLetterPage)
	page("POST /desk/dead-letters/{deadLetter}", app.WorkDesk, p.redrive)
	page("POST /desk/dead-letters/{deadLetter}/adopt", app.WorkDesk, p.adopt)
	page("POST /desk/dead-letters/{deadLetter}/abandon", app.WorkDesk, p.abandon)
	page("POST /desk/dead-letters/{deadLetter}/withdraw", app.WorkDesk, p.withdraw)
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

// common wraps all routes: it sets the request id, the headers of the answer and the limit of the body. A panic
// is answered like any internal error, unless the answer has begun.
func (p *Portal) common(next http.Handler) http.Handler {
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
