package invariant_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/invariant"
)

func TestAHealthyInstallationHasNoViolation(t *testing.T) {
	t.Parallel()
	for _, v := range invariant.Check(healthy(t)) {
		t.Error(v)
	}
	for _, r := range invariant.Examine(healthy(t)) {
		if r.Checked && r.Seen == 0 {
			t.Errorf("%s was checked for nothing: the healthy facts do not cover it", r.Invariant)
		}
	}
}

func row[T any](t *testing.T, rows []T, match func(T) bool) *T {
	t.Helper()
	i := slices.IndexFunc(rows, match)
	if i < 0 {
		t.Fatal("the healthy facts have no such row")
	}
	return &rows[i]
}

func orderOf(t *testing.T, f *invariant.Facts, id string) *invariant.Order {
	t.Helper()
	return row(t, f.Orders, func(o invariant.Order) bool { return o.ID == id })
}

func itemOf(t *testing.T, f *invariant.Facts, id string) *invariant.Item {
	t.Helper()
	return row(t, f.Items, func(i invariant.Item) bool { return i.ID == id })
}

func taskOf(t *testing.T, f *invariant.Facts, kind, item string) *invariant.Task {
	t.Helper()
	return row(t, f.Tasks, func(u invariant.Task) bool { return u.Kind == kind && u.Item == item })
}

func callOf(t *testing.T, f *invariant.Facts, item, operation, step string) *invariant.Call {
	t.Helper()
	return row(t, f.Cloud.Log, func(c invariant.Call) bool {
		return c.Item == item && c.Operation == operation && c.Step == step
	})
}

// damage makes the healthy facts break one promise.
type damage struct {
	invariant, what string
	do              func(t *testing.T, f *invariant.Facts)
}

