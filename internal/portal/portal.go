// Package portal is what people see: pages for customers and operators, rendered on the server and
// whole without any script. It decodes a form, asks one verb and draws the answer; prices, rules and
// permissions are the verbs' matter. It must not know SQL, brokers or providers, and it calls no
// other adapter.
package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Verbs is the part of the application that pages need. *app.App is one.
type Verbs interface {
	Authenticate(ctx context.Context, key string) (tenant.Actor, error)
	Me(ctx context.Context, c app.Caller) (app.Member, error)
	May(actor tenant.Actor, p app.Permission) bool
	Brand(ctx context.Context, c app.Caller) (app.Settings, error)
	Settings(ctx context.Context, c app.Caller) (app.Settings, error)
	PutSettings(ctx context.Context, c app.Caller, s app.Settings, pre app.Precondition) (app.Settings, error)

	Catalog(ctx context.Context) (*catalog.Catalog, error)
	Quote(ctx context.Context, c app.Caller, items []app.ItemInput, cur money.Currency) (app.Quote, error)
	CreateOrder(ctx context.Context, c app.Caller, in app.CreateOrder) (*app.Dossier, error)
	EditOrder(ctx context.Context, c app.Caller, in app.EditOrder) (*app.Dossier, error)
	SubmitOrder(ctx context.Context, c app.Caller, in app.SubmitOrder) (*app.Dossier, error)
	ConfirmPayment(ctx context.Context, c app.Caller, in app.ConfirmPayment) (*app.Dossier, error)
	RevertPayment(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	CancelOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	RestoreOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	HoldOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	ReleaseOrder(ctx context.Context, c app.Caller, in app.Reasoned) (*app.Dossier, error)
	Redeliver(ctx context.Context, c app.Caller, in app.Redeliver) (*app.Dossier, error)
	ShowPassphrase(ctx context.Context, c app.Caller, o order.ID, d id.Of[app.Delivery]) (string, error)

	Order(ctx context.Context, c app.Caller, o order.ID) (*app.Dossier, error)
	Orders(ctx context.Context, c app.Caller, f app.OrderFilter) (app.Page[*app.Dossier], error)
	OrderEvents(ctx context.Context, c app.Caller, o order.ID, after, limit int) ([]event.Record, error)
	Saga(ctx context.Context, c app.Caller, o order.ID) (app.SagaRecord, error)
	Deliveries(ctx context.Context, c app.Caller, o order.ID) ([]app.Delivery, error)
	AllowedActions(c app.Caller, d *app.Dossier) []order.Action

	DeadLetters(ctx context.Context, c app.Caller, f app.DeadLetterFilter) (app.Page[app.DeadLetter], error)
	DeadLetter(ctx context.Context, c app.Caller, d id.Of[app.DeadLetter]) (app.LetterDetail, error)
	LetterGroups(ctx context.Context, c app.Caller, f app.DeadLetterFilter) ([]app.LetterGroup, error)
	RedriveDeadLetters(ctx context.Context, c app.Caller, in app.RedriveLetters) (app.RedriveReport, error)
	AdoptDeadLetter(ctx context.Context, c app.Caller, in app.AdoptLetter) (app.DeadLetter, error)
	AbandonDeadLetter(ctx context.Context, c app.Caller, in app.AbandonLetter) (app.DeadLetter, error)
	WithdrawAbandonment(ctx context.Context, c app.Caller, d id.Of[app.DeadLetter]) (app.DeadLetter, error)
	RedriveDeadLetter(ctx context.Context, c app.Caller, d id.Of[app.DeadLetter], reason string) (app.DeadLetter, error)
	WorkItems(ctx context.Context, c app.Caller, cursor string, limit int) (app.Page[app.WorkItem], error)
	FinishWorkItem(ctx context.Context, c app.Caller, r order.RefundID, o order.ID, reason string) (*app.Dossier, error)
	OrderStats(ctx context.Context, c app.Caller) (app.OrderStats, error)
	Routing(ctx context.Context, c app.Caller) (app.Routing, error)

	DeliveryKey(ctx context.Context, c app.Caller) (*app.KeyInfo, error)
	PutDeliveryKey(ctx context.Context, c app.Caller, armored []byte) (*app.KeyInfo, error)

	AddEndpoint(ctx context.Context, c app.Caller, in app.AddEndpoint) (app.IssuedSecret, error)
	EditEndpoint(ctx context.Context, c app.Caller, in app.EditEndpoint) (app.Endpoint, error)
	DeleteEndpoint(ctx context.Context, c app.Caller, e app.EndpointID, p app.Precondition) (app.Endpoint, error)
	RotateSecret(ctx context.Context, c app.Caller, in app.RotateSecret) (app.IssuedSecret, error)
	Endpoints(ctx context.Context, c app.Caller) ([]app.Endpoint, error)
	Endpoint(ctx context.Context, c app.Caller, e app.EndpointID) (app.Endpoint, error)
	Postings(ctx context.Context, c app.Caller, e app.EndpointID, f app.PostingFilter) (app.Page[app.Posting], error)
	Posting(ctx context.Context, c app.Caller, e app.EndpointID, p app.PostingID) (app.Posting, error)
	ReplayPosting(ctx context.Context, c app.Caller, e app.EndpointID, p app.PostingID) (app.Posting, error)
}

// Wakes tells a stream that something about an order changed. Missing a wake-up costs a poll.
type Wakes interface {
	Subscribe(t tenant.ID, o order.ID) (<-chan struct{}, func())
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
	Wakes     Wakes         // nil: streams poll alone
	Refresh   time.Duration // the longest time a stream goes without reading; 0: one second
	Sessions  SessionStore  // nil: in memory, gone with the process
	MailURL   string        // of dev: where mails can be read
	RequestID func() string // numbers a request, for its log lines and its error page; nil: none
	Now       func() time.Time
	Log       *slog.Logger
}

// Portal serves the pages. Make one with New.
type Portal struct {
	verbs    Verbs
	cfg      Config
	sessions *scs.SessionManager
	assets   *assets
	gate     *gate

	mu     sync.Mutex // guards brands
	brands map[tenant.ID]cachedBrand
}

// New makes the handler of all pages, to be mounted at "/". It panics when Now is missing: a fault
// of the wiring, seen at start.
func New(verbs Verbs, cfg Config) http.Handler {
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
	p := &Portal{verbs: verbs, cfg: cfg, assets: loadAssets(), gate: newGate(cfg.Now), brands: map[tenant.ID]cachedBrand{}}
	p.sessions = newSessions(cfg)
	p.sessions.ErrorFunc = func(w http.ResponseWriter, r *http.Request, err error) { p.fail(w, r, nil, err) }
	return p.handler()
}

func (p *Portal) handler() http.Handler {
	pages, quiet := http.NewServeMux(), http.NewServeMux()
	p.routes(pages, quiet)
	forgery := http.NewCrossOriginProtection()
	forgery.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.fail(w, r, nil, errForeignForm) }))

	all := http.NewServeMux()
	all.Handle("GET /static/", p.assets)
	for _, pattern := range quietRoutes {
		all.Handle(pattern, forgery.Handler(p.loadSession(quiet)))
	}
	all.Handle("/", forgery.Handler(p.sessions.LoadAndSave(pages)))
	return p.headers(all)
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
	page("GET /desk/letters", app.ReadDesk, p.lettersPage)
	page("POST /desk/letters", app.WorkDesk, p.redriveGroup)
	page("GET /desk/letters/{letter}", app.ReadDesk, p.letterPage)
	page("POST /desk/letters/{letter}", app.WorkDesk, p.redrive)
	page("POST /desk/letters/{letter}/adopt", app.WorkDesk, p.adopt)
	page("POST /desk/letters/{letter}/abandon", app.WorkDesk, p.abandon)
	page("POST /desk/letters/{letter}/withdraw", app.WorkDesk, p.withdraw)
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
	page("GET /settings/webhooks/{webhook}/deliveries/{delivery}", app.ReadWebhooks, p.postingPage)
	page("POST /settings/webhooks/{webhook}/deliveries/{delivery}/replay", app.WriteWebhooks, p.replayPosting)

	page("/", "", func(http.ResponseWriter, *http.Request, *visit) error { return errNoPage })
}

// policy allows what this origin serves and nothing else: no inline script or style, no frame, no
// other origin (security.md, 3).
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

func (p *Portal) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if p.cfg.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		r.Header.Del(requestID) // what a client calls itself is not what we log
		if p.cfg.RequestID != nil {
			r.Header.Set(requestID, p.cfg.RequestID())
			h.Set(requestID, r.Header.Get(requestID))
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		defer p.recovered(w, r)
		next.ServeHTTP(w, r)
	})
}

const requestID = "X-Request-Id"

// recovered answers a panic like any internal error: its value may hold anything, so only its type
// and the stack are logged.
func (p *Portal) recovered(w http.ResponseWriter, r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
		panic(value)
	}
	p.cfg.Log.ErrorContext(r.Context(), "portal panicked", "path", r.URL.Path, "type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
	p.fail(w, r, nil, errPanic)
}

var errPanic = errors.New("panic in a page")

// maxForm is the largest form taken: as a body of the API (security.md, 3).
const maxForm = 64 << 10
