package auditlog

import (
	"fmt"
	"slices"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// Head is the end of a tenant's chain at a time. A head that was kept outside the database proves later whether
// the chain was rewritten below it. N is 0 for an empty chain.
type Head struct {
	Tenant tenant.ID `json:"tenant_id"`
	N      int64     `json:"n"`
	Hash   Hash      `json:"hash"`
}

// Break is the first place at which a chain is not whole.
type Break struct {
	N     int64  `json:"n"`
	Order string `json:"order_id,omitempty"` // of the entry that was found there
	Seq   int    `json:"seq,omitempty"`
	What  string `json:"what"`
}

// String describes the break in one line.
func (b Break) String() string {
	if b.Order == "" {
		return fmt.Sprintf("n %d: %s", b.N, b.What)
	}
	return fmt.Sprintf("n %d (order %s, seq %d): %s", b.N, b.Order, b.Seq, b.What)
}

// Chain is the result of checking one tenant's chain.
type Chain struct {
	Head   Head   `json:"head"` // the last entry before the first break
	Broken *Break `json:"broken,omitempty"`
}

// Verifier checks chains, one tenant after the other, each from its first entry on.
type Verifier struct {
	chains  []Chain
	earlier []earlierHead
}

// earlierHead is a head that was printed earlier and has to be found in its chain.
type earlierHead struct {
	head  Head
	found bool
}

// NewVerifier makes a verifier that also looks for heads that were printed earlier. It reads only their tenant
// and hash.
func NewVerifier(earlier ...Head) *Verifier {
	v := &Verifier{}
	for _, h := range earlier {
		v.earlier = append(v.earlier, earlierHead{head: h, found: h.Hash.IsZero()}) // every chain was empty once
	}
	return v
}

// Begin starts a tenant's chain, so that an empty one is reported too. Add calls it for a tenant that is new.
func (v *Verifier) Begin(t tenant.ID) { v.chains = append(v.chains, Chain{Head: Head{Tenant: t}}) }

// Add checks the next entry and reports whether its chain is whole so far. It ignores the entries after a
// chain's first break, because they prove nothing.
func (v *Verifier) Add(entry Entry) bool {
	if len(v.chains) == 0 || v.chains[len(v.chains)-1].Head.Tenant != entry.Tenant {
		v.Begin(entry.Tenant)
	}
	c := &v.chains[len(v.chains)-1]
	if c.Broken != nil {
		return false
	}
	if what, n := c.wrong(entry); what != "" {
		c.Broken = &Break{N: n, Order: entry.Order.String(), Seq: entry.Seq, What: what}
		return false
	}
	c.Head.N, c.Head.Hash = entry.N, entry.Hash
	for i := range v.earlier {
		e := &v.earlier[i]
		e.found = e.found || e.head.Tenant == entry.Tenant && e.head.Hash == entry.Hash
	}
	return true
}

// wrong returns why an entry cannot be the chain's next one, and the n of the break; "" when it can.
func (c *Chain) wrong(entry Entry) (what string, n int64) {
	due := c.Head.N + 1
	switch {
	case entry.N > due:
		return fmt.Sprintf("the row is missing; the next one there is n %d", entry.N), due
	case entry.N < due:
		return fmt.Sprintf("the row is where n %d is due", due), entry.N
	case entry.Sum() != entry.Hash:
		return fmt.Sprintf("the row was changed: its fields give hash %s, its hash is %s", entry.Sum(), entry.Hash), entry.N
	case entry.PrevHash != c.Head.Hash:
		return fmt.Sprintf("the row before it was replaced: its hash is %s, this row continues %s",
			c.Head.Hash, entry.PrevHash), entry.N
	}
	return "", 0
}

// Chains returns the result for each chain, in the order in which they were added. An earlier head that was not
// found breaks its chain, even when the tenant has no entry at all.
func (v *Verifier) Chains() []Chain {
	chains := slices.Clone(v.chains)
	for _, e := range v.earlier {
		h := e.head
		if e.found {
			continue
		}
		at := slices.IndexFunc(chains, func(c Chain) bool { return c.Head.Tenant == h.Tenant })
		if at < 0 {
			chains, at = append(chains, Chain{Head: Head{Tenant: h.Tenant}}), len(chains)
		}
		if chains[at].Broken == nil {
			chains[at].Broken = &Break{
				N:    chains[at].Head.N,
				What: fmt.Sprintf("the chain never had the head %s: it was rewritten or cut off since that was printed", h.Hash),
			}
		}
	}
	return chains
}

// Whole reports whether no chain is broken.
func Whole(chains []Chain) bool {
	return !slices.ContainsFunc(chains, func(c Chain) bool { return c.Broken != nil })
}
