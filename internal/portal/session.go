package portal

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// How long a session lasts: without a request, in all, and as a fresh sign-in.
const (
	idleFor  = 30 * time.Minute
	liveFor  = 12 * time.Hour
	freshFor = 5 * time.Minute // for payments, keys and passphrases
)

// SessionStore keeps sessions by the SHA-256 of their token. Find reports false for an unknown or expired one.
type SessionStore interface {
	Find(token string) (data []byte, found bool, err error)
	Commit(token string, data []byte, expiry time.Time) error
	Delete(token string) error
}

// memorySessions is the store of a single process. Each commit also deletes the expired rows.
type memorySessions struct {
	now func() time.Time

	mu   sync.Mutex // guards rows
	rows map[string]sessionRow
}

type sessionRow struct {
	data   []byte
	expiry time.Time
}

// NewMemorySessions returns a store that keeps sessions in memory. They are lost when the process ends.
func NewMemorySessions(now func() time.Time) SessionStore {
	return &memorySessions{now: now, rows: map[string]sessionRow{}}
}

// Find returns a session that has not expired.
func (m *memorySessions) Find(token string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.rows[token]
	if !ok || m.now().After(row.expiry) {
		return nil, false, nil
	}
	return row.data, true, nil
}

// Commit stores a session and deletes the expired ones.
func (m *memorySessions) Commit(token string, data []byte, expiry time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t, row := range m.rows {
		if m.now().After(row.expiry) {
			delete(m.rows, t)
		}
	}
	m.rows[token] = sessionRow{data: data, expiry: expiry}
	return nil
}

// Delete removes a session.
func (m *memorySessions) Delete(token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, token)
	return nil
}

func newSessions(cfg Config) *scs.SessionManager {
	s := scs.New()
	s.Store = cfg.Sessions
	s.HashTokenInStore = true
	s.IdleTimeout, s.Lifetime = idleFor, liveFor
	s.Cookie.Name = "platforma"
	s.Cookie.Persist = false
	s.Cookie.HttpOnly, s.Cookie.SameSite = true, http.SameSiteLaxMode
	if cfg.Secure {
		s.Cookie.Name, s.Cookie.Secure = "__Host-platforma", true
	}
	return s
}

// The members of a session.
const (
	keyTenant = "tenant"
	keyMember = "member"
	keyRole   = "role"
	keyScopes = "scopes"
	keySince  = "since" // of the last sign-in, in Unix seconds
	keyFlash  = "flash" // a sentence for the next page
	keyCart   = "cart"  // the draft that "add to cart" fills
	keyCount  = "count" // number of the cart's items, for the badge
)

// session is one request of a signed-in person.
type session struct {
	app.Caller
	me    app.Member
	brand app.Settings
	since time.Time
	now   time.Time
}

// openSession opens a session for an actor. It renews the token, so that a token that was planted before is useless.
func (p *Portal) openSession(r *http.Request, a tenant.Actor) error {
	ctx := r.Context()
	if err := p.sessions.RenewToken(ctx); err != nil {
		return err
	}
	p.sessions.Put(ctx, keyTenant, a.Tenant.String())
	p.sessions.Put(ctx, keyMember, a.Member.String())
	p.sessions.Put(ctx, keyRole, int(a.Role))
	p.sessions.Put(ctx, keyScopes, strings.Join(a.Scopes, " "))
	p.sessions.Put(ctx, keySince, p.cfg.Now().Unix())
	return nil
}

// visitor returns who the request's session belongs to; nil when nobody is signed in. It reads the member on
// every request, so that a revoked member or a changed role takes effect at once.
func (p *Portal) visitor(r *http.Request) (*session, error) {
	ctx := r.Context()
	t, err := id.Parse[tenant.Tenant](p.sessions.GetString(ctx, keyTenant))
	if err != nil {
		return nil, nil //nolint:nilerr // no tenant in the session means nobody is signed in
	}
	m, err := id.Parse[tenant.Member](p.sessions.GetString(ctx, keyMember))
	if err != nil {
		return nil, nil //nolint:nilerr // no member in the session means nobody is signed in
	}
	a := tenant.Actor{
		Tenant: t, Kind: tenant.KindMember, Member: m, Role: tenant.Role(p.sessions.GetInt(ctx, keyRole)),
		Scopes: strings.Fields(p.sessions.GetString(ctx, keyScopes)),
	}
	v := &session{Caller: app.Caller{Actor: a}, now: p.cfg.Now(), since: time.Unix(p.sessions.GetInt64(ctx, keySince), 0)}
	v.me, err = p.useCases.Me(ctx, v.Caller)
	if f := fault.Of(err); f != nil && (f.Kind == fault.KindNotFound || f.Kind == fault.KindUnauthenticated) {
		return nil, p.sessions.Destroy(ctx)
	}
	if err != nil {
		return nil, err
	}
	v.Role = v.me.Role
	v.brand, err = p.brandOf(ctx, v.Caller)
	return v, err
}

// fresh reports whether the person signed in within the last five minutes.
func (v *session) fresh() bool { return v.now.Sub(v.since) <= freshFor }

// flash shows a sentence on the next page.
func (p *Portal) flash(r *http.Request, sentence string) {
	p.sessions.Put(r.Context(), keyFlash, sentence)
}
