package portal

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/httpkit"
	"github.com/platforma-cloud/orders/internal/tenant"
)

func (p *Portal) home(w http.ResponseWriter, r *http.Request, v *session) error {
	if v.isCustomer() {
		return seeOther(w, r, "/catalog")
	}
	return seeOther(w, r, "/desk")
}

// signInView is the sign-in page: demo users in dev mode, else a form for an API key.
type signInView struct {
	Next    string
	Tenants []demoTenant
	Fault   string
	Again   bool // a signed-in person confirms that it is still them
}

type demoTenant struct {
	Name  string
	Users []DemoUser
}

func (p *Portal) signInView(next string) signInView {
	view := signInView{Next: localPath(next)}
	if !p.cfg.Dev {
		return view
	}
	for _, u := range p.cfg.Users {
		last := len(view.Tenants) - 1
		if last < 0 || view.Tenants[last].Name != u.TenantName {
			view.Tenants = append(view.Tenants, demoTenant{Name: u.TenantName})
			last++
		}
		view.Tenants[last].Users = append(view.Tenants[last].Users, u)
	}
	return view
}

func (p *Portal) signInPage(w http.ResponseWriter, r *http.Request) error {
	v, err := p.visitor(r)
	if err != nil {
		return err
	}
	return p.show(w, r, http.StatusOK, signInPage(p.pageLayout(r, v, "", "Sign in"), p.signInView(r.FormValue("next"))))
}

// signIn opens a session for the holder of an API key, or in dev mode for a demo user.
func (p *Portal) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	actor, err := p.identify(r)
	if err != nil {
		return p.signInRefused(w, r, nil, err)
	}
	if err := p.sessions.Destroy(r.Context()); err != nil { // nothing of an earlier visitor's session may remain
		return err
	}
	if err := p.openSession(r, actor); err != nil {
		return err
	}
	return seeOther(w, r, localPath(r.PostForm.Get("next")))
}

// identify returns who sent the form. A wrong key counts against the client's address.
func (p *Portal) identify(r *http.Request) (tenant.Actor, error) {
	addr, now := httpkit.ClientAddress(r), p.cfg.Now()
	if wait := p.signIns.Wait(addr, now); wait > 0 {
		e := fault.New(fault.KindTooMany, "too-many-sign-ins",
			"Too many attempts failed within a minute. Wait a minute, then try again.")
		e.After = wait
		return tenant.Actor{}, e
	}
	if user := r.PostForm.Get("user"); p.cfg.Dev && user != "" {
		for _, u := range p.cfg.Users {
			if u.Member.String() == user {
				return tenant.Actor{Tenant: u.Tenant, Kind: tenant.KindMember, Member: u.Member, Role: u.Role}, nil
			}
		}
	}
	key := strings.TrimSpace(r.PostForm.Get("key"))
	if key == "" {
		p.signIns.Fail(addr, now)
		return tenant.Actor{}, errUnknownKey
	}
	actor, err := p.useCases.Authenticate(r.Context(), key)
	if f := fault.Of(err); f != nil && f.Kind == fault.KindUnauthenticated {
		p.signIns.Fail(addr, now)
		return tenant.Actor{}, errUnknownKey
	}
	return actor, err
}

// errUnknownKey is the same answer for every key that is not accepted.
var errUnknownKey = fault.New(fault.KindUnauthenticated, "unknown-key",
	"This key is not accepted: it is mistyped, expired or revoked.")

func (p *Portal) signInRefused(w http.ResponseWriter, r *http.Request, v *session, err error) error {
	f := fault.Of(err)
	if f == nil || f.Kind != fault.KindUnauthenticated {
		return err
	}
	view := p.signInView(r.PostForm.Get("next"))
	view.Fault, view.Again = f.Detail, v != nil
	if v != nil {
		view.Tenants = nil
	}
	return p.show(w, r, http.StatusUnauthorized, signInPage(p.pageLayout(r, v, "", "Sign in"), view))
}

func (p *Portal) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := p.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	return seeOther(w, r, "/sign-in")
}

// requireFresh asks a person whose sign-in is older than five minutes to sign in again. It reports whether it did.
func (p *Portal) requireFresh(w http.ResponseWriter, r *http.Request, v *session, back string) bool {
	if v.fresh() {
		return false
	}
	http.Redirect(w, r, "/sign-in/again?next="+url.QueryEscape(back), http.StatusSeeOther)
	return true
}

func (p *Portal) signInAgainPage(w http.ResponseWriter, r *http.Request, v *session) error {
	view := p.againView(v, r.FormValue("next"))
	return p.show(w, r, http.StatusOK, signInPage(p.pageLayout(r, v, "", "Is it still you?"), view))
}

// againView is the sign-in page for a person who is signed in already. In dev mode it offers only their own user.
func (p *Portal) againView(v *session, next string) signInView {
	view := signInView{Next: localPath(next), Again: true}
	if !p.cfg.Dev {
		return view
	}
	for _, u := range p.cfg.Users {
		if u.Member == v.Member {
			view.Tenants = []demoTenant{{Name: u.TenantName, Users: []DemoUser{u}}}
		}
	}
	return view
}

func (p *Portal) signInAgain(w http.ResponseWriter, r *http.Request, v *session) error {
	if err := r.ParseForm(); err != nil {
		return unreadable(err)
	}
	actor, err := p.identify(r)
	if err == nil && (actor.Member != v.Member || actor.Tenant != v.Tenant) {
		err = errUnknownKey
	}
	if err != nil {
		return p.signInRefused(w, r, v, err)
	}
	if err := p.openSession(r, actor); err != nil {
		return err
	}
	return seeOther(w, r, localPath(r.PostForm.Get("next")))
}

// unreadable returns the fault for a form that could not be parsed. It wraps err, from which the error page
// recognises a form that is too large.
func unreadable(err error) error {
	return &faultWithCause{fault.New(fault.KindMalformed, "unreadable-form", "The form could not be read."), err}
}

// faultWithCause holds the fault that a person sees and the error that caused it.
type faultWithCause struct {
	fault *fault.Error
	cause error
}

// Error returns the text of the cause.
func (f *faultWithCause) Error() string { return f.cause.Error() }

// Unwrap returns both.
func (f *faultWithCause) Unwrap() []error { return []error{f.cause, f.fault} }
