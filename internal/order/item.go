package order

import (
	"encoding/json"
	"time"

	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/money"
)

// ItemID names an item.
type ItemID = id.Of[Item]

// Item is the unit of atomicity: it ends with its resources and its payment, or with neither (D1).
type Item struct {
	ID         ItemID
	Line       int // position in the order, from 1
	State      ItemState
	Label      string // the customer's own name for the item, may be empty
	Generation int    // in every provider key of the item; never resets (D8)
	Snapshot   Snapshot
	Price      money.Cents // first period, in the order's currency: the item's share of the amount due
	Progress   int         // percent; never falls while provisioning
	Detail     string      // what is being done, in words for the customer
}

// Snapshot is what was ordered and at which price. It is frozen at submit (D10).
type Snapshot struct {
	Product        string          `json:"product"`
	Plan           string          `json:"plan,omitempty"`
	Region         string          `json:"region"`
	BillingCycle   string          `json:"billing_cycle"` // monthly or annual
	Configuration  json.RawMessage `json:"configuration"`
	Title          string          `json:"title"` // the product's name when ordered
	CatalogVersion int             `json:"catalog_version"`
	FormulaVersion int             `json:"formula_version"`
	Lines          []PriceLine     `json:"lines"`
	CatalogMonthly money.Cents     `json:"catalog_monthly_cents"` // exact sum of the lines, in EUR
	Monthly        money.Cents     `json:"monthly_cents"`         // in the order's currency
	Due            money.Cents     `json:"due_cents"`             // first period, in the order's currency
	QuotedAt       string          `json:"quoted_at"`             // RFC 3339; quote_valid_days counts from here (D8)
	DeadlineS      int             `json:"deadline_s"`            // seconds that the long operation may take (D6)
	CapacityWaitS  int             `json:"capacity_wait_s"`       // seconds that the item may wait for capacity (D6)
}

// Deadline returns how long the item's long operation may take (D6).
func (s Snapshot) Deadline() time.Duration { return time.Duration(s.DeadlineS) * time.Second }

// CapacityWait returns how long the item may wait for capacity (D6).
func (s Snapshot) CapacityWait() time.Duration { return time.Duration(s.CapacityWaitS) * time.Second }

// PriceLine is one component of a monthly price, in the catalogue's currency.
type PriceLine struct {
	Component string      `json:"component"`
	Quantity  int64       `json:"quantity"`
	UnitPrice money.Cents `json:"unit_price_cents"`
	Amount    money.Cents `json:"amount_cents"`
}

// CancelEffect says what cancelling the order now would do to an item (D7).
type CancelEffect string

// The effects.
const (
	CancelNothing      CancelEffect = "none"           // terminal already
	CancelDrops        CancelEffect = "cancelled"      // nothing was built; the item ends and is refunded if paid
	CancelRollsBack    CancelEffect = "rolled_back"    // its resources are removed and its payment is refunded
	CancelKeeps        CancelEffect = "kept"           // delivered, so it stays
	CancelCompensating CancelEffect = "already_going"  // its compensation is under way already
	CancelRefused      CancelEffect = "not_cancelable" // the order does not accept a cancel now
)

// CancelEffect returns what cancelling the order in its present state would do to an item.
func (o *Order) CancelEffect(it *Item) CancelEffect {
	if t, ok := o.next(Cancel); !ok || t.How == NoOp && o.State == Cancelled {
		if it.State == ItemDelivered {
			return CancelKeeps
		}
		if it.State.Terminal() {
			return CancelNothing
		}
		return CancelRefused
	}
	switch it.State {
	case ItemDelivered:
		return CancelKeeps
	case ItemRolledBack, ItemCancelled:
		return CancelNothing
	case ItemCompensating, ItemStuck:
		return CancelCompensating
	case ItemPending, ItemQueued:
		return CancelDrops
	default:
		return CancelRollsBack
	}
}