func damages() []damage {
	return []damage{
		{"I1", "an order's row says another state than its events", func(t *testing.T, f *invariant.Facts) {
			orderOf(t, f, "order-D").State = "pending_payment"
			orderOf(t, f, "order-D").Expires = true
		}},
		{"I3", "a record on the topic has other bytes", func(_ *testing.T, f *invariant.Facts) {
			f.Topic.Records[5].Value = append([]byte(" "), f.Topic.Records[5].Value...)
		}},
		{"I3", "an event never got to the topic", func(_ *testing.T, f *invariant.Facts) {
			f.Topic.Records = f.Topic.Records[:len(f.Topic.Records)-1]
		}},
		{"I3", "the audit log misses the last event", func(_ *testing.T, f *invariant.Facts) {
			f.AuditLog = f.AuditLog[:len(f.AuditLog)-1]
		}},
		{"I3", "a record on the topic is not one of the events", func(_ *testing.T, f *invariant.Facts) {
			f.Topic.Records = append(f.Topic.Records, invariant.Record{
				Partition: 1, Key: "x", Headers: []invariant.Header{
					{Key: "ce_id", Value: "forged"},
					{Key: "ce_subject", Value: "order-Z"},
				},
			})
		}},
		{"I3", "the Audit consumer found a fault", func(_ *testing.T, f *invariant.Facts) {
			f.Findings = []invariant.Finding{
				{
					Tenant: acme, Kind: "duplicate", Order: "order-A", Partition: 3, Offset: 7,
					Detail: "number 2 stood at 3/1 already (n 2)",
				},
			}
		}},
		{"I4", "two events of an order changed places on the topic", func(_ *testing.T, f *invariant.Facts) {
			r := f.Topic.Records
			r[1].Offset, r[2].Offset = r[2].Offset, r[1].Offset
		}},
		{"I4", "a record carries another tenant", func(_ *testing.T, f *invariant.Facts) {
			for i, h := range f.Topic.Records[4].Headers {
				if h.Key == "ce_tenantid" {
					f.Topic.Records[4].Headers[i].Value = "tenant-other"
				}
			}
		}},
		{"I5", "an event is on the topic twice", func(_ *testing.T, f *invariant.Facts) {
			again := f.Topic.Records[len(f.Topic.Records)-1]
			again.Offset++
			f.Topic.Records = append(f.Topic.Records, again)
		}},
		{"I6", "a consumer skipped the last event that was routed to it", func(t *testing.T, f *invariant.Facts) {
			row(t, f.Checkpoints, func(m invariant.Checkpoint) bool {
				return m.Order == "order-A" && m.Consumer == "portal-analytics"
			}).Seq--
		}},
		{"I6", "a checkpoint is at an event that was not routed to its consumer", func(t *testing.T, f *invariant.Facts) {
			row(t, f.Checkpoints, func(m invariant.Checkpoint) bool {
				return m.Order == "order-A" && m.Consumer == "provision"
			}).Seq = 1
		}},
		{"I6", "an event is parked without a dead letter", func(t *testing.T, f *invariant.Facts) {
			m := row(t, f.Checkpoints, func(m invariant.Checkpoint) bool {
				return m.Order == "order-A" && m.Consumer == "portal-analytics"
			})
			m.Parked, m.BlockedTo, m.Seq = m.Seq, m.Seq, m.Seq-1
		}},
		{"I6", "an event is parked that was not routed to its consumer", func(t *testing.T, f *invariant.Facts) {
			m := row(t, f.Checkpoints, func(m invariant.Checkpoint) bool {
				return m.Order == "order-A" && m.Consumer == "provision"
			})
			m.Parked, m.BlockedTo = 1, m.Seq
		}},
		{"I6", "Notify applied an event twice", func(t *testing.T, f *invariant.Facts) {
			again := *row(t, f.Tasks, func(u invariant.Task) bool { return u.Kind == "notify" })
			again.ID = "task-again"
			f.Tasks = append(f.Tasks, again)
		}},
		{"I6", "Billing lost a receipt", func(t *testing.T, f *invariant.Facts) {
			*row(t, f.Receipts, func(r invariant.Receipt) bool {
				return r.Order == "order-A" && r.Type == "order.fulfilled"
			}) = f.Receipts[len(f.Receipts)-1]
			f.Receipts = f.Receipts[:len(f.Receipts)-1]
		}},
		{"I6", "Billing kept a receipt twice", func(t *testing.T, f *invariant.Facts) {
			f.Receipts = append(f.Receipts, *row(t, f.Receipts, func(r invariant.Receipt) bool {
				return r.Type == "order.submitted"
			}))
		}},
		{"I7", "Billing's ledger misses a refund", func(t *testing.T, f *invariant.Facts) {
			row(t, f.Receipts, func(r invariant.Receipt) bool { return r.Order == "order-B" && r.Moved < 0 }).Moved = 0
		}},
		{"I7", "Billing's ledger has a cent too much of a payment", func(t *testing.T, f *invariant.Facts) {
			row(t, f.Receipts, func(r invariant.Receipt) bool { return r.Moved > 0 }).Moved++
		}},
		{"I7", "Billing found money left at an order's end", func(_ *testing.T, f *invariant.Facts) {
			f.BillingFindings = []invariant.BillingFinding{{Tenant: acme, Order: "order-C", Seq: 7, Cents: 2010}}
		}},
		{"I7", "a payment is a cent more than its allocations", func(_ *testing.T, f *invariant.Facts) {
			f.Payments[0].PaidCents++
		}},
		{"I7", "an order moved on without a payment", func(t *testing.T, f *invariant.Facts) {
			row(t, f.Payments, func(p invariant.Payment) bool { return p.Order == "order-H" }).State = "reverted"
		}},
		{"I9", "one reference is captured twice", func(_ *testing.T, f *invariant.Facts) {
			f.Payments[1].Reference = f.Payments[0].Reference
		}},
		{"I9", "a refund that is not accepted yet is not its allocation", func(t *testing.T, f *invariant.Facts) {
			r := row(t, f.Refunds, func(r invariant.Refund) bool { return r.Order == "order-F" })
			r.State, r.Cents = "requested", 2011
			row(t, f.Receipts, func(x invariant.Receipt) bool { return x.Subject == r.ID }).Moved = 0
			row(t, f.Tasks, func(u invariant.Task) bool { return u.Kind == "refund" && u.Order == "order-F" }).State = "queued"
		}},
		{"I10", "a resource with our label belongs to no item", func(_ *testing.T, f *invariant.Facts) {
			f.Cloud.Live = append(f.Cloud.Live, invariant.Resource{
				ID: "server-999", Name: "pf-planted", Kind: "server", Phase: "ready", Labels: map[string]string{
					"pf-inst": "test",
					"pf-item": "item-nobody",
				},
			})
		}},
		{"I10", "a resource has no label", func(_ *testing.T, f *invariant.Facts) {
			f.Cloud.Live = append(f.Cloud.Live, invariant.Resource{
				ID: "server-998", Name: "by-hand", Kind: "server", Phase: "ready",
			})
		}},
		{"I10", "a leftover of an item that was rolled back", func(_ *testing.T, f *invariant.Facts) {
			f.Cloud.Live = append(f.Cloud.Live, invariant.Resource{
				ID: "child-volume-7", Name: "pf-item-B2-volume-1-7", Kind: "child-volume", Phase: "ready",
				Labels: map[string]string{"pf-item": "item-B2"},
			})
		}},
		{"I10", "a duplicate of what was delivered", func(_ *testing.T, f *invariant.Facts) {
			f.Cloud.Live = append(f.Cloud.Live, invariant.Resource{
				ID: "server-997", Name: "another-name", Kind: "server", Phase: "ready",
				Labels: map[string]string{"pf-item": "item-A1"},
			})
		}},
		{"I10", "what was delivered is gone", func(_ *testing.T, f *invariant.Facts) {
			f.Cloud.Live = slices.DeleteFunc(f.Cloud.Live, func(r invariant.Resource) bool {
				return r.Labels["pf-item"] == "item-A2" && r.Kind == "port"
			})
		}},
		{"I11", "one key is used for two items", func(t *testing.T, f *invariant.Facts) {
			callOf(t, f, "item-A2", "create", "port").Key = callOf(t, f, "item-A1", "create", "port").Key
		}},
		{"I11", "a generation fell", func(t *testing.T, f *invariant.Facts) {
			c := callOf(t, f, "item-H1", "create", "port")
			c.Generation = "2"
			again := *c
			again.Generation, again.Key, again.At = "1", "pf-older", c.At.Add(3*time.Second)
			itemOf(t, f, "item-H1").Generation = 2
			f.Cloud.Log = append(f.Cloud.Log, again)
		}},
		{"I12", "a failed order has an open refund", func(t *testing.T, f *invariant.Facts) {
			r := row(t, f.Refunds, func(r invariant.Refund) bool { return r.Item == "item-E1" })
			r.State, r.AcceptedAt = "requested", time.Time{}
			row(t, f.Receipts, func(x invariant.Receipt) bool { return x.Subject == r.ID }).Moved = 0
			taskOf(t, f, "refund", "item-E1").State = "queued"
			orderOf(t, f, "order-E").Settlement = "compensating"
		}},
		{"I13", "the outcome says more than was delivered", func(t *testing.T, f *invariant.Facts) {
			orderOf(t, f, "order-B").Outcome = "full"
		}},
		{"I13", "the settlement hides what is stuck", func(t *testing.T, f *invariant.Facts) {
			orderOf(t, f, "order-F").Settlement = "settled"
		}},
		{"I13", "an item is delivered, but no mail server accepted its mail", func(_ *testing.T, f *invariant.Facts) {
			f.Deliveries[0].State = "asked"
		}},
		{"I14", "an order in progress has no live task", func(t *testing.T, f *invariant.Facts) {
			taskOf(t, f, "provision", "item-H1").State = "stuck"
		}},
		{"I15", "an item that was delivered is worked on", func(t *testing.T, f *invariant.Facts) {
			taskOf(t, f, "provision", "item-A1").State = "queued"
		}},
		{"I16", "a seventh call", seventhCall},
		{"I16", "a retry came early", func(t *testing.T, f *invariant.Facts) {
			c := callOf(t, f, "item-A1", "look", "server")
			c.At = c.At.Add(50 * time.Millisecond)
			create := callOf(t, f, "item-A1", "create", "server")
			create.At = create.At.Add(50 * time.Millisecond)
			next := row(t, f.Cloud.Log, func(o invariant.Call) bool {
				return o.Item == "item-A1" && o.Operation == "look" && o.At.After(create.At)
			})
			next.At = c.At.Add(1990 * time.Millisecond)
		}},
		{"I16", "a retry came late", lateRetry},
		{"I16", "a hard refusal was tried again", func(t *testing.T, f *invariant.Facts) {
			c := *callOf(t, f, "item-E2", "create", "server")
			c.At, c.Result = c.At.Add(3*time.Second), "maintenance"
			at := slices.IndexFunc(f.Cloud.Log, func(c invariant.Call) bool {
				return c.Item == "item-E2" && c.Operation == "delete"
			})
			f.Cloud.Log = slices.Insert(f.Cloud.Log, at, c)
		}},
		{"I16", "a delete was refused a seventh time", func(t *testing.T, f *invariant.Facts) {
			f.Cloud.Log = append(f.Cloud.Log, *callOf(t, f, "item-F1", "delete", "port"))
		}},
		{"I17", "a dead letter has no hash", func(_ *testing.T, f *invariant.Facts) { f.DeadLetters[0].Hash = nil }},
		{"I17", "a dead letter never got to its topic", func(_ *testing.T, f *invariant.Facts) {
			f.Topic.DeadLetters = f.Topic.DeadLetters[1:]
		}},
		{"I17", "a dead letter was settled without a reason", func(_ *testing.T, f *invariant.Facts) {
			f.DeadLetters[0].Reason = ""
		}},
		{"I17", "one person signed an abandonment twice", func(_ *testing.T, f *invariant.Facts) {
			d := &f.DeadLetters[0]
			d.State, d.AbandonReason, d.Proof, d.FirstBy, d.SecondBy = "abandoned", "removed_by_hand", "ticket", "olga", "olga"
		}},
		{"I18", "a volume was removed before the instance that uses it", func(t *testing.T, f *invariant.Facts) {
			a, b := callOf(t, f, "item-B2", "delete", "volume"), callOf(t, f, "item-B2", "delete", "instance")
			a.Step, b.Step = b.Step, a.Step
		}},
		{"I18", "all or nothing, but the item created first was removed first", func(t *testing.T, f *invariant.Facts) {
			swap(callOf(t, f, "item-E1", "delete", "port"), callOf(t, f, "item-E2", "delete", "port"))
		}},
		{"I19", "a snapshot's price changed after delivery", func(t *testing.T, f *invariant.Facts) {
			it := itemOf(t, f, "item-A1")
			it.Snapshot = bytes.ReplaceAll(it.Snapshot, []byte(`"monthly_cents":2010`), []byte(`"monthly_cents":2000`))
		}},
		{"I19", "the total is not what was submitted", func(t *testing.T, f *invariant.Facts) {
			orderOf(t, f, "order-C").DueCents = 2000
		}},
		{"I20", "two keys created the same order", func(_ *testing.T, f *invariant.Facts) {
			again := f.Answers[0]
			again.Key = "key-2"
			f.Answers = append(f.Answers, again)
		}},
		{"I20", "a replay had other bytes", func(_ *testing.T, f *invariant.Facts) { f.Replays[0].Again = []byte("two") }},
		{"I22", "a login may rewrite the log", func(_ *testing.T, f *invariant.Facts) {
			f.Grants = append(f.Grants, invariant.Grant{Login: "platforma_api", Table: "order_event", Privilege: "UPDATE"})
		}},
		{"I22", "there were more orders before", func(_ *testing.T, f *invariant.Facts) { f.Earlier["orders"] = 9 }},
		{"I22", "an entry of the audit log was changed", func(_ *testing.T, f *invariant.Facts) {
			f.AuditLog[4].SeenAt = f.AuditLog[4].SeenAt.Add(time.Hour)
		}},
		{"I22", "an entry of the audit log was changed, and its hash adjusted", func(_ *testing.T, f *invariant.Facts) {
			f.AuditLog[4].Offset += 100
			f.AuditLog[4] = link(f.AuditLog[4])
		}},
		{"I22", "two writers forked the audit log", func(_ *testing.T, f *invariant.Facts) {
			f.AuditLog[5].N = f.AuditLog[4].N
		}},
		{"I23", "a password is in the saga log", func(_ *testing.T, f *invariant.Facts) {
			f.Log = append(f.Log, invariant.LogLine{Tenant: acme, Order: "order-A", Note: "login with CANARY-item-A1-ABCDEFGH"})
		}},
		{"I23", "an item's address is in a log line", func(_ *testing.T, f *invariant.Facts) {
			var doc struct {
				Address string `json:"ip_address"`
			}
			_ = json.Unmarshal(f.Cloud.Secrets[0].Document, &doc)
			f.Texts = []invariant.Text{{Where: "the log", Text: "connected to " + doc.Address}}
		}},
		{"I23", "a mail carries a password in base64", func(_ *testing.T, f *invariant.Facts) {
			leak := base64.StdEncoding.EncodeToString([]byte("Your password is CANARY-item-A1-ABCDEFGH."))
			f.Mailbox.Mails[0].Raw = bytes.ReplaceAll(f.Mailbox.Mails[0].Raw, []byte("aGVsbG8="), []byte(leak))
		}},
		{"I23", "a delivery is accepted, but its mail did not arrive", func(_ *testing.T, f *invariant.Facts) {
			f.Mailbox.Mails = f.Mailbox.Mails[1:]
		}},
		{"I25", "an order is counted twice", func(_ *testing.T, f *invariant.Facts) { f.Days[2].Amounts[0]++ }},
		{"I25", "a refund was never counted", func(_ *testing.T, f *invariant.Facts) { f.Days[6].Amounts[1] -= 2010 }},
		{"I25", "an emptied day still has an order", func(_ *testing.T, f *invariant.Facts) { f.Days[5].Amounts[0] = 1 }},
		{"I25", "the days are those of another time zone", func(_ *testing.T, f *invariant.Facts) {
			f.Rollups[0].Zone = "Pacific/Pago_Pago"
		}},
		{"I25", "a tenant was never counted", func(_ *testing.T, f *invariant.Facts) { f.Rollups, f.Days = nil, nil }},
	}
}

