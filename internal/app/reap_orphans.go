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

// FindingKind says how the resources at a provider differ from our inventory; the numbers are stored.
type FindingKind uint8

// The kinds of finding.
const (
	Leftover FindingKind = 1 // the item keeps nothing there, or it is of another generation or a duplicate
	Unknown  FindingKind = 2 // it has our label, but there is no such item
	Vanished FindingKind = 3 // a live item's resource is no longer there
)

// String returns the kind's name in reports.
func (k FindingKind) String() string { return [...]string{"", "leftover", "unknown", "vanished"}[k] }

// Finding is one difference between a provider and our inventory.
type Finding struct {
	Provider   string       `json:"provider"`
	Region     string       `json:"region"`
	Ref        string       `json:"ref"`      // the provider's id
	Resource   string       `json:"resource"` // the provider's kind, such as server
	Item       order.ItemID `json:"item"`
	Step       string       `json:"step"`
	Generation int          `json:"generation"`
	Kind       FindingKind  `json:"-"`
	Made       time.Time    `json:"made"`
	FirstSeen  time.Time    `json:"first_seen"`
	Deleted    bool         `json:"deleted"` // this run asked the provider to delete it
}

// InventoryItem is an item of our inventory with its resources.
type InventoryItem struct {
	Tenant    tenant.ID
	Order     order.ID
	Item      order.ItemID
	State     order.ItemState
	Task      fulfil.TaskID // the provisioning task; zero before it exists
	Live      bool          // the task is still running, so it decides about the item's resources
	Queue     string        // the account
	Resources []fulfil.Resource
}

// Inventory is what our rows say exists at the clouds, over all tenants. It also stores the findings.
type Inventory interface {
	// ItemsOf reads the items with these ids, of any tenant. It leaves out unknown ids.
	ItemsOf(ctx context.Context, items []order.ItemID) ([]InventoryItem, error)
	// Standing reads all items that should have resources now.
	Expected(ctx context.Context) ([]InventoryItem, error)
	// Sight stores a finding and returns when it was first seen.
	RecordFinding(ctx context.Context, f Finding, now time.Time) (first time.Time, err error)
	// Forget marks a finding as settled.
	SettleFinding(ctx context.Context, f Finding, now time.Time) error
}

// reapInterval is the least time between two sightings of a leftover before it is removed (D40).
const reapInterval = 10 * time.Minute

// Reap compares what every provider lists with our inventory, in both directions. It looks only at resources with
// the label of this installation. A run with Leftovers skips resources that are younger than twice the time that a
// create may take.
//
// A leftover that was seen twice is removed. An unknown resource is reported, and removed only with Everything. A
// vanished resource is logged as an error, for a person to decide. If an account cannot be read, the others are
// still compared; its error is returned with their findings.
func (a *App) Reap(ctx context.Context, inventory Inventory, remove Removal) ([]Finding, error) {
	var all []Finding
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(a.Providers)) {
		findings, err := a.reapAccount(ctx, inventory, name, a.Providers[name], remove)
		if err != nil {
			errs = append(errs, fmt.Errorf("compare the inventory of %s: %w", name, err))
		}
		all = append(all, findings...)
	}
	slices.SortFunc(all, func(x, y Finding) int { return x.Made.Compare(y.Made) })
	return all, errors.Join(errs...)
}

// Removal says what a run of Reap may remove.
type Removal uint8

// The removals.
const (
	Nothing    Removal = iota // only report
	Leftovers                 // leftovers that were seen twice
	Everything                // all leftovers and unknown resources at once, because a person asked
)

// reapAccount compares one account.

func (a *App) reapAccount(
	ctx context.Context, inventory Inventory, name string, p provider.Provider, remove Removal,
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
	known, err := inventory.ItemsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	byItem := map[string]InventoryItem{}
	for _, entry := range known {
		byItem[entry.Item.String()] = entry
	}
	var findings []Finding
	listed := map[string]bool{}
	for _, o := range owned {
		listed[string(o.Ref)] = true
		entry, ours := byItem[o.Key.Item]
		young := remove == Leftovers && now.Sub(o.CreatedAt) < a.wait(2*caps.CreateTimeout)
		if young || ours && (entry.Live || entry.keeps(o.Ref)) || o.Phase == provider.Deleting {
			continue
		}
		f := Finding{
			Provider: name, Region: o.Region, Ref: string(o.Ref), Resource: o.Kind, Item: entry.Item, Step: o.Key.Step,
			Generation: o.Key.Generation, Kind: Leftover, Made: o.CreatedAt,
		}
		if !ours {
			f.Kind = Unknown
		}
		if f, err = a.handleFinding(ctx, inventory, p, o, f, remove, now); err != nil {
			return findings, err
		}
		findings = append(findings, f)
	}
	gone, err := a.findVanished(ctx, inventory, name, listed, now)
	return append(findings, gone...), err
}

// keeps reports whether the item's journal names the resource as the one to keep.
func (entry InventoryItem) keeps(ref provider.Ref) bool {
	if entry.State != order.ItemActive && entry.State != order.ItemDelivered && entry.State != order.ItemStuck {
		return false
	}
	for _, res := range entry.Resources {
		if len(res.Refs) > 0 && res.Refs[0] == string(ref) && res.Phase != fulfil.Gone {
			return true
		}
	}
	return false
}

// handleFinding stores a finding and removes its resource when that is due.
func (a *App) handleFinding(
	ctx context.Context, inventory Inventory, p provider.Provider, o provider.Owned, f Finding, remove Removal,
	now time.Time,
) (Finding, error) {
	first, err := inventory.RecordFinding(ctx, f, now)
	if err != nil {
		return f, err
	}
	f.FirstSeen = first
	due := remove == Everything || remove == Leftovers && f.Kind == Leftover && now.Sub(first) >= a.wait(reapInterval)
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
	return f, inventory.SettleFinding(ctx, f, now)
}

// findVanished finds live items whose resources the provider does not list. It repairs nothing.
func (a *App) findVanished(
	ctx context.Context, inventory Inventory, name string, listed map[string]bool, now time.Time,
) ([]Finding, error) {
	expected, err := inventory.Expected(ctx)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, entry := range expected {
		for _, res := range entry.Resources {
			if entry.Queue != name || res.Phase != fulfil.Ready || len(res.Refs) == 0 || listed[res.Refs[0]] {
				continue
			}
			f := Finding{
				Provider: name, Ref: res.Refs[0], Item: entry.Item, Step: res.Step, Generation: res.Generation,
				Kind: Vanished, Made: res.CalledAt,
			}
			if f.FirstSeen, err = inventory.RecordFinding(ctx, f, now); err != nil {
				return findings, err
			}
			a.Log.ErrorContext(ctx, "a live resource has vanished at the provider: look at it with its customer", "provider",
				name, "ref", f.Ref, "item", f.Item.String())
			findings = append(findings, f)
		}
	}
	return findings, nil
}
