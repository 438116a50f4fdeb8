package invariant

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"
)

// noOrphans is I10. A resource at the provider belongs to one of three kinds of items: one that is active or
// delivered, and then the resource is in the item's journal; one that is being built or removed; or a stuck one with
// an open dead letter. A resource that belongs to no item is an orphan, whatever its labels. The ledger is read before
// the database, and every intent is committed before its call, so a resource without an item in the snapshot really
// has none.
func noOrphans(l *inspection) {
	if l.Cloud == nil {
		l.skip("no provider's ledger was read")
		return
	}
	for i := range l.Cloud.Live {
		r := &l.Cloud.Live[i]
		l.seen++
		it := l.items[r.item()]
		if it == nil {
			l.broken(r.Labels["order"], "orphan: %s %s (%s, name %s, labels %v) belongs to no item", r.Kind, r.ID,
				r.Phase, r.Name, r.Labels)
			continue
		}
		if why := l.unexplained(it, r); why != "" && l.orderAtRest(it.Order) {
			l.broken(it.Order, "orphan: %s %s (%s) of item %s: %s", r.Kind, r.ID, r.Phase, it.ID, why)
		}
	}
	for i := range l.Items {
		it := &l.Items[i]
		if o := l.orders[it.Order]; o != nil && l.atRest(o) && (it.State == "active" || it.State == "delivered") {
			l.seen++
			l.resourcesExist(it)
		}
	}
}

// unexplained returns why a resource of an item must not exist, or "" if it may.
func (l *inspection) unexplained(it *Item, r *Resource) string {
	if l.hasLiveTask(it, "provision") {
		return "" // being created or removed
	}
	switch it.State {
	case "active", "delivered":
		for _, p := range l.newestEntries(it) {
			if len(p.Refs) > 0 && p.Refs[0] == r.ID {
				return ""
			}
		}
		return "the item is " + it.State + ", but this is not one of its resources"
	case "stuck":
		named := slices.ContainsFunc(l.deadLettersOf[it.Order], func(d *DeadLetter) bool {
			return d.Item == it.ID && (d.State == "open" || d.State == "parked")
		})
		if named {
			return ""
		}
		return "the item is stuck, but has no open dead letter"
	case "pending", "queued", "rolled_back", "cancelled":
		return "the item is " + it.State
	}
	return "" // in progress without a task, which I14 reports
}

// newestEntries returns the newest journal entry of each of the item's steps.
func (x *index) newestEntries(it *Item) []*JournalEntry {
	u := x.newestTask(it, "provision")
	if u == nil {
		return nil
	}
	newest := map[string]*JournalEntry{}
	for _, p := range x.journalOf[u.ID] {
		if old := newest[p.Step]; old == nil || old.Generation < p.Generation {
			newest[p.Step] = p
		}
	}
	var entries []*JournalEntry
	for _, step := range slices.Sorted(maps.Keys(newest)) {
		entries = append(entries, newest[step])
	}
	return entries
}

// resourcesExist checks that all resources in the item's journal exist and are ready.
func (l *inspection) resourcesExist(it *Item) {
	entries := l.newestEntries(it)
	if len(entries) == 0 {
		l.broken(it.Order, "item %s is %s, but its journal is empty", it.ID, it.State)
	}
	for _, p := range entries {
		found := slices.ContainsFunc(l.liveOf[it.ID], func(r *Resource) bool {
			return len(p.Refs) > 0 && r.ID == p.Refs[0] && r.Phase == "ready"
		})
		if !found {
			l.broken(it.Order, "item %s is %s, but its %s (%v, journaled as %s) does not exist",
				it.ID, it.State, p.Step, p.Refs, p.Phase)
		}
	}
}

