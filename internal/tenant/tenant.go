// Package tenant says who makes a request: a tenant, one of its members, and the member's role. It knows no
// passwords, no API keys and no database.
package tenant

import "github.com/platforma-cloud/orders/internal/id"

// ID identifies a tenant. Every row, event, cache entry and stream belongs to one (D24).
type ID = id.Of[Tenant]

// MemberID identifies a member of a tenant: a person or a program.
type MemberID = id.Of[Member]

// Tenant and Member give their ids distinct types. They have no other use.
type (
	Tenant struct{}
	Member struct{}
)

// Role says what a member may do. Customer, operator and admin each include the rights of the one before. An
// auditor reads everything of the tenant and writes nothing (D24). The numbers are stored in the database.
type Role uint8

// The roles.
const (
	Customer Role = 1
	Operator Role = 2
	Admin    Role = 3
	Auditor  Role = 4
)

var roleNames = map[Role]string{Customer: "customer", Operator: "operator", Admin: "admin", Auditor: "auditor"}

// Roles returns the four roles in the order of their numbers.
func Roles() []Role { return []Role{Customer, Operator, Admin, Auditor} }

// String returns the role's name as the API writes it.
func (r Role) String() string { return roleNames[r] }

// ParseRole returns the role of a name.
func ParseRole(s string) (Role, bool) {
	for r, n := range roleNames {
		if n == s {
			return r, true
		}
	}
	return 0, false
}

// The kinds of actor, as events have them.
const (
	KindMember   = "member"   // a person or program of the tenant
	KindProvider = "provider" // a payment provider's signed webhook
	KindSystem   = "system"   // the product itself, such as a worker or an expiry
)

// Actor is who carries out an action. Only the code that authenticates makes one of KindMember.
type Actor struct {
	Tenant ID
	Kind   string   // KindMember, KindProvider or KindSystem
	Member MemberID // set for KindMember
	Role   Role     // set for KindMember
	Name   string   // for KindProvider and KindSystem: its name, such as "demo" or "worker"
	Scopes []string // of the API key; none means everything that the role may do
}

// System returns the actor of what the product does by itself for a tenant, under a name such as "worker".
func System(t ID, name string) Actor { return Actor{Tenant: t, Kind: KindSystem, Name: name} }
