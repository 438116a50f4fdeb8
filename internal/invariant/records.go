package invariant

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// completeDeadLetters is I17. A dead letter has its class, the payload's hash, tenant, order, step and number of
// attempts, and the dead letter of a step its item. A settled one has a reason and a time, and an abandoned one
// grounds, proof and two people. At rest each is on the topic of dead letters exactly once. I23 checks that it holds
// no secret.
func completeDeadLetters(l *inspection) {
	published := map[string]int{}
	if l.Topic == nil || l.Topic.DeadLetters == nil {
		l.without("the topic of dead letters was not read: not compared with it")
	} else {
		for i := range l.Topic.DeadLetters {
			var v struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(l.Topic.DeadLetters[i].Value, &v) == nil {
				published[v.ID]++
			}
		}
	}
	for i := range l.DeadLetters {
		d := &l.DeadLetters[i]
		l.seen++
		missing := func(what string) { l.broken(d.Order, "dead letter %s (%s) has no %s", d.ID, d.Source, what) }
		if d.Class == "" || d.Class == "none" || d.Class == "unknown" {
			missing("cause class")
		}
		if len(d.Hash) != 32 || bytes.Equal(d.Hash, make([]byte, 32)) {
			missing("payload hash")
		}
		if d.Code == "" {
			missing("error code")
		}
		if d.Attempts < 1 {
			missing("number of attempts")
		}
		if o := l.orders[d.Order]; o == nil || o.Tenant != d.Tenant {
			missing("order of its tenant")
		}
		if d.Source == "step" && l.items[d.Item] == nil {
			missing("item")
		}
		if d.Source != "event" && (d.Step == "" || l.tasks[d.Task] == nil) {
			missing("step and task")
		}
		if settled := d.State == "redriven" || d.State == "abandoned" || d.State == "closed"; settled &&
			(d.Reason == "" || d.ClosedAt.IsZero()) {
			missing("reason and time of its end, though it is " + d.State)
		}
		if d.State == "abandoned" && (d.AbandonReason == "" || d.Proof == "" || d.FirstBy == "" || d.SecondBy == "" ||
			d.FirstBy == d.SecondBy) {
			missing("grounds, proof and two people, though it is abandoned")
		}
		l.deadLetterPublished(d, published[d.ID])
	}
}

func (l *inspection) deadLetterPublished(d *DeadLetter, times int) {
	if l.Topic == nil || l.Topic.DeadLetters == nil {
		return
	}
	waits := l.outbox[d.ID]
	switch {
	case times > 1:
		l.broken(d.Order, "dead letter %s is on its topic %d times", d.ID, times)
	case times == 0 && !waits && !d.At.Before(l.Topic.Horizon) && d.Source != "event":
		// the dead letter of an event goes to its consumer's own topic, which is not read here
		l.broken(d.Order, "dead letter %s is neither on its topic nor in the outbox", d.ID)
	case waits && l.orderAtRest(d.Order):
		l.broken(d.Order, "dead letter %s waits in the outbox", d.ID)
	}
}

// snapshot holds the members of an item's snapshot that the rules use.
type snapshot struct {
	Product       string          `json:"product"`
	Plan          string          `json:"plan"`
	Region        string          `json:"region"`
	Cycle         string          `json:"billing_cycle"`
	Configuration json.RawMessage `json:"configuration"`
	Formula       int             `json:"formula_version"`
	Monthly       int64           `json:"monthly_cents"`
	Due           int64           `json:"due_cents"`
	Lines         []struct {
		Component string `json:"component"`
		Quantity  int64  `json:"quantity"`
		Amount    int64  `json:"amount_cents"`
	} `json:"lines"`
}

// billing holds what an event of delivery says for billing (D26).
type billing struct {
	Product       string          `json:"product"`
	Plan          string          `json:"plan"`
	Region        string          `json:"region"`
	Cycle         string          `json:"billing_cycle"`
	Configuration json.RawMessage `json:"configuration"`
	Formula       int             `json:"formula_version"`
	Monthly       amount          `json:"monthly"`
	Due           amount          `json:"due"`
	Lines         []struct {
		Component string `json:"component"`
		Quantity  int64  `json:"quantity"`
		Amount    string `json:"amount"`
	} `json:"lines"`
}

// frozenSnapshots is I19, as far as rows and events show it (D10). An item's price is that of its snapshot, the
// order's total is the sum of its items, every event since submit has the row's total, and the event of a delivery
// says the same as the snapshot does now.
func frozenSnapshots(l *inspection) {
	for i := range l.Orders {
		o := &l.Orders[i]
		var sum int64
		for _, it := range l.itemsOf[o.ID] {
			l.seen++
			var s snapshot
			if err := json.Unmarshal(it.Snapshot, &s); err != nil {
				l.broken(o.ID, "the snapshot of item %s cannot be read: %v", it.ID, err)
				continue
			}
			if s.Due != it.PriceCents {
				l.broken(o.ID, "item %s costs %d, its snapshot says %d", it.ID, it.PriceCents, s.Due)
			}
			sum += it.PriceCents
			l.billedAsSnapshot(o, it, s)
		}
		if sum != o.DueCents {
			l.broken(o.ID, "the amount due is %d, the items add up to %d", o.DueCents, sum)
		}
		l.totalSinceSubmit(o)
	}
}

