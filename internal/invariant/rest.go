package invariant

// Resting reports whether nothing is in progress any more: the outbox is empty, no task is due now or later, and
// audit log and consumers have reached the last event. It ignores what may wait without end: an order that waits
// for its payment, a delivery to a customer's endpoint, and events that are parked or blocked.
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
	reached := map[string]int{}
	for _, m := range f.Checkpoints {
		reached[m.Order+" "+m.Consumer] = m.reached()
	}
	audited := map[string]bool{}
	for _, w := range f.AuditLog {
		audited[w.Event] = true
	}
	for order, es := range x.events {
		last := map[string]int{}
		for _, e := range es {
			if !audited[e.ID] && (f.Topic == nil || !e.At.Before(f.Topic.Horizon)) {
				return false
			}
			for _, consumer := range consumers() {
				if isRouted(consumer, e.Type) {
					last[consumer] = e.Seq
				}
			}
		}
		for consumer, seq := range last {
			if reached[order+" "+consumer] != seq {
				return false
			}
		}
	}
	return true
}
