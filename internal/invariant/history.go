package invariant

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// sameHistory is I3. The events of an order have the numbers 1 to n. An event without an outbox row is on the topic
// with the same bytes and headers, because the relay publishes before it deletes the row. Every record on the topic
// is one of the events. The audit log has the same events, and the Audit consumer found no fault of the topic. At
// rest the outbox is empty and the audit log is complete.
func sameHistory(l *inspection) {
	onTopic := map[string]*Record{}
	if l.Topic == nil {
		l.without("no topic was read: compared with the audit log only")
	} else {
		for i := range l.Topic.Records {
			r := &l.Topic.Records[i]
			onTopic[r.header("ce_id")] = r
		}
	}
	audited := map[string]*AuditEntry{}
	for i := range l.AuditLog {
		audited[l.AuditLog[i].Event] = &l.AuditLog[i]
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
				l.broken(o.ID, "event %d follows where number %d is expected", e.Seq, n+1)
			}
			l.checkPublished(o, e, onTopic[e.ID])
			l.checkAuditEntry(o, e, audited[e.ID])
		}
	}
	l.foreignRecords()
	for i := range l.AuditLog {
		if w := &l.AuditLog[i]; l.eventByID[w.Event] == nil {
			l.broken(w.Order, "the audit log has event %s (number %d), which does not exist", w.Event, w.Seq)
		}
	}
	for _, x := range l.Findings {
		l.broken(x.Order, "the Audit consumer found at %d/%d: %s, %s", x.Partition, x.Offset, x.Kind, x.Detail)
	}
}

func (l *inspection) checkPublished(o *Order, e decodedEvent, r *Record) {
	waits := l.outbox[eventKey(e.Order, e.Seq)]
	if waits && l.atRest(o) {
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

// envelope returns the headers of an event by the published format (CloudEvents 1.0, binary mode), without those of
// tenant and key, which I4 checks.
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

func (l *inspection) checkAuditEntry(o *Order, e decodedEvent, w *AuditEntry) {
	if w == nil {
		if l.atRest(o) && (l.Topic == nil || !e.At.Before(l.Topic.Horizon)) {
			l.broken(o.ID, "the audit log misses event %d %s", e.Seq, e.Type)
		}
		return
	}
	hash := sha256.Sum256(e.Data)
	if w.Order != e.Order || w.Seq != e.Seq || w.Type != e.Type || w.Tenant != e.Tenant || !bytes.Equal(w.Hash, hash[:]) {
		l.broken(o.ID, "the audit log has event %d %s differently: number %d, type %s, or other bytes",
			e.Seq, e.Type, w.Seq, w.Type)
	}
}

func (l *inspection) foreignRecords() {
	if l.Topic == nil {
		return
	}
	for i := range l.Topic.Records {
		r := &l.Topic.Records[i]
		if l.eventByID[r.header("ce_id")] != nil {
			continue
		}
		// The topic is read after the snapshot, so a newer record is not a fault.
		o := l.orders[r.header("ce_subject")]
		if l.orderAtRest(r.header("ce_subject")) || o != nil && r.header("ce_sequence") <= fmt.Sprintf("%010d", o.LastSeq) {
			l.broken(r.header("ce_subject"), "the record at %d/%d (event %q) is not one of the events",
				r.Partition, r.Offset, r.header("ce_id"))
		}
	}
}

// orderOnTopic is I4: all records of an order are in one partition, with its id as their key, in the order of their
// numbers, and with the tenant of its row.
func orderOnTopic(l *inspection) {
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
				l.broken(o.ID, "%s is in another partition than the order's first", at)
			}
			if seq := r.header("ce_sequence"); seq < highest {
				l.broken(o.ID, "%s has number %s after %s", at, seq, highest)
			} else {
				highest = seq
			}
		}
	}
}

// onceOnTopic is I5: no event id, and no number of an order, is on the topic twice.
func onceOnTopic(l *inspection) {
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
			l.broken(r.header("ce_subject"), "event %s (number %s) is on the topic twice, again at %d/%d",
				id, r.header("ce_sequence"), r.Partition, r.Offset)
		}
		ids[id], places[at] = true, true
	}
}