// totalSinceSubmit checks the events since the order was last submitted. A draft may be edited, also after a restore,
// and may be cancelled without being submitted.
func (l *inspection) totalSinceSubmit(o *Order) {
	submitted := -1
	for i, e := range l.events[o.ID] {
		switch e.Type {
		case "order.submitted":
			submitted = i
		case "order.restored":
			submitted = -1
		}
	}
	if submitted < 0 {
		return
	}
	for _, e := range l.events[o.ID][submitted:] {
		if due, ok := e.Due.minor(); !ok || due != o.DueCents || e.Due.Currency != o.Currency {
			l.broken(o.ID, "event %d %s says %s %s are due, the row says %d %s",
				e.Seq, e.Type, e.Due.Amount, e.Due.Currency, o.DueCents, o.Currency)
		}
	}
}

func (l *inspection) billedAsSnapshot(o *Order, it *Item, s snapshot) {
	for _, e := range l.events[o.ID] {
		if e.Type != "order.service-delivered" || e.Item == nil || e.Item.ID != it.ID {
			continue
		}
		b := e.Item.Billing
		if b == nil {
			l.broken(o.ID, "event %d reports the delivery of item %s without billing data", e.Seq, it.ID)
			continue
		}
		monthly, ok := b.Monthly.minor()
		due, okDue := b.Due.minor()
		same := ok && okDue && monthly == s.Monthly && due == s.Due &&
			b.Product == s.Product && b.Plan == s.Plan && b.Region == s.Region && b.Cycle == s.Cycle &&
			b.Formula == s.Formula && sameJSON(b.Configuration, s.Configuration) && len(b.Lines) == len(s.Lines)
		for n := 0; same && n < len(s.Lines); n++ {
			cents, ok := amount{Amount: b.Lines[n].Amount}.minor()
			same = ok && cents == s.Lines[n].Amount && b.Lines[n].Component == s.Lines[n].Component &&
				b.Lines[n].Quantity == s.Lines[n].Quantity
		}
		if !same {
			l.broken(o.ID, "the delivery of item %s (event %d) differs from its snapshot", it.ID, e.Seq)
		}
	}
}

// oneEffectPerKey is I20, as far as rows show it: an idempotency key that was answered with a new order created it,
// no two keys created the same order, and a replay that a client recorded is equal to the first answer.
func oneEffectPerKey(l *inspection) {
	if len(l.Replays) == 0 {
		l.without("no client recorded its replays: their bytes are not compared")
	}
	keys, made := map[string]bool{}, map[string]string{}
	for _, a := range l.Answers {
		l.seen++
		name := a.Tenant + " " + a.Key
		if keys[name] {
			l.broken("", "idempotency key %q has two answers", a.Key)
		}
		keys[name] = true
		var v struct {
			ID     string `json:"id"`
			Number string `json:"number"`
		}
		if a.Status != 201 || json.Unmarshal(a.Body, &v) != nil || v.Number == "" {
			continue
		}
		o := l.orders[v.ID]
		if o == nil || o.Tenant != a.Tenant || o.Number != v.Number {
			l.broken(v.ID, "idempotency key %q was answered with an order that does not exist", a.Key)
		}
		if other, found := made[v.ID]; found {
			l.broken(v.ID, "idempotency keys %q and %q created the same order", other, a.Key)
		}
		made[v.ID] = a.Key
	}
	for _, r := range l.Replays {
		l.seen++
		if !bytes.Equal(r.First, r.Again) {
			l.broken("", "key %q was answered with other bytes the second time", r.Key)
		}
	}
}

// tablesOfRecord returns the tables from which no login may delete a row (D9).
func tablesOfRecord() []string {
	return []string{
		"orders", "order_items", "order_event", "payments", "allocations", "refunds", "audit_log", "saga_log", "dead_letters",
		"catalog", "catalog_change",
	}
}

// logTables returns the tables in which no login may change a row (D9).
func logTables() []string { return []string{"order_event", "audit_log", "saga_log", "catalog_change"} }

// nothingLost is I22: no login may delete from the tables of record or change a row of the logs, the audit log has no
// gap and an unbroken chain, and no table of record has fewer rows than at an earlier check.
func nothingLost(l *inspection) {
	if l.Earlier == nil {
		l.without("no earlier numbers of rows to compare with")
	}
	if l.Grants == nil {
		l.without("no grants were read")
	}
	for _, g := range l.Grants {
		l.seen++
		deletes := (g.Privilege == "DELETE" || g.Privilege == "TRUNCATE") && slices.Contains(tablesOfRecord(), g.Table)
		if deletes || g.Privilege == "UPDATE" && slices.Contains(logTables(), g.Table) {
			l.broken("", "login %s may %s %s", g.Login, g.Privilege, g.Table)
		}
	}
	now := l.Counts()
	for _, table := range slices.Sorted(maps.Keys(l.Earlier)) {
		l.seen++
		if now[table] < l.Earlier[table] {
			l.broken("", "%s has %d rows, there were %d", table, now[table], l.Earlier[table])
		}
	}
	seqs := map[string][]int{}
	for _, w := range l.AuditLog {
		seqs[w.Order] = append(seqs[w.Order], w.Seq)
	}
	for _, order := range slices.Sorted(maps.Keys(seqs)) {
		l.seen++
		slices.Sort(seqs[order])
		for n, seq := range seqs[order] {
			if n > 0 && seq != seqs[order][n-1]+1 {
				l.broken(order, "the audit log has number %d after %d", seq, seqs[order][n-1])
			}
		}
	}
	l.checkChain()
}
