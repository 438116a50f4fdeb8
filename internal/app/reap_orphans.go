package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/provider"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// FindingKind says how a provider's inventory and our books differ; the numbers are stored.
type FindingKind uint8

// The kinds.
const (
	Leftover FindingKind = 1 // of an item of ours that keeps nothing there, or of another generation or duplicate
	Unknown  FindingKind = 2 // our label, but no item of ours
	Vanished FindingKind = 3 // a live item's resource is not there any more
)

// String is the kind's name in reports.
func (k FindingKind) String() string { return [...]string{"", "leftover", "unknown", "vanished"}[k] }

// Finding is one difference, by the provider's own id.
type Finding struct {
	Provider   string       `json:"provider"`
	Region     string       `json:"region"`
	Ref        string       `json:"ref"`
	Resource   string       `json:"resource"` // the provider's kind, such as server
	Item       order.ItemID `json:"item"`
	Step       string       `json:"step"`
	Generation int          `json:"generation"`
	Kind       FindingKind  `json:"-"`
	Made       time.Time    `json:"made"`
	FirstSeen  time.Time    `json:"first_seen"`
	Deleted    bool         `json:"deleted"` // asked to be removed by this run
}

// Booked is what our books say of an item that a provider names, or that should be there.
type InventoryItem struct {
	Tenant    tenant.ID
	Order     order.ID
	Item      order.ItemID
	State     order.ItemState
	Task      fulfil.TaskID // of its provisioning; zero before
	Live      bool          // its task is still at work: what is there is its matter
	Queue     string
	Resources []fulfil.Resource
}

// Books are read over all tenants, and keep what was found.
type Inventory interface {
	// ItemsOf reads the items with these ids, whoever's they are; unknown ids are left out.
	ItemsOf(ctx context.Context, items []order.ItemID) ([]InventoryItem, error)
	// Standing reads every item that should have resources now.
	Standing(ctx context.Context) ([]InventoryItem, error)
	// Sight notes a finding and returns when it was seen first; Forget marks one as settled.
	Sight(ctx context.Context, f Finding, now time.Time) (first time.Time, err error)
	Forget(ctx context.Context, f Finding, now time.Time) error
}

// reapTwice is how far apart two sightings must be before anything is removed (D40).
const reapTwice = 10 * time.Minute

// Reap compares every provider's inventory with our books, both ways. It only ever looks at what
// carries our installation's label. A run by itself leaves alone what is younger than twice the time a
// create may take. A leftover seen
// twice is removed; what names no item of ours is reported, and removed when remove is Everything; a
// vanished resource is an alarm that a person answers. An account that cannot be read keeps no other
// from being compared; its error comes back with what the others showed.
func (a *App) Reap(ctx context.Context, books Inventory, remove Removal) ([]Finding, error) {
	var all []Finding
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		found, err := a.reapOne(ctx, books, name, a.Providers[name], remove)
		if err != nil {
			errs = append(errs, fmt.Errorf("compare the inventory of %s: %w", name, err))
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(x, y Finding) int { return x.Made.Compare(y.Made) })
	return all, errors.Join(errs...)
}

// Removal is what a run may remove.
type Removal uint8

// The removals.
const (
	Nothing    Removal = iota // report alone
	Leftovers                 // what was seen twice and belongs to an item that has gone back
	Everything                // at once, unknown ones too: a person asked
)

func (a *App) reapOne(
	ctx context.Context, books Inventory, name string, p provider.Provider, remove Removal,
) ([]Finding, error) {
	now, caps := a.Clock.Now(), p.Capabilities()
	var owned []provider.Owned
	var ids []order.ItemID
	for o, err := range p.ListOwned(ctx, provider.Scope{Installation: a.Installation}) {
		if err != nil {
			return nil, err
		}
		owned = append(owned, o)
		if it, err := id.Parse[order.Item](o.Key.Item); err == nil {
			ids = append(ids, it)
		}
	}
	known, err := books.ItemsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	byItem := map[string]InventoryItem{}
	for _, b := range known {
		byItem[b.Item.String()] = b
	}
	var found []Finding
	there := map[string]bool{}
	for _, o := range owned {
		there[string(o.Ref)] = true
		b, ours := byItem[o.Key.Item]
		if remove == Leftovers && now.Sub(o.CreatedAt) < a.wait(2*caps.CreateTimeout) || ours && (b.Live || b.keeps(o.Ref)) ||
			o.Phase == provider.Deleting {
			continue
		}
		f := Finding{
			Provider: name, Region: o.Region, Ref: string(o.Ref), Resource: o.Kind, Item: b.Item, Step: o.Key.Step,
			Generation: o.Key.Generation, Kind: Leftover, Made: o.CreatedAt,
		}
		if !ours {
			f.Kind = Unknown
		}
		if f, err = a.handle(ctx, books, p, o, f, remove, now); err != nil {
			return found, err
		}
		found = append(found, f)
	}
	gone, err := a.vanished(ctx, books, name, there, now)
	return append(found, gone...), err
}

// keeps reports whether a resource is the one the item's journal stands by.
func (b InventoryItem) keeps(ref provider.Ref) bool {
	if b.State != order.ItemActive && b.State != order.ItemDelivered && b.State != order.ItemStuck {
		return false
	}
	for _, res := range b.Resources {
		if len(res.Refs) > 0 && res.Refs[0] == string(ref) && res.Phase != fulfil.Gone {
			return true
		}
	}
	return false
}

func (a *App) handle(
	ctx context.Context, books Inventory, p provider.Provider, o provider.Owned, f Finding, remove Removal, now time.Time,
) (Finding, error) {
	first, err := books.Sight(ctx, f, now)
	if err != nil {
		return f, err
	}
	f.FirstSeen = first
	due := remove == Everything || remove == Leftovers && f.Kind == Leftover && now.Sub(first) >= a.wait(reapTwice)
	if !due {
		return f, nil
	}
	step := provider.Step{Name: o.Key.Step, Key: o.Key, Spec: provider.Spec{Region: o.Region}}
	if err := p.Delete(ctx, step, o.Ref); err != nil && provider.ClassOf(err) != fault.NotFound {
		a.Log.WarnContext(ctx, "a leftover could not be removed; the next run tries again", "provider", f.Provider, "ref",
			f.Ref, "class", provider.ClassOf(err).String())
		return f, nil
	}
	f.Deleted = true
	a.Log.WarnContext(ctx, "a leftover was removed", "provider", f.Provider, "ref", f.Ref, "item", f.Item.String(), "kind",
		f.Kind.String())
	return f, books.Forget(ctx, f, now)
}

// vanished finds live items whose resources are not in the inventory: never healed by itself.
func (a *App) vanished(
	ctx context.Context, books Inventory, name string, there map[string]bool, now time.Time,
) ([]Finding, error) {
	standing, err := books.Standing(ctx)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, b := range standing {
		for _, res := range b.Resources {
			if b.Queue != name || res.Phase != fulfil.Ready || len(res.Refs) == 0 || there[res.Refs[0]] {
				continue
			}
			f := Finding{
				Provider: name, Ref: res.Refs[0], Item: b.Item, Step: res.Step, Generation: res.Generation,
				Kind: Vanished, Made: res.CalledAt,
			}
			if f.FirstSeen, err = books.Sight(ctx, f, now); err != nil {
				return found, err
			}
			a.Log.ErrorContext(ctx, "a live resource has vanished at the provider: look at it with its customer", "provider",
				name, "ref", f.Ref, "item", f.Item.String())
			found = append(found, f)
		}
	}
	return found, nil
}
