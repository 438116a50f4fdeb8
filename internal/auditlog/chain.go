package auditlog

import (
	"fmt"
	"slices"

	"github.com/platforma-cloud/orders/internal/tenant"
)

// Head is how far a tenant's chain has come. Whoever keeps one outside the database can tell later
// whether the chain was rewritten below it. N 0 is an empty chain.
type Head struct {
	Tenant tenant.ID `json:"tenant_id"`
	N      int64     `json:"n"`
	Hash   Hash      `json:"hash"`
}

// Break is the first place at which a chain is not whole.
type Break struct {
	N     int64  `json:"n"`
	Order string `json:"order_id,omitempty"` // of the link found there
	Seq   int    `json:"seq,omitempty"`
	What  string `json:"what"`
}

// String is the break in a line.
func (b Break) String() string {
	if b.Order == "" {
		return fmt.Sprintf("n %d: %s", b.N, b.What)
	}
	return fmt.Sprintf("n %d (order %s, seq %d): %s", b.N, b.Order, b.Seq, b.What)
}

// Chain is what was found of one tenant's chain.
type Chain struct {
	Head   Head   `json:"head"` // of the part that is whole
	Broken *Break `json:"broken,omitempty"`
}

// Verifier checks chains, one tenant after the other, each from its first link on.
type Verifier struct {
	chains []Chain
	wanted []wanted
}

// wanted is a head that was printed earlier.
type wanted struct {
	head Head
	met  bool
}

// NewVerifier makes a verifier that also looks for heads which were printed earlier. Of those only tenant
// and hash count.
func NewVerifier(earlier ...Head) *Verifier {
	v := &Verifier{}
	for _, h := range earlier {
		v.wanted = append(v.wanted, wanted{head: h, met: h.Hash.IsZero()}) // every chain was empty once
	}
	return v
}

// Begin starts a tenant's chain, so that an empty one is reported too. Add does it by itself.
func (v *Verifier) Begin(t tenant.ID) { v.chains = append(v.chains, Chain{Head: Head{Tenant: t}}) }

// Add checks the next link. It reports whether the chain is whole so far: of a broken one the links behind
// the first break say nothing and are passed over.
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
	for i := range v.wanted {
		w := &v.wanted[i]
		w.met = w.met || w.head.Tenant == entry.Tenant && w.head.Hash == entry.Hash
	}
	return true
}

// wrong says what keeps a link from being the chain's next one, and at which n.
func (c *Chain) wrong(entry Entry) (what string, n int64) {
	due := c.Head.N + 1
	switch {
	case entry.N > due:
		return fmt.Sprintf("the row is missing; the next one there is n %d", entry.N), due
	case entry.N < due:
		return fmt.Sprintf("the row stands where n %d is due", due), entry.N
	case entry.Sum() != entry.Hash:
		return fmt.Sprintf("the row was changed: its fields give hash %s, its hash is %s", entry.Sum(), entry.Hash), entry.N
	case entry.PrevHash != c.Head.Hash:
		return fmt.Sprintf("the row before it was replaced: its hash is %s, this row continues %s",
			c.Head.Hash, entry.PrevHash), entry.N
	}
	return "", 0
}

// Chains are the chains as they were found, in the order in which they came. A head that was asked for
// and not met breaks its chain, also when the tenant has no link at all.
func (v *Verifier) Chains() []Chain {
	all := slices.Clone(v.chains)
	for _, w := range v.wanted {
		h := w.head
		if w.met {
			continue
		}
		at := slices.IndexFunc(all, func(c Chain) bool { return c.Head.Tenant == h.Tenant })
		if at < 0 {
			all, at = append(all, Chain{Head: Head{Tenant: h.Tenant}}), len(all)
		}
		if all[at].Broken == nil {
			all[at].Broken = &Break{
				N:    all[at].Head.N,
				What: fmt.Sprintf("the chain never had the head %s: it was rewritten or cut off since that was printed", h.Hash),
			}
		}
	}
	return all
}

// Whole reports whether every chain is.
func Whole(chains []Chain) bool {
	return !slices.ContainsFunc(chains, func(c Chain) bool { return c.Broken != nil })
}
