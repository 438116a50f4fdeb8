// Package apptest implements the use cases in memory (Fake), for the tests of the facades. It uses the real catalogue,
// the real domain and the real permissions, and no database, queue or provider. Only tests import it.
package apptest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/catalog"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// useCases are all facets of the application.
type useCases interface {
	app.Access
	app.Orders
	app.Deliveries
	app.Payments
	app.PaymentWebhooks
	app.Catalogue
	app.Operations
	app.Analytics
	app.Account
	app.Webhooks
}

var _ useCases = (*Fake)(nil)

// Fake implements the use cases in memory. A test fills the memory (AddTenant, AddOrder, Change, …), scripts what a
// use case answers or how it fails (Answer, Break, Panic), and checks afterwards what was called (Called, Last). No
// workers run; instead, with a Pace, an order moves by one step per Pace, as without any fault. Create one with New.
// It may be used concurrently.
type Fake struct {
	Now  func() time.Time
	Pace time.Duration // 0: orders do not move by themselves

	cat    *catalog.Catalog
	rights *app.App // only for its permissions; it has no store
	ids    atomic.Uint64

	mu          sync.Mutex // guards everything below
	script      script
	members     map[tenant.MemberID]app.Member
	settings    map[tenant.ID]app.Settings
	keys        map[string]tenant.Actor
	pgp         map[tenant.MemberID]*app.KeyInfo
	orders      []*orderEntry // newest first
	passphrases map[id.Of[app.Delivery]]string
	deadLetters []app.DeadLetterDetail
	work        []app.WorkItem
	endpoints   []*endpointEntry
}

// New returns a Fake with the built-in catalogue and nothing else.
func New(now func() time.Time) *Fake {
	cat, err := catalog.Load(catalog.Default(), now())
	if err != nil {
		panic(err)
	}
	return &Fake{
		Now: now, cat: cat, rights: &app.App{}, script: newScript(),
		members: map[tenant.MemberID]app.Member{}, settings: map[tenant.ID]app.Settings{},
		keys: map[string]tenant.Actor{}, pgp: map[tenant.MemberID]*app.KeyInfo{},
		passphrases: map[id.Of[app.Delivery]]string{},
	}
}

// NewID returns a UUIDv7 that ends with a counter.
func (f *Fake) NewID() [16]byte {
	n := f.ids.Add(1)
	ms, u := f.Now().UnixMilli(), [16]byte{}
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	u[6], u[8] = 0x70, 0x80
	for i := range 8 {
		u[15-i] |= byte(n >> (8 * i))
	}
	return u
}

// AddKey assigns an API key to an actor, instead of the one that had it before.
func (f *Fake) AddKey(key string, a tenant.Actor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[key] = a
}

// RevokeKey removes an API key.
func (f *Fake) RevokeKey(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.keys, key)
}

// Authenticate accepts the keys of AddKey and AddMember.
func (f *Fake) Authenticate(_ context.Context, bearer string) (tenant.Actor, error) {
	return answer(f, "Authenticate", func() (tenant.Actor, error) {
		a, known := f.keys[bearer]
		if !known {
			return a, fault.New(fault.KindUnauthenticated, "unauthenticated", "No such key, or it expired at some time.")
		}
		return a, nil
	})
}

// May uses the real permissions.
func (f *Fake) May(a tenant.Actor, p app.Permission) bool {
	may, _ := answer(f, "May", func() (bool, error) { return f.rights.May(a, p), nil })
	return may
}

// refuse returns a fault of KindForbidden when the caller does not have the permission.
func (f *Fake) refuse(c app.Caller, need app.Permission) error {
	if f.rights.May(c.Actor, need) {
		return nil
	}
	return fault.New(fault.KindForbidden, fault.CodeForbidden, "This needs the permission %s.", need)
}
