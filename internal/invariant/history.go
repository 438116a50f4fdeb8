package invariant

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// sameHistory is I3. Numbers per order are 1 to n; an event without an outbox row stands on the topic
// with the same bytes and headers (the relay publishes before it deletes), and what stands there is an
// event of ours; the witness saw the same, and found nothing wrong about the topic. At rest nothing waits
// and the witness missed nothing.
func sameHistory(l *look) {
	onTopic := map[string]*Record{}
	if l.Topic == nil {
		l.without("no topic was read: compared with the witness alone")
	} else {
		for i := range l.Topic.Records {
			r := &l.Topic.Records[i]
			onTopic[r.header("ce_id")] = r
		}
	}
	seen := map[string]*Audit{}
	for i := range l.Audit {
		seen[l.Audit[i].Event] = &l.Audit[i]
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		es := l.events[o.ID]
		if len(es) != o.LastSeq {
			l.broken(o.ID, "the row counts %d events, there are %d", o.LastSeq, len(es))
		}
		for n, e := range es {
			l.seen++
			if e.Seq != n+1 {
				l.broken(o.ID, "event %d stands where number %d is due", e.Seq, n+1)
			}
			l.published(o, e, onTopic[e.ID])
			l.witnessed(o, e, seen[e.ID])
		}
	}
	l.foreignRecords()
	for i := range l.Audit {
		if w := &l.Audit[i]; l.eventByID[w.Event] == nil {
			l.broken(w.Order, "the witness saw event %s (number %d), which is not among the events", w.Event, w.Seq)
		}
	}
	for _, x := range l.Findings {
		l.broken(x.Order, "the witness found at %d/%d: %s, %s", x.Partition, x.Offset, x.Kind, x.Detail)
	}
}

func (l *look) published(o *Order, e happened, r *Record) {
	waits := l.outbox[place(e.Order, e.Seq)]
	if waits && l.rest(o) {
		l.broken(o.ID, "event %d %s waits in the outbox", e.Seq, e.Type)
	}
	if l.Topic == nil {
		return
	}
	if r == nil {
		if !waits && !e.At.Before(l.Topic.Horizon) {
			l.broken(o.ID, "event %d %s is neither on the topic nor in the outbox", e.Seq, e.Type)
		}
		return
	}
	if !bytes.Equal(r.Value, e.Data) {
		l.broken(o.ID, "event %d %s has other bytes on the topic", e.Seq, e.Type)
	}
	for _, h := range envelope(e.Event) {
		if got := r.header(h.Key); got != h.Value {
			l.broken(o.ID, "event %d %s has header %s = %q on the topic, want %q", e.Seq, e.Type, h.Key, got, h.Value)
		}
	}
}

// envelope are the headers of an event, by the published format (CloudEvents 1.0, binary mode). What
// tells tenant and key is I4's.
func envelope(e *Event) []Header {
	return []Header{
		{"ce_specversion", "1.0"},
		{"ce_source", "/orders"},
		{"ce_id", e.ID},
		{"ce_type", e.Type},
		{"ce_subject", e.Order},
		{"ce_time", e.At.UTC().Format(time.RFC3339Nano)},
		{"ce_sequence", fmt.Sprintf("%010d", e.Seq)},
		{"ce_dataschema", "/schemas/events/" + e.Type + "/1.json"},
		{"content-type", "application/json"},
		{"ce_causationid", e.Causation},
		{"ce_correlationid", e.Correlation},
		{"traceparent", e.Traceparent},
	}
}

func (l *look) witnessed(o *Order, e happened, w *Audit) {
	if w == nil {
		if l.rest(o) && (l.Topic == nil || !e.At.Before(l.Topic.Horizon)) {
			l.broken(o.ID, "the witness did not see event %d %s", e.Seq, e.Type)
		}
		return
	}
	hash := sha256.Sum256(e.Data)
	if w.Order != e.Order || w.Seq != e.Seq || w.Type != e.Type || w.Tenant != e.Tenant || !bytes.Equal(w.Hash, hash[:]) {
		l.broken(o.ID, "the witness saw event %d %s otherwise: number %d, type %s, or other bytes",
			e.Seq, e.Type, w.Seq, w.Type)
	}
}