// lateRetry makes a retry of item-A1 come 5 s too late.
func lateRetry(_ *testing.T, f *invariant.Facts) {
	f.Slack = time.Millisecond // the retries of the healthy facts take 50 ms more
	f.Cloud.Log = slices.DeleteFunc(f.Cloud.Log, func(c invariant.Call) bool { return c.Item == "item-B2" })
	for i := range f.Cloud.Log {
		if c := &f.Cloud.Log[i]; c.Item == "item-A1" && c.Step == "server" && c.Result == "created" {
			f.Cloud.Log[i-1].At = c.At.Add(5 * time.Second)
		}
	}
}

// An open circuit breaker, a refused login and a used-up budget keep a call from the provider. Only the saga log shows
// them, not the provider's log.
func TestARetryThatWasDelayedByTheGuardIsNotLate(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"suspended", "rate-limited"} {
		f := healthy(t)
		lateRetry(t, &f)
		late := invariant.Check(f)
		if len(late) != 1 || late[0].Invariant != "I16" {
			t.Fatalf("the late retry breaks %v, want I16 once", late)
		}
		task := taskOf(t, &f, "provision", "item-A1")
		first := callOf(t, &f, "item-A1", "create", "server")
		f.Log = append(f.Log, invariant.LogLine{
			Tenant: acme, Order: task.Order, Task: task.ID, At: first.At.Add(time.Second), Step: "server",
			What: "answer", Class: class,
		})
		if found := invariant.Check(f); len(found) > 0 {
			t.Errorf("delayed (%s): %v", class, found)
		}
	}
}

