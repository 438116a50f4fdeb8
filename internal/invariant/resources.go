package invariant

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"
)

// noOrphans is I10. What lives at the provider belongs to an item that is up, and is exactly what its
// journal says was made; or to an item that is being built or taken down; or to a stuck one that is
// named on the fallout desk. Whatever belongs to no item of ours is an orphan, whatever its labels.
// The ledger is read before the database, and every intent is committed before its call, so that a
// resource whose item is not there has none.
func noOrphans(l *look) {
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
		if why := l.unexplained(it, r); why != "" && l.restOf(it.Order) {
			l.broken(it.Order, "orphan: %s %s (%s) of item %s: %s", r.Kind, r.ID, r.Phase, it.ID, why)
		}
	}
	for i := range l.Items {
		it := &l.Items[i]
		if o := l.orders[it.Order]; o != nil && l.rest(o) && (it.State == "active" || it.State == "delivered") {
			l.seen++
			l.standing(it)
		}
	}
}

// unexplained says why a resource of an item must not be there; "" when it may.
func (l *look) unexplained(it *Item, r *Resource) string {
	if l.working(it, "provision") {
		return "" // being made, or on its way out
	}
	switch it.State {
	case "active", "delivered":
		for _, p := range l.standingEntries(it) {
			if len(p.Refs) > 0 && p.Refs[0] == r.ID {
				return ""
			}
		}
		return "the item is " + it.State + ", and this is none of its resources"
	case "stuck":
		named := slices.ContainsFunc(l.deadLettersOf[it.Order], func(d *DeadLetter) bool {
			return d.Item == it.ID && (d.State == "open" || d.State == "parked")
		})
		if named {
			return ""
		}
		return "the item is stuck, and no open dead letter names it"
	case "pending", "queued", "rolled_back", "cancelled":
		return "the item is " + it.State
	}
	return "" // under way without work: I14's
}

// standingEntries are the newest lines of the item's journal, one for each part.
func (x *index) standingEntries(it *Item) []*JournalEntry {
	u := x.newest(it, "provision")
	if u == nil {
		return nil
	}
	newest := map[string]*JournalEntry{}
	for _, p := range x.partsOf[u.ID] {
		if old := newest[p.Part]; old == nil || old.Generation < p.Generation {
			newest[p.Part] = p
		}
	}
	var parts []*JournalEntry
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		parts = append(parts, newest[name])
	}
	return parts
}

// standing asks that everything an item was built of is there and ready.
func (l *look) standing(it *Item) {
	parts := l.standingEntries(it)
	if len(parts) == 0 {
		l.broken(it.Order, "item %s is %s, and nothing was journaled as built for it", it.ID, it.State)
	}
	for _, p := range parts {
		found := slices.ContainsFunc(l.liveOf[it.ID], func(r *Resource) bool {
			return len(p.Refs) > 0 && r.ID == p.Refs[0] && r.Phase == "ready"
		})
		if !found {
			l.broken(it.Order, "item %s is %s, and its %s (%v, journaled as %s) is not there", it.ID,
				it.State, p.Part, p.Refs, p.Phase)
		}
	}
}

// oneKeyEach is I11: a key's name stands for one (tenant, order, item, part, generation) and each of
// those has one name; at rest at most one resource lives under a key; the generations in which an
// item asks for a part only rise (D8).
func oneKeyEach(l *look) {
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
		what := c.Tenant + "/" + c.Order + "/" + c.Item + "/" + c.Part + "/" + c.Generation
		if old, known := means[c.Key]; known && old != what {
			l.broken(c.Order, "key %s stands for %s and for %s", c.Key, old, what)
		}
		if old, known := named[what]; known && old != c.Key {
			l.broken(c.Order, "%s was asked for under the keys %s and %s", what, old, c.Key)
		}
		means[c.Key], named[what] = what, c.Key
		generation, err := strconv.Atoi(c.Generation)
		if late := c.Fault == "late"; late || err != nil {
			continue // takes effect after its caller gave up: its time says nothing
		}
		of := c.Item + "/" + c.Part
		if generation < highest[of] {
			l.broken(c.Order, "item %s asked for %s in generation %d after %d", c.Item, c.Part, generation, highest[of])
		}
		highest[of] = max(highest[of], generation)
		if it := l.items[c.Item]; it != nil && generation > it.Generation && l.restOf(it.Order) {
			l.broken(c.Order, "item %s is of generation %d, and asked for %s in %d", c.Item, it.Generation, c.Part, generation)
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
		if l.restOf(order) {
			l.broken(order, "%d resources live under key %s", len(alive[name]), name)
		}
	}
}

// made is one part of an item at the provider: when it was asked for, and when its removal was.
type made struct {
	item, part string
	born, gone int  // places in the provider's log, from 1; 0: never
	there      bool // something was made
	came       time.Time
	meant      int // the line of our own record that decided the call, from 1; 0: none
	decided    time.Time
}