func (l *look) foreignRecords() {
	if l.Topic == nil {
		return
	}
	for i := range l.Topic.Records {
		r := &l.Topic.Records[i]
		if l.eventByID[r.header("ce_id")] != nil {
			continue
		}
		// The topic is read after the snapshot: what is newer than it is no fault.
		o := l.orders[r.header("ce_subject")]
		if l.restOf(r.header("ce_subject")) || o != nil && r.header("ce_sequence") <= fmt.Sprintf("%010d", o.LastSeq) {
			l.broken(r.header("ce_subject"), "the record at %d/%d (event %q) is no event of ours", r.Partition,
				r.Offset, r.header("ce_id"))
		}
	}
}

// orderOnTopic is I4: all records of an order stand in one partition, under its id as their key, in
// the order of their numbers and for the tenant of its row.
func orderOnTopic(l *look) {
	if l.Topic == nil {
		l.skip("no topic was read")
		return
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		l.seen++
		highest := ""
		for n, r := range l.recordsOf[o.ID] {
			at := fmt.Sprintf("the record at %d/%d", r.Partition, r.Offset)
			if r.Key != o.ID {
				l.broken(o.ID, "%s has key %q", at, r.Key)
			}
			if r.header("ce_tenantid") != o.Tenant {
				l.broken(o.ID, "%s says tenant %q, the order is %s's", at, r.header("ce_tenantid"), o.Tenant)
			}
			if n > 0 && r.Partition != l.recordsOf[o.ID][0].Partition {
				l.broken(o.ID, "%s lies in another partition than the order's first", at)
			}
			if seq := r.header("ce_sequence"); seq < highest {
				l.broken(o.ID, "%s has number %s after %s", at, seq, highest)
			} else {
				highest = seq
			}
		}
	}
}

// onceOnTopic is I5: no event id and no number of an order stands twice on the topic.
func onceOnTopic(l *look) {
	if l.Topic == nil {
		l.skip("no topic was read")
		return
	}
	ids, places := map[string]bool{}, map[string]bool{}
	for i := range l.Topic.Records {
		r := &l.Topic.Records[i]
		l.seen++
		id, at := r.header("ce_id"), r.header("ce_subject")+"/"+r.header("ce_sequence")
		if ids[id] || places[at] {
			l.broken(r.header("ce_subject"), "event %s (number %s) stands twice on the topic, again at %d/%d", id,
				r.header("ce_sequence"), r.Partition, r.Offset)
		}
		ids[id], places[at] = true, true
	}
}

// routes is D19's matrix a second time: who hears an event besides Audit and Portal, which hear all.
func routes() map[string][]string {
	return map[string][]string{
		"order.submitted":            {"billing"}, // asks a provider that confirms by itself (D28)
		"order.payment-confirmed":    {"notify", "billing", "provision"},
		"order.provisioning-started": {"notify"},
		"order.fulfilled":            {"notify", "billing"},
		"order.cancelled":            {"notify", "billing", "provision"},
		"order.failed":               {"notify", "billing"},
		"order.service-delivered":    {"billing"},
		"billing.refund-requested":   {"notify", "billing"},
		"billing.refund-accepted":    {"notify", "billing"},
		"billing.refund-completed":   {"billing"},
		"billing.refund-failed":      {"notify", "billing"},
		"order.payment-reverted":     {"billing"},
		"order.item-stuck":           {"notify"},
	}
}

// consumers are those that keep a mark of every order.
func consumers() []string { return []string{"notify", "billing", "provision", figures} }

func hears(consumer, eventType string) bool {
	return consumer == figures || slices.Contains(routes()[eventType], consumer)
}