// overtaken makes the create of item-E2's port reach the provider before that of item-E1, which was decided first.
func overtaken(t *testing.T, f *invariant.Facts) {
	t.Helper()
	for _, operation := range []string{"look", "create"} { // each create begins with a look
		swap(callOf(t, f, "item-E1", operation, "port"), callOf(t, f, "item-E2", operation, "port"))
	}
}

// swap exchanges two calls in the log.
func swap(a, b *invariant.Call) {
	*a, *b = *b, *a
	a.At, b.At = b.At, a.At
}

// Two workers' creates may overtake each other on the way to the provider. The order of their intents then decides
// which one is removed first.
func TestConcurrentCreatesAreRemovedInTheReverseOrderOfTheirIntents(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	overtaken(t, &f)
	if found := invariant.Check(f); len(found) != 1 || found[0].Invariant != "I18" {
		t.Fatalf("the second create was decided after the first had arrived: %v; want I18 once", found)
	}
	task := taskOf(t, &f, "provision", "item-E2")
	intent := row(t, f.Log, func(g invariant.LogLine) bool {
		return g.Task == task.ID && g.Step == "port" && g.What == "intent"
	})
	intent.At = callOf(t, &f, "item-E2", "create", "port").At.Add(-time.Millisecond)
	if found := invariant.Check(f); len(found) > 0 {
		t.Errorf("both creates were in flight: %v", found)
	}
	swap(callOf(t, &f, "item-E1", "delete", "port"), callOf(t, &f, "item-E2", "delete", "port"))
	if found := invariant.Check(f); len(found) != 1 || found[0].Invariant != "I18" {
		t.Errorf("both in flight, and the one decided first was removed first: %v; want I18 once", found)
	}
}