// routes is D19's matrix a second time: the consumers of an event, without Audit and the portal's figures, which
// receive every event.
func routes() map[string][]string {
	return map[string][]string{
		"order.submitted":            {"billing"}, // for a provider that confirms payments by itself (D28)
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

// consumers returns the consumers that keep a checkpoint for every order.
func consumers() []string { return []string{"notify", "billing", "provision", figures} }

func isRouted(consumer, eventType string) bool {
	return consumer == figures || slices.Contains(routes()[eventType], consumer)
}

// routedOnce is I6. A consumer's checkpoint of an order is at an event that is routed to the consumer, and at rest
// at the last one. There is no checkpoint if nothing was routed. An event that the consumer could not apply is
// parked; it was routed to the consumer, and no later event is applied. Two effects are checked themselves: Notify
// writes one task per event that a customer is told about, and Billing one receipt per event, unless two people
// abandoned the event. Audit keeps no checkpoint; I3 compares its log.
func routedOnce(l *inspection) {
	checkpoints := map[string]Checkpoint{}
	for _, m := range l.Checkpoints {
		checkpoints[m.Order+" "+m.Consumer] = m
		if l.orders[m.Order] == nil {
			l.broken(m.Order, "consumer %s has a checkpoint of an order that does not exist", m.Consumer)
		}
	}
	for i := range l.Orders {
		o := &l.Orders[i]
		for _, consumer := range consumers() {
			l.seen++
			l.checkCheckpoint(o, consumer, checkpoints)
		}
		l.noticesOnce(o)
		l.receiptsOnce(o)
	}
}

// checkCheckpoint compares a consumer's checkpoint of an order with the events that are routed to the consumer.
func (l *inspection) checkCheckpoint(o *Order, consumer string, checkpoints map[string]Checkpoint) {
	c, exists := checkpoints[o.ID+" "+consumer]
	last, atRouted, parkedRouted := 0, false, c.Parked == 0
	for _, e := range l.events[o.ID] {
		if isRouted(consumer, e.Type) {
			last = e.Seq
			atRouted = atRouted || e.Seq == c.Seq
			parkedRouted = parkedRouted || e.Seq == c.Parked
		}
	}
	switch {
	case !parkedRouted:
		l.broken(o.ID, "%s has parked number %d, which was not routed to it", consumer, c.Parked)
	case exists && !atRouted && (c.Seq > 0 || c.Parked == 0): // 0: its first event is parked
		l.broken(o.ID, "%s is at number %d, which was not routed to it", consumer, c.Seq)
	case l.atRest(o) && !exists && last > 0:
		l.broken(o.ID, "%s applied nothing; number %d was routed to it", consumer, last)
	case l.atRest(o) && exists && c.reached() != last:
		l.broken(o.ID, "%s is at number %d; number %d was routed to it", consumer, c.reached(), last)
	case l.atRest(o) && c.Parked > 0 && (c.Seq >= c.Parked || !l.hasParkedDeadLetter(o.ID, consumer, c.Parked)):
		l.broken(o.ID, "%s has parked number %d, but there is no parked dead letter for it", consumer, c.Parked)
	}
}

func (l *inspection) noticesOnce(o *Order) {
	tasks := map[string]int{}
	for _, u := range l.tasksOf[o.ID] {
		if u.Kind == "notify" {
			tasks[u.Subject]++
		}
	}
	for _, e := range l.events[o.ID] {
		n := tasks[e.ID]
		delete(tasks, e.ID)
		routed := isRouted("notify", e.Type) && e.Type != "order.item-stuck" // which is for operators
		excused := n == 0 && routed && (l.isBlocked(o.ID, "notify", e.Seq) || l.isAbandoned(o.ID, "notify", e.Seq))
		if n > 1 || n > 0 && !routed || n == 0 && routed && l.atRest(o) && !excused {
			l.broken(o.ID, "Notify has %d tasks for event %d %s", n, e.Seq, e.Type)
		}
	}
	if len(tasks) > 0 {
		l.broken(o.ID, "Notify has tasks for %d events that the order does not have", len(tasks))
	}
}

func (l *inspection) receiptsOnce(o *Order) {
	receipts := map[string]int{}
	for _, r := range l.receiptsOf[o.ID] {
		receipts[r.Event]++
		if e := l.eventByID[r.Event]; e == nil || e.Order != r.Order || e.Seq != r.Seq || e.Type != r.Type ||
			e.Tenant != r.Tenant {
			l.broken(o.ID, "Billing has a receipt for number %d %s, which is not an event of the order", r.Seq, r.Type)
		}
	}
	for _, e := range l.events[o.ID] {
		n, routed := receipts[e.ID], isRouted("billing", e.Type)
		excused := n == 0 && routed && (l.isBlocked(o.ID, "billing", e.Seq) || l.isAbandoned(o.ID, "billing", e.Seq))
		if n > 1 || n > 0 && !routed || n == 0 && routed && l.atRest(o) && !excused {
			l.broken(o.ID, "Billing has %d receipts for event %d %s", n, e.Seq, e.Type)
		}
	}
}

// hasParkedDeadLetter reports whether an event has a parked dead letter.
func (l *inspection) hasParkedDeadLetter(order, consumer string, seq int) bool {
	return slices.ContainsFunc(l.deadLettersOf[order], func(d *DeadLetter) bool {
		return d.Consumer == consumer && d.Seq == seq && d.State == "parked"
	})
}

// isAbandoned reports whether two people abandoned an event for a consumer.
func (l *inspection) isAbandoned(order, consumer string, seq int) bool {
	return slices.ContainsFunc(l.deadLettersOf[order], func(d *DeadLetter) bool {
		return d.Consumer == consumer && d.Seq == seq && d.State == "abandoned"
	})
}

// isBlocked reports whether an event is parked or blocked.
func (l *inspection) isBlocked(order, consumer string, seq int) bool {
	return slices.ContainsFunc(l.Checkpoints, func(m Checkpoint) bool {
		return m.Order == order && m.Consumer == consumer && m.Parked > 0 && seq >= m.Parked && seq <= m.BlockedTo
	})
}
