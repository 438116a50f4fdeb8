package portal

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// pageFunc serves a page to a signed-in person.
type pageFunc func(w http.ResponseWriter, r *http.Request, v *session) error

// open serves a page to anybody.
func (p *Portal) open(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			p.fail(w, r, nil, err)
		}
	})
}

// signedIn serves a page to a person who has a permission. "" requires only a sign-in.
func (p *Portal) signedIn(need app.Permission, h pageFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := p.visitor(r)
		if err != nil {
			p.fail(w, r, nil, err)
			return
		}
		if v == nil {
			p.askToSignIn(w, r)
			return
		}
		if need != "" && !p.useCases.May(v.Actor, need) {
			p.fail(w, r, v, errNotAllowed)
			return
		}
		if err := h(w, r, v); err != nil {
			p.fail(w, r, v, err)
		}
	})
}

func (p *Portal) askToSignIn(w http.ResponseWriter, r *http.Request) {
	to := "/sign-in"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("Hx-Request") == "true" { // htmx would swap the sign-in page into a fragment
		w.Header().Set("Hx-Redirect", "/sign-in")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// pageLayout is what every page shows around its content.
type pageLayout struct {
	Title string
	Here  string   // id of the current entry of the navigation
	Visit *session // nil: nobody is signed in
	Name  string   // the tenant's name, or ours
	Flash string
	Cart  int
	Dev   bool
	Mail  string
	Nav   []navEntry
	Files fileNames
}

type navEntry struct{ ID, Text, Href string }

func (p *Portal) pageLayout(r *http.Request, v *session, here, title string) pageLayout {
	c := pageLayout{Title: title, Here: here, Visit: v, Name: "Platforma", Dev: p.cfg.Dev, Files: p.assets.names}
	if v == nil {
		return c
	}
	ctx := r.Context()
	c.Flash = p.sessions.PopString(ctx, keyFlash)
	c.Cart = p.sessions.GetInt(ctx, keyCount)
	if v.brand.Name != "" {
		c.Name = v.brand.Name
	}
	if p.cfg.Dev {
		c.Mail = p.cfg.MailURL
	}
	may := func(need app.Permission) bool { return p.useCases.May(v.Actor, need) }
	if may(app.SeeCatalog) {
		c.Nav = append(c.Nav, navEntry{"catalog", "Catalogue", "/catalog"})
	}
	if may(app.WriteOrders) {
		c.Nav = append(c.Nav, navEntry{"cart", "Cart", "/cart"})
	}
	if may(app.ReadOrders) {
		c.Nav = append(c.Nav, navEntry{"orders", "Orders", "/orders"})
	}
	if may(app.ReadDesk) {
		c.Nav = append(c.Nav, navEntry{"desk", "Desk", "/desk"})
	}
	if may(app.ReadSettings) {
		c.Nav = append(c.Nav, navEntry{"settings", "Settings", "/settings"})
	}
	return c
}

// show renders a page. It sets the content type, because Go's content sniffing takes a fragment that starts with
// <progress> for text/plain.
func (p *Portal) show(w http.ResponseWriter, r *http.Request, status int, page templ.Component) error {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		return fmt.Errorf("render %s: %w", r.URL.Path, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// Faults that only the portal reports.
var (
	errForeignForm = fault.New(fault.KindForbidden, "foreign-form",
		"This form was sent from another site. Nothing was changed. Open the page here and send it again.")
	errNotAllowed = fault.New(fault.KindForbidden, fault.CodeForbidden,
		"Your role does not include this. Nothing was changed. Ask an admin of your organisation if you need it.")
	errNoPage = fault.New(fault.KindNotFound, fault.CodeNotFound,
		"There is no such page, or it belongs to somebody else.")
)

// errorPage is a fault as a page shows it.
type errorPage struct {
	Status  int
	Title   string
	Detail  string
	Next    string // what the person can do
	Back    string // path of the button
	BackTo  string // text of the button
	Faults  []fault.Violation
	Request string
}

var errorTitles = map[int]string{
	400: "That could not be read", 401: "Please sign in", 403: "This is not yours to do", 404: "Nothing here",
	409: "The order has changed", 412: "The order has changed",
	413: "That is too large", 422: "That cannot be done as asked",
	428: "That could not be read", 429: "Too often", 500: "Our fault", 503: "Not right now",
}

var errorNext = map[int]string{
	400: "Nothing was changed. Go back and try again.",
	401: "Your session has ended or the key is not known.",
	403: "",
	404: "Check the address, or start from your orders.",
	409: "Nothing was changed by this request. Look at the order as it is now, then decide.",
	412: "Nothing was changed by this request. Look at the order as it is now, then decide.",
	413: "Nothing was changed. Send less.",
	422: "Nothing was changed. Correct it and send it again.",
	428: "Nothing was changed. Go back and try again.",
	429: "Nothing was changed. Wait a little, then try again.",
	500: "We do not know whether your change was made: look at the order before you repeat it. The fault was logged.",
	503: "Nothing was changed as far as we know. Try again in a few seconds.",
}

// fail answers an error with an error page. For an internal error the page shows only the request id.
func (p *Portal) fail(w http.ResponseWriter, r *http.Request, v *session, err error) {
	e := p.errorPageOf(r, err)
	if e.Status >= http.StatusInternalServerError {
		p.cfg.Log.ErrorContext(r.Context(), "portal page failed", "path", r.URL.Path, "request_id", e.Request, "error", err)
	}
	if f := fault.Of(err); f != nil {
		if seconds := httpkit.RetryAfter(f); seconds > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
	}
	if err := p.show(w, r, e.Status, problemPage(p.pageLayoutOfError(r, v, e), e)); err != nil {
		p.cfg.Log.ErrorContext(r.Context(), "portal could not answer", "path", r.URL.Path, "error", err)
	}
}

func (p *Portal) pageLayoutOfError(r *http.Request, v *session, e errorPage) pageLayout {
	if v == nil { // the session may not be loaded yet
		return pageLayout{Title: e.Title, Name: "Platforma", Dev: p.cfg.Dev, Files: p.assets.names}
	}
	return p.pageLayout(r, v, "", e.Title)
}

func (p *Portal) errorPageOf(r *http.Request, err error) errorPage {
	e := errorPage{
		Status: http.StatusInternalServerError, Request: httpkit.RequestID(r.Context()), Back: "/", BackTo: "Start page",
	}
	if f := fault.Of(err); f != nil {
		e.Status, e.Detail, e.Faults = httpkit.Status(f.Kind), f.Detail, f.Violations
		if len(f.Violations) > 0 {
			e.Detail = ""
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		e.Status, e.Detail = http.StatusRequestEntityTooLarge, fmt.Sprintf("At most %d KiB are accepted.", large.Limit>>10)
	}
	e.Title, e.Next = errorTitles[e.Status], errorNext[e.Status]
	if o := r.PathValue("order"); o != "" && e.Status != http.StatusNotFound {
		e.Back, e.BackTo = "/orders/"+o, "To the order"
	}
	return e
}

// localPath keeps a redirect on this site: it returns the path, or the start page when to is anything else.
func localPath(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

// seeOther redirects the browser after a form was handled.
func seeOther(w http.ResponseWriter, r *http.Request, to string) error {
	//nolint:gosec // every caller passes a fixed path, or one that localPath has checked
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (v *session) isCustomer() bool { return v.Role == tenant.Customer }

// htmxConfig turns off what the content security policy forbids anyway, and keeps no copy of a page in the
// browser's storage.
const htmxConfig = `{"allowEval":false,"includeIndicatorStyles":false,"allowScriptTags":false,` +
	`"historyCacheSize":0,"refreshOnHistoryMiss":true,"selfRequestsOnly":true,"timeout":10000}`

// current marks a link or a step as the one that the page is about.
func current(here bool, what string) templ.Attributes {
	if !here {
		return nil
	}
	return templ.Attributes{"aria-current": what}
}

func signInAction(v signInView) string {
	if v.Again {
		return "/sign-in/again"
	}
	return "/sign-in"
}