// oneKeyEach is I11. A key's name belongs to one (tenant, order, item, step, generation), and each of those has one
// name. At rest at most one resource exists under a key. The generations in which a step of an item is created only
// rise (D8).
func oneKeyEach(l *inspection) {
	if l.Cloud == nil {
		l.skip("no provider's ledger was read")
		return
	}
	means, named := map[string]string{}, map[string]string{}
	highest := map[string]int{}
	for i := range l.Cloud.Log {
		c := &l.Cloud.Log[i]
		if c.Operation != "create" {
			continue
		}
		l.seen++
		what := c.Tenant + "/" + c.Order + "/" + c.Item + "/" + c.Step + "/" + c.Generation
		if old, known := means[c.Key]; known && old != what {
			l.broken(c.Order, "key %s is the key of %s and of %s", c.Key, old, what)
		}
		if old, known := named[what]; known && old != c.Key {
			l.broken(c.Order, "%s was created under the keys %s and %s", what, old, c.Key)
		}
		means[c.Key], named[what] = what, c.Key
		generation, err := strconv.Atoi(c.Generation)
		if late := c.Fault == "late"; late || err != nil {
			continue // it takes effect after its caller gave up, so its time says nothing
		}
		of := c.Item + "/" + c.Step
		if generation < highest[of] {
			l.broken(c.Order, "%s of item %s was created in generation %d after %d", c.Step, c.Item, generation, highest[of])
		}
		highest[of] = max(highest[of], generation)
		if it := l.items[c.Item]; it != nil && generation > it.Generation && l.orderAtRest(it.Order) {
			l.broken(c.Order, "%s of item %s, which has generation %d, was created in %d",
				c.Step, c.Item, it.Generation, generation)
		}
	}
	alive := map[string][]*Resource{}
	for i := range l.Cloud.Live {
		if r := &l.Cloud.Live[i]; means[r.Name] != "" {
			alive[r.Name] = append(alive[r.Name], r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(alive)) {
		if len(alive[name]) < 2 {
			continue
		}
		order := alive[name][0].Labels["order"]
		if it := l.items[alive[name][0].item()]; it != nil {
			order = it.Order
		}
		if l.orderAtRest(order) {
			l.broken(order, "%d resources exist under key %s", len(alive[name]), name)
		}
	}
}

// creation is the creation of one step of an item at the provider, and its removal.
type creation struct {
	item, step       string
	created, removed int       // places of the calls in the provider's log, from 1; 0: none
	exists           bool      // the call made something
	at               time.Time // when the create reached the provider
	intent           int       // place of the intent in the saga log, from 1; 0: none
	decided          time.Time // when the intent was committed
}

// before reports whether a was created before b: its call reached the provider first. If both calls were in flight
// at the same time, two workers' calls may have overtaken each other; then the order of their intents counts, which
// were committed under the order's lock.
func (a creation) before(b creation) bool {
	if a.intent > 0 && b.intent > 0 && a.decided.Before(b.at) && b.decided.Before(a.at) {
		return a.intent < b.intent
	}
	return a.created < b.created
}

// reverseOrder is I18: an item's resources are removed in the reverse order of their creation (creation.before), and
// under all_or_nothing those of the order's items too, the last provisioned first (D1). A removal is the first delete
// that was not refused after the item's compensation began.
func reverseOrder(l *inspection) {
	if l.Cloud == nil {
		l.skip("no provider's ledger was read")
		return
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		for fulfilment := 0; fulfilment <= len(l.restores(o.ID)); fulfilment++ {
			var all []creation
			for _, it := range l.itemsOf[o.ID] {
				removed := l.removedSteps(o, it, fulfilment)
				l.checkReversed(o, removed)
				if !l.wasStuck(o, it) { // the others do not wait for a stuck item
					all = append(all, slices.DeleteFunc(removed, func(m creation) bool { return !m.exists })...)
				}
			}
			if o.Policy == "all_or_nothing" {
				l.checkReversed(o, all)
			}
		}
	}
}

// wasStuck reports whether an item is stuck or once was. The order's other items are removed without waiting for it.
func (l *inspection) wasStuck(o *Order, it *Item) bool {
	return slices.ContainsFunc(l.events[o.ID], func(e decodedEvent) bool {
		return e.Type == "order.item-stuck" && e.Item != nil && e.Item.ID == it.ID
	})
}

// removedSteps returns the steps of an item that were removed in one of its fulfilments.
func (l *inspection) removedSteps(o *Order, it *Item, fulfilment int) []creation {
	restores := l.restores(o.ID)
	events := l.events[o.ID]
	began := slices.IndexFunc(events, func(e decodedEvent) bool {
		return e.Type == "order.item-compensating" && e.Item != nil && e.Item.ID == it.ID &&
			fulfilmentOf(restores, e.At) == fulfilment
	})
	if began < 0 {
		return nil
	}
	steps := map[string]*creation{}
	for n := range l.Cloud.Log {
		c := &l.Cloud.Log[n]
		if c.Item != it.ID || fulfilmentOf(restores, c.At) != fulfilment {
			continue
		}
		p := steps[c.Step]
		switch {
		case c.Operation == "create" && c.Fault != "late" && (p == nil || p.removed == 0):
			m := l.creationOf(it, c)
			m.created, m.exists = n+1, c.Effect || p != nil && p.exists
			steps[c.Step] = &m
		case c.Operation != "delete" || p == nil || p.removed > 0:
		case !l.compensates(it, c, events[began].At):
			if c.Result == "accepted" {
				delete(steps, c.Step) // a failed resource, removed before the compensation
			}
		case c.Result == "accepted" || c.Result == "absent":
			p.removed = n + 1
		}
	}
	var removed []creation
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		if steps[name].removed > 0 {
			removed = append(removed, *steps[name])
		}
	}
	return removed
}

// compensates reports whether a delete belongs to the item's compensation, which began at a given time. A failed
// resource may be removed in the same moment in which the item's deadline begins the compensation. Then only the saga
// log can say it: a delete of the compensation has a new intent.
func (l *inspection) compensates(it *Item, c *Call, began time.Time) bool {
	if since := c.At.Sub(began); since < 0 || since >= time.Millisecond {
		return since >= 0
	}
	return slices.ContainsFunc(l.Log, func(g LogLine) bool {
		u := l.tasks[g.Task]
		return g.What == "intent" && g.Step == c.Step && u != nil && u.Item == it.ID && !g.At.Before(began) &&
			g.At.Sub(c.At) < time.Millisecond
	})
}

// creationOf returns the creation that a call makes, with the latest intent of its step before the call.
func (l *inspection) creationOf(it *Item, c *Call) creation {
	m := creation{item: it.ID, step: c.Step, at: c.At}
	for n := range l.Log {
		g := &l.Log[n]
		if u := l.tasks[g.Task]; g.What == "intent" && g.Step == c.Step && u != nil && u.Item == it.ID && !g.At.After(c.At) {
			m.intent, m.decided = n+1, g.At
		}
	}
	return m
}

// checkReversed checks that what was removed first was created last.
func (l *inspection) checkReversed(o *Order, removed []creation) {
	slices.SortFunc(removed, func(a, b creation) int { return cmp.Compare(a.removed, b.removed) })
	for n := 1; n < len(removed); n++ {
		l.seen++
		if earlier, later := removed[n-1], removed[n]; earlier.before(later) {
			l.broken(o.ID, "%s of item %s was removed before %s of item %s, which was created after it",
				earlier.step, earlier.item, later.step, later.item)
		}
	}
}
