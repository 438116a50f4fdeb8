package invariant

// Resting reports whether nothing is on its way any more: the outbox is empty, no work is due now or
// later, and witness and consumers have come as far as the events. What does not rest for ever, such
// as an order that waits for its payment, does not hinder it, nor does what waits for a customer's own
// endpoint, or behind a parked event for a person.
func Resting(f Facts) bool {
	if len(f.Outbox) > 0 {
		return false
	}
	for _, u := range f.Tasks {
		if u.live() && !u.NextAt.IsZero() && u.Kind != "webhook" {
			return false
		}
	}
	x := newIndex(&f)
	marks := map[string]int{}
	for _, m := range f.Checkpoints {
		marks[m.Order+" "+m.Consumer] = m.heard()
	}
	seen := map[string]bool{}
	for _, w := range f.Audit {
		seen[w.Event] = true
	}
	for order, es := range x.events {
		last := map[string]int{}
		for _, e := range es {
			if !seen[e.ID] && (f.Topic == nil || !e.At.Before(f.Topic.Horizon)) {
				return false
			}
			for _, consumer := range consumers() {
				if hears(consumer, e.Type) {
					last[consumer] = e.Seq
				}
			}
		}
		for consumer, seq := range last {
			if marks[order+" "+consumer] != seq {
				return false
			}
		}
	}
	return true
}