// routedOnce is I6. A consumer's mark of an order stands at an event routed to it, at rest at the
// last one; there is no mark where nothing was routed. What it cannot apply it sets aside, one event that
// was routed to it, and applies none behind it. Two effects are seen themselves: Notify's, one piece of work
// per event that a customer may hear of, and Billing's, one receipt per event; but for one that two people
// passed over. Audit keeps no mark: its log is compared by I3.
func routedOnce(l *look) {
	marks := map[string]Checkpoint{}
	for _, m := range l.Checkpoints {
		marks[m.Order+" "+m.Consumer] = m
		if l.orders[m.Order] == nil {
			l.broken(m.Order, "consumer %s keeps a mark of an order that is not there", m.Consumer)
		}
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		for _, consumer := range consumers() {
			l.seen++
			mark, marked := marks[o.ID+" "+consumer]
			last, hit, parked := 0, false, mark.Parked == 0
			for _, e := range l.events[o.ID] {
				if hears(consumer, e.Type) {
					last = e.Seq
					hit, parked = hit || e.Seq == mark.Seq, parked || e.Seq == mark.Parked
				}
			}
			switch {
			case !parked:
				l.broken(o.ID, "%s has parked number %d, which was not routed to it", consumer, mark.Parked)
			case marked && !hit && (mark.Seq > 0 || mark.Parked == 0): // 0: the first it heard is parked
				l.broken(o.ID, "%s stands at number %d, which was not routed to it", consumer, mark.Seq)
			case l.rest(o) && !marked && last > 0:
				l.broken(o.ID, "%s applied nothing; number %d was routed to it", consumer, last)
			case l.rest(o) && marked && mark.heard() != last:
				l.broken(o.ID, "%s stands at number %d; number %d was routed to it", consumer, mark.heard(), last)
			case l.rest(o) && mark.Parked > 0 && (mark.Seq >= mark.Parked || !l.deadLetterStands(o.ID, consumer, mark.Parked)):
				l.broken(o.ID, "%s has parked number %d, and no dead letter asks a person about it", consumer, mark.Parked)
			}
		}
		l.noticesOnce(o)
		l.receiptsOnce(o)
	}
}

func (l *look) noticesOnce(o *Order) {
	asked := map[string]int{}
	for _, u := range l.tasksOf[o.ID] {
		if u.Kind == "notify" {
			asked[u.Subject]++
		}
	}
	for _, e := range l.events[o.ID] {
		n := asked[e.ID]
		delete(asked, e.ID)
		routed := hears("notify", e.Type) && e.Type != "order.item-stuck" // that is for operators
		excused := n == 0 && routed && (l.waits(o.ID, "notify", e.Seq) || l.passedOver(o.ID, "notify", e.Seq))
		if n > 1 || n > 0 && !routed || n == 0 && routed && l.rest(o) && !excused {
			l.broken(o.ID, "Notify's work for event %d %s was written %d times", e.Seq, e.Type, n)
		}
	}
	if len(asked) > 0 {
		l.broken(o.ID, "Notify has work for %d events that the order does not have", len(asked))
	}
}

func (l *look) receiptsOnce(o *Order) {
	kept := map[string]int{}
	for _, r := range l.receiptsOf[o.ID] {
		kept[r.Event]++
		if e := l.eventByID[r.Event]; e == nil || e.Order != r.Order || e.Seq != r.Seq || e.Type != r.Type ||
			e.Tenant != r.Tenant {
			l.broken(o.ID, "Billing has a receipt for number %d %s, which is no event of the order", r.Seq, r.Type)
		}
	}
	for _, e := range l.events[o.ID] {
		n, routed := kept[e.ID], hears("billing", e.Type)
		excused := n == 0 && routed && (l.waits(o.ID, "billing", e.Seq) || l.passedOver(o.ID, "billing", e.Seq))
		if n > 1 || n > 0 && !routed || n == 0 && routed && l.rest(o) && !excused {
			l.broken(o.ID, "Billing has %d receipts for event %d %s", n, e.Seq, e.Type)
		}
	}
}

// deadLetterStands reports whether a parked event stands on the desk.
func (l *look) deadLetterStands(order, consumer string, seq int) bool {
	return slices.ContainsFunc(l.deadLettersOf[order], func(d *DeadLetter) bool {
		return d.Consumer == consumer && d.Seq == seq && d.State == "parked"
	})
}

// passedOver reports whether two people gave an event up for a consumer.
func (l *look) passedOver(order, consumer string, seq int) bool {
	return slices.ContainsFunc(l.deadLettersOf[order], func(d *DeadLetter) bool {
		return d.Consumer == consumer && d.Seq == seq && d.State == "abandoned"
	})
}

// waits reports whether an event is parked, or waits behind one.
func (l *look) waits(order, consumer string, seq int) bool {
	return slices.ContainsFunc(l.Checkpoints, func(m Checkpoint) bool {
		return m.Order == order && m.Consumer == consumer && m.Parked > 0 && seq >= m.Parked && seq <= m.HeldTo
	})
}