// A failed resource that is removed in the same moment in which its item's compensation begins does not belong to the
// compensation, unless the compensation has an intent for it. Otherwise it has no place in the reverse order.
func TestAFailedResourceRemovedWhenCompensationBeginsHasNoPlaceInTheReverseOrder(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	removal := *callOf(t, &f, "item-E1", "delete", "port")
	for _, e := range f.Events {
		if e.Order == "order-E" && e.Type == "order.item-compensating" {
			removal.At = e.At // the last event: item-E1 compensates after item-E2
		}
	}
	at := slices.IndexFunc(f.Cloud.Log, func(c invariant.Call) bool {
		return c.Item == "item-E2" && c.Operation == "delete"
	})
	f.Cloud.Log = slices.Insert(f.Cloud.Log, at, removal)
	if found := invariant.Check(f); len(found) > 0 {
		t.Errorf("removed before the compensation: %v", found)
	}
	task := taskOf(t, &f, "provision", "item-E1")
	f.Log = append(f.Log, invariant.LogLine{
		Tenant: acme, Order: task.Order, Task: task.ID, At: removal.At, Step: "port", What: "intent",
	})
	if found := invariant.Check(f); len(found) != 2 || found[0].Invariant != "I18" || found[1].Invariant != "I18" {
		t.Errorf("removed by the compensation: %v; want I18 twice, within the item and within the order", found)
	}
}

