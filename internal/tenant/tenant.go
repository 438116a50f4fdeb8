// Package tenant holds who is asking: an organisation, one of its members, and the member's role.
// It knows nothing of passwords, keys or databases.
package tenant

import "github.com/platforma-cloud/orders/internal/id"

// ID names an organisation: the wall around every row, event, cache entry and stream (D24).
type ID = id.Of[Tenant]

// MemberID names a person or program of a tenant.
type MemberID = id.Of[Member]

// Tenant and Member only give their ids a type of their own.
type (
	Tenant struct{}
	Member struct{}
)

// Role is what a member may do. Customer, operator and admin include the one before; an auditor
// reads everything of the tenant and writes nothing (D24). The numbers are stored.
type Role uint8

// The roles.
const (
	Customer Role = 1
	Operator Role = 2
	Admin    Role = 3
	Auditor  Role = 4
)

var roleNames = map[Role]string{Customer: "customer", Operator: "operator", Admin: "admin", Auditor: "auditor"}

// Roles lists all four, weakest first.
func Roles() []Role { return []Role{Customer, Operator, Admin, Auditor} }

// String is the name used in the API.
func (r Role) String() string { return roleNames[r] }

// ParseRole reads a role's name.
func ParseRole(s string) (Role, bool) {
	for r, n := range roleNames {
		if n == s {
			return r, true
		}
	}
	return 0, false
}

// Kind of an actor, as it stands in an event.
const (
	KindMember   = "member"   // a person or program of the tenant
	KindProvider = "provider" // a payment provider's signed webhook
	KindSystem   = "system"   // the module itself: a worker, an expiry
)

// Actor is who does something. Only the authentication layer makes one for a member.
type Actor struct {
	Tenant ID
	Kind   string   // KindMember, KindProvider or KindSystem
	Member MemberID // set for KindMember
	Role   Role     // set for KindMember
	Name   string   // for KindProvider and KindSystem: which one ("demo", "worker")
	Scopes []string // of an API key; empty: all that the role may
}

// System is the module acting by itself for a tenant, under a name such as "worker".
func System(t ID, name string) Actor { return Actor{Tenant: t, Kind: KindSystem, Name: name} }