// before reports whether a was made before b: the one that came to the provider first, unless both calls
// were on their way at once. Two workers' calls may overtake each other on the road; the order is then
// the one in which they were decided, under the lock of their order.
func (a made) before(b made) bool {
	if a.meant > 0 && b.meant > 0 && a.decided.Before(b.came) && b.decided.Before(a.came) {
		return a.meant < b.meant
	}
	return a.born < b.born
}

// reverseOrder is I18: an item's parts are taken down in the reverse of the order in which they were
// asked for (made.before), and under all_or_nothing the order's items too, last provisioned first (D1).
// A delete counts from the moment its item went back, by its first answer that was no refusal.
func reverseOrder(l *look) {
	if l.Cloud == nil {
		l.skip("no provider's ledger was read")
		return
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		for life := 0; life <= len(l.lives(o.ID)); life++ {
			var all []made
			for _, it := range l.itemsOf[o.ID] {
				parts := l.takenDown(o, it, life)
				l.reversed(o, parts)
				if !l.wasStuck(o, it) { // passed over, so that nothing waits for a person
					all = append(all, slices.DeleteFunc(parts, func(m made) bool { return !m.there })...)
				}
			}
			if o.Policy == "all_or_nothing" {
				l.reversed(o, all)
			}
		}
	}
}

// wasStuck reports whether an item stands on the desk, or did: the others went on without it.
func (l *look) wasStuck(o *Order, it *Item) bool {
	return slices.ContainsFunc(l.events[o.ID], func(e happened) bool {
		return e.Type == "order.item-stuck" && e.Item != nil && e.Item.ID == it.ID
	})
}

// takenDown are the parts of an item that were removed in one of its lives.
func (l *look) takenDown(o *Order, it *Item, life int) []made {
	back, lives := -1, l.lives(o.ID)
	events := l.events[o.ID]
	for n, e := range events {
		if e.Type == "order.item-compensating" && e.Item != nil && e.Item.ID == it.ID && lifeOf(lives, e.At) == life {
			back = n
			break
		}
	}
	if back < 0 {
		return nil
	}
	parts := map[string]*made{}
	for n := range l.Cloud.Log {
		c := &l.Cloud.Log[n]
		if c.Item != it.ID || lifeOf(lives, c.At) != life {
			continue
		}
		p := parts[c.Part]
		switch {
		case c.Operation == "create" && c.Fault != "late" && (p == nil || p.gone == 0):
			m := l.meant(it, c)
			m.born, m.there = n+1, c.Effect || p != nil && p.there
			parts[c.Part] = &m
		case c.Operation != "delete" || p == nil || p.gone > 0:
		case !l.undoes(it, c, events[back].At):
			if c.Result == "accepted" {
				delete(parts, c.Part) // a failed resource, removed on the way there
			}
		case c.Result == "accepted" || c.Result == "absent":
			p.gone = n + 1
		}
	}
	var down []made
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if parts[name].gone > 0 {
			down = append(down, *parts[name])
		}
	}
	return down
}

// undoes reports whether a delete was made on the item's way back, which began at turned. A failed resource
// can be removed on the way there in the moment in which the item's deadline turns it: then only our own
// log tells, for a call on the way back was meant anew before it was made.
func (l *look) undoes(it *Item, c *Call, turned time.Time) bool {
	if since := c.At.Sub(turned); since < 0 || since >= time.Millisecond {
		return since >= 0
	}
	return slices.ContainsFunc(l.Log, func(g LogLine) bool {
		u := l.tasks[g.Task]
		return g.What == "intent" && g.Part == c.Part && u != nil && u.Item == it.ID && !g.At.Before(turned) &&
			g.At.Sub(c.At) < time.Millisecond
	})
}

// meant is a part that a create asks for, with the latest intent of it before the call.
func (l *look) meant(it *Item, c *Call) made {
	m := made{item: it.ID, part: c.Part, came: c.At}
	for n := range l.Log {
		g := &l.Log[n]
		if u := l.tasks[g.Task]; g.What == "intent" && g.Part == c.Part && u != nil && u.Item == it.ID && !g.At.After(c.At) {
			m.meant, m.decided = n+1, g.At
		}
	}
	return m
}

func (l *look) reversed(o *Order, parts []made) {
	slices.SortFunc(parts, func(a, b made) int { return cmp.Compare(a.gone, b.gone) })
	for n := 1; n < len(parts); n++ {
		l.seen++
		if earlier, later := parts[n-1], parts[n]; earlier.before(later) {
			l.broken(o.ID, "%s of item %s was removed before %s of item %s, which was made after it", earlier.part,
				earlier.item, later.part, later.item)
		}
	}
}