// seventhCall makes one more create of item-B2's instance before its compensation.
func seventhCall(t *testing.T, f *invariant.Facts) {
	t.Helper()
	c := *callOf(t, f, "item-B2", "create", "instance")
	at := slices.IndexFunc(f.Cloud.Log, func(c invariant.Call) bool {
		return c.Item == "item-B2" && c.Operation == "delete"
	})
	c.At = f.Cloud.Log[at].At
	f.Cloud.Log = slices.Insert(f.Cloud.Log, at, c)
}

// Waiting for capacity uses up no call (D5), even if the provider accepts the call first and finds no capacity later.
// The provider's log then does not say it.
func TestACallThatFoundNoCapacityLaterIsNoneOfTheSix(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	seventhCall(t, &f)
	task := taskOf(t, &f, "provision", "item-B2")
	noCapacity := invariant.LogLine{
		Tenant: task.Tenant, Order: task.Order, Task: task.ID, At: callOf(t, &f, "item-B2", "delete", "instance").At,
		Step: "volume", What: "answer", Class: "capacity",
	}
	f.Log = append(f.Log, noCapacity)
	if found := invariant.Check(f); len(found) != 1 || found[0].Invariant != "I16" {
		t.Errorf("another step without capacity excuses the seventh call: %v", found)
	}
	f.Log[len(f.Log)-1].Step = "instance"
	if found := invariant.Check(f); len(found) > 0 {
		t.Errorf("its own step without capacity: %v", found)
	}
}

// Each row damages the healthy facts in one way, and exactly one promise is broken.
func TestEachDamageBreaksItsPromiseAndNoOther(t *testing.T) {
	t.Parallel()
	for _, c := range damages() {
		t.Run(c.invariant+" "+c.what, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			c.do(t, &f)
			found := invariant.Check(f)
			if len(found) == 0 {
				t.Fatalf("nothing was found: %s", c.what)
			}
			for _, v := range found {
				if v.Invariant != c.invariant && v.Invariant != "I25" { // wrong rows also make the figures wrong
					t.Errorf("also found %s", v)
				}
			}
		})
	}
}

func TestEveryCheckedPromiseHasADamage(t *testing.T) {
	t.Parallel()
	want := strings.Fields("I1 I3 I4 I5 I6 I7 I9 I10 I11 I12 I13 I14 I15 I16 I17 I18 I19 I20 I22 I23 I25")
	if diff := cmp.Diff(want, invariant.Names()); diff != "" {
		t.Errorf("Names() (-want +got):\n%s", diff)
	}
	var shown []string
	for _, d := range damages() {
		if !slices.Contains(shown, d.invariant) {
			shown = append(shown, d.invariant)
		}
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("promises with a damage (-want +got):\n%s", diff)
	}
}

func TestEveryMoveInTheEventsIsChecked(t *testing.T) {
	t.Parallel()
	// Each case replaces text in the data of one of order A's events. Topic and audit log are not checked, so that
	// only the chain of moves is wrong.
	for name, c := range map[string]struct {
		kind, old, new string
	}{
		"a state is left out":          {"order.validating", `"from":"payment_confirmed"`, `"from":"pending_payment"`},
		"a move that does not exist":   {"order.fulfilled", `"to":"fulfilled"`, `"to":"draft"`},
		"an item jumps to active":      {"order.provisioning-started", `"state":"queued"`, `"state":"active"`},
		"an item's fact contradicts":   {"order.item-retrying", `"from":"provisioning"`, `"from":"queued"`},
		"an item disappears":           {"order.validating", `"id":"item-A1"`, `"id":"item-other"`},
		"the first event is elsewhere": {"order.created", `"from":"draft"`, `"from":"cancelled"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := healthy(t)
			f.Topic, f.AuditLog = nil, nil
			e := row(t, f.Events, func(e invariant.Event) bool { return e.Order == "order-A" && e.Type == c.kind })
			changed := bytes.ReplaceAll(e.Data, []byte(c.old), []byte(c.new))
			if bytes.Equal(changed, e.Data) {
				t.Fatalf("the data of %s does not hold %s", c.kind, c.old)
			}
			e.Data = changed
			var found []string
			for _, r := range invariant.Examine(f) {
				if len(r.Violations) > 0 {
					found = append(found, r.Invariant)
				}
			}
			if !slices.Contains(found, "I1") {
				t.Errorf("Examine() found %v broken, want I1", found)
			}
		})
	}
}

func TestAClosingOrderMustNotMoveForward(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	f.Topic, f.AuditLog = nil, nil
	paid := row(t, f.Events, func(e invariant.Event) bool {
		return e.Order == "order-H" && e.Type == "order.payment-confirmed"
	})
	requested := *paid
	requested.Type, requested.ID = "order.cancel-requested", "event-requested"
	requested.Data = bytes.ReplaceAll(requested.Data,
		[]byte(`"from":"pending_payment"`), []byte(`"from":"payment_confirmed"`))
	requested.Seq = paid.Seq + 1
	for i := range f.Events {
		if f.Events[i].Order == "order-H" && f.Events[i].Seq > paid.Seq {
			f.Events[i].Seq++
		}
	}
	f.Events = append(f.Events, requested)
	found := false
	for _, v := range invariant.Check(f) {
		found = found || v.Invariant == "I1" && strings.Contains(v.Detail, "moves a closing order forward")
	}
	if !found {
		t.Errorf("Check() does not report that a closing order was validated: %v", invariant.Check(f))
	}
}

func TestWhatIsNotAtRestMayStillBeInProgress(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	f.AtRest = false
	last := len(f.Events) - 1
	e := f.Events[last]
	f.Outbox = []invariant.Outbox{{Tenant: acme, Order: e.Order, Seq: e.Seq}}
	f.Topic.Records = f.Topic.Records[:last]
	f.AuditLog = f.AuditLog[:last]
	for i := range f.Checkpoints {
		if f.Checkpoints[i].Order == e.Order && f.Checkpoints[i].Seq == e.Seq {
			f.Checkpoints[i].Seq-- // order.provisioning-started, which is routed to the figures
		}
	}
	for _, v := range invariant.Check(f) {
		t.Errorf("in progress: %s", v)
	}
	f.AtRest = true
	if len(invariant.Check(f)) == 0 {
		t.Error("at rest: Check() = nothing, want I3 and I6")
	}
}

func TestEventsThatRetentionRemovedFromTheTopicAreNotMissing(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	f.Topic.Records = f.Topic.Records[20:]
	f.Topic.Horizon = f.Events[20].At
	f.Topic.DeadLetters = nil
	f.DeadLetters = nil
	for _, v := range invariant.Check(f) {
		if v.Invariant == "I3" || v.Invariant == "I4" {
			t.Errorf("older than the horizon: %s", v)
		}
	}
	f.Topic.Horizon = time.Time{}
	isI3 := func(v invariant.Violation) bool { return v.Invariant == "I3" }
	if found := invariant.Check(f); !slices.ContainsFunc(found, isI3) {
		t.Errorf("without a horizon Check() does not report the missing events: %v", found)
	}
}

func TestARateLimitedCallIsNoneOfTheSix(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	at := slices.IndexFunc(f.Cloud.Log, func(c invariant.Call) bool {
		return c.Item == "item-B2" && c.Operation == "look" && c.Step == "instance"
	})
	limited := f.Cloud.Log[at]
	limited.Result = "rate_limited"
	f.Cloud.Log = slices.Insert(f.Cloud.Log, at, limited, limited, limited)
	for _, v := range invariant.Check(f) {
		t.Errorf("after three answers with 429: %s", v)
	}
}

func TestAStuckItemNeedsAnOpenDeadLetter(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	for i := range f.DeadLetters {
		if d := &f.DeadLetters[i]; d.Order == "order-F" {
			d.State, d.Reason, d.ClosedAt = "closed", "no reason at all", f.At
		}
	}
	var found []string
	for _, r := range invariant.Examine(f) {
		if len(r.Violations) > 0 {
			found = append(found, r.Invariant)
		}
	}
	if diff := cmp.Diff([]string{"I10", "I14"}, found); diff != "" {
		t.Errorf("broken promises (-want +got):\n%s", diff)
	}
}

func TestTheReportSaysWhatWasNotCheckedAndWhy(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	f.Topic, f.Cloud, f.Mailbox = nil, nil, nil
	f.Payments[0].PaidCents++
	results := invariant.Examine(f)
	var out bytes.Buffer
	if err := invariant.Report(&out, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"I5   not checked          0  a read_committed reader sees each event once\n",
		"(no topic was read)",
		"I7   BROKEN",
		"I9   holds",
		"15 of 25 promises checked, 3 violations\n",
		"  I7: order order-A: payment ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not contain %q:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := invariant.ReportJSON(&out, results); err != nil {
		t.Fatal(err)
	}
	var read []invariant.Result
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatalf("the JSON cannot be decoded: %v", err)
	}
	if diff := cmp.Diff(results, read); diff != "" {
		t.Errorf("decoded results (-want +got):\n%s", diff)
	}
	if !invariant.Broken(results) {
		t.Error("Broken() = false with a violation")
	}
}
