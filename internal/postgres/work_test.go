package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// addTask adds an order with one provision task.
func addTask(t testing.TB, db *pgtest.DB, s *postgres.DB, org pgtest.Org, with func(task *fulfil.Task)) app.TaskRef {
	t.Helper()
	agg := draft(db, org, 1)
	task := fulfil.Task{
		ID: newID[fulfil.Task](db), Tenant: org.ID, Order: agg.Order.ID, Item: agg.Order.Items[0].ID,
		Kind: fulfil.Provision, Queue: "sim", NextAt: db.Clock.Now(),
	}
	with(&task)
	agg.Tasks = []fulfil.Task{task}
	insert(t, s, agg)
	return app.TaskRef{Tenant: org.ID, Task: task.ID}
}

func TestDueTasksAreFairAndCompensatingOnesComeFirst(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	now := db.Clock.Now()
	plain := func(*fulfil.Task) {}
	first := addTask(t, db, worker, a, plain)
	addTask(t, db, worker, a, plain)
	compensating := addTask(t, db, worker, a, func(task *fulfil.Task) { task.Compensating = true })
	addTask(t, db, worker, a, func(task *fulfil.Task) { task.NextAt = now.Add(time.Second) })
	addTask(t, db, worker, a, func(task *fulfil.Task) { task.NextAt = time.Time{} }) // never due
	addTask(t, db, worker, a, func(task *fulfil.Task) { task.Queue = "other" })
	addTask(t, db, worker, a, func(task *fulfil.Task) { task.State = fulfil.Closed })
	only := addTask(t, db, worker, b, plain)
	open := addTask(t, db, worker, b, func(task *fulfil.Task) { task.State = fulfil.Open })

	got := must(worker.DueTasks(t.Context(), "sim", fulfil.Queued, now, 2))
	if diff := cmp.Diff([]app.TaskRef{compensating, first, only}, got); diff != "" {
		t.Errorf("two of each tenant (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]app.TaskRef{open}, must(worker.DueTasks(t.Context(), "sim", fulfil.Open, now, 2))); diff != "" {
		t.Errorf("the sweeper's (-want +got):\n%s", diff)
	}
	if err := worker.MarkOpen(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	if queued := must(worker.DueTasks(t.Context(), "sim", fulfil.Queued, now, 10)); len(queued) != 1 {
		t.Errorf("%d still queued, want the one of tenant a that was not returned", len(queued))
	}
}

func TestMarkOpenSkipsLockedTasks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	locked := addTask(t, db, worker, org, func(*fulfil.Task) {})
	free := addTask(t, db, worker, org, func(*fulfil.Task) {})
	super := db.Super(t)
	tx, err := super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `SELECT FROM saga_tasks WHERE id = $1 FOR UPDATE`, locked.Task.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.MarkOpen(t.Context(), []app.TaskRef{locked, free}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]app.TaskRef{locked},
		must(worker.DueTasks(t.Context(), "sim", fulfil.Queued, db.Clock.Now(), 10))); diff != "" {
		t.Errorf("still queued (-want +got):\n%s", diff)
	}
}

func TestOnlyQueuedTasksAreMarkedOpen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	for _, s := range []fulfil.TaskState{fulfil.Stuck, fulfil.Closed} {
		ref := addTask(t, db, worker, org, func(task *fulfil.Task) { task.State = s })
		if err := worker.MarkOpen(t.Context(), []app.TaskRef{ref}); err != nil {
			t.Fatal(err)
		}
		if got := must(worker.Load(t.Context(), org.ID, ref.Task)).Task(ref.Task).State; got != s {
			t.Errorf("a task that was %s is %s", s, got)
		}
	}
}

func TestManyTenantsAreMarkedInBatches(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	api, worker := db.API(t), db.Worker(t)
	var tasks []app.TaskRef
	for i := range 40 { // more than the 32 that one transaction may see
		org := db.Seed(t, api, "t"+string(rune('a'+i/26))+string(rune('a'+i%26)))
		tasks = append(tasks, addTask(t, db, worker, org, func(*fulfil.Task) {}))
	}
	if err := worker.MarkOpen(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	if got := must(worker.DueTasks(t.Context(), "sim", fulfil.Open, db.Clock.Now(), 1)); len(got) != 40 {
		t.Errorf("%d open, want 40", len(got))
	}
}

func TestTaskIsLoadedWithItsOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	ref := addTask(t, db, worker, a, func(*fulfil.Task) {})
	agg := must(worker.Load(t.Context(), a.ID, ref.Task))
	if agg.Task(ref.Task) == nil || len(agg.Order.Items) != 1 || agg.Customer.ID != member(a) {
		t.Errorf("loaded %+v", agg)
	}
	_, err := worker.Load(t.Context(), b.ID, ref.Task)
	if f := fault.Of(err); f == nil || f.Kind != fault.KindNotFound {
		t.Errorf("another tenant's task: %v", err)
	}
}

func TestSuccessorOfAClosedTaskTakesItsPlace(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	ref := addTask(t, db, worker, org, func(*fulfil.Task) {})
	o := must(worker.Load(t.Context(), org.ID, ref.Task)).Order.ID
	next := newID[fulfil.Task](db)
	change(t, worker, db, org, o, app.Also{}, func(agg *app.Aggregate) {
		again := agg.Tasks[0]
		agg.Tasks[0].State, agg.Tasks[0].Epoch = fulfil.Closed, agg.Tasks[0].Epoch+1
		again.ID = next
		agg.Tasks = append(agg.Tasks, again)
	})
	agg := must(worker.Load(t.Context(), org.ID, next))
	if len(agg.Tasks) != 2 || agg.Task(ref.Task).State != fulfil.Closed || agg.Task(next).State != fulfil.Queued {
		t.Errorf("tasks %+v", agg.Tasks)
	}
}

func TestExpiredOrdersOfAllTenants(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	a, b := db.Two(t)
	worker := db.Worker(t)
	var want []app.OrderRef
	for i, org := range []pgtest.Org{a, b, a} {
		agg := draft(db, org, 1)
		at := db.Clock.Now().Add(time.Duration(i-2) * time.Hour)
		agg.Order.ExpiresAt = &at
		insert(t, worker, agg)
		want = append(want, app.OrderRef{Tenant: org.ID, Order: agg.Order.ID})
	}
	insert(t, worker, draft(db, a, 1)) // never expires
	later := draft(db, a, 1)
	at := db.Clock.Now().Add(time.Microsecond)
	later.Order.ExpiresAt = &at
	insert(t, worker, later)
	if diff := cmp.Diff(want, must(worker.ExpiredOrders(t.Context(), db.Clock.Now(), 10))); diff != "" {
		t.Errorf("longest overdue first (-want +got):\n%s", diff)
	}
	if got := must(worker.ExpiredOrders(t.Context(), db.Clock.Now(), 2)); len(got) != 2 {
		t.Errorf("%d of a limit of 2", len(got))
	}
}

func TestOldKeysArePurgedAndYoungOnesStay(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	use := func(k string) (ran bool) {
		t.Helper()
		_ = api.InTenant(t.Context(), org.ID, app.With{Key: key(k)}, func(tx app.Tx) error {
			if err := tx.Begin(t.Context()); err != nil {
				return err
			}
			ran = true
			tx.Remember(app.Answer{Status: 200})
			return nil
		})
		return ran
	}
	use("old")
	db.Clock.Advance(72 * time.Hour)
	use("young")
	if err := db.Worker(t).PurgeKeys(t.Context(), db.Clock.Now().Add(-72*time.Hour).Add(time.Second), 5000); err != nil {
		t.Fatal(err)
	}
	if !use("old") || use("young") {
		t.Error("the purge removed the wrong keys")
	}
}

func TestAPaymentWebhookIsStoredOnlyOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	api, worker := db.API(t), db.Worker(t)
	w := app.PaymentWebhook{
		Provider: "demo", EventID: "e-1", Headers: map[string][]string{"X-Signature": {"a", "b"}},
		Raw: []byte{0, 255, '{'}, ReceivedAt: db.Clock.Now(),
	}
	again := w
	again.Raw = []byte("other")
	for _, call := range []app.PaymentWebhook{w, again} {
		if err := api.KeepPaymentWebhook(t.Context(), call); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]app.PaymentWebhook{w}, must(worker.OpenPaymentWebhooks(t.Context(), 10))); diff != "" {
		t.Errorf("open (-want +got):\n%s", diff)
	}
	if err := worker.FinishPaymentWebhook(t.Context(), "demo", "e-1", db.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := api.KeepPaymentWebhook(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if open := must(worker.OpenPaymentWebhooks(t.Context(), 10)); len(open) != 0 {
		t.Errorf("processed and open again: %+v", open)
	}
}

func TestARefusedRecordIsStoredOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	r := app.Refusal{
		Consumer: "billing", TopicID: db.Clock.NewID(), Partition: 3, Offset: 42, Code: "tenant-mismatch",
		Headers: map[string]string{"ce_id": "x"}, At: db.Clock.Now(),
	}
	for range 2 {
		if err := worker.Refuse(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	got := textColumn(t, db.Super(t), `
		SELECT consumer || ' ' || part || ' ' || off || ' ' || code || ' ' || (headers ->> 'ce_id')
		FROM refused_record`)
	if diff := cmp.Diff([]string{"billing 3 42 tenant-mismatch x"}, got); diff != "" {
		t.Errorf("refused records (-want +got):\n%s", diff)
	}
}

func TestConsumersOfAllProcessesAreAddedUp(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	worker := db.Worker(t)
	put := func(instance string, list ...app.ConsumerStatus) {
		t.Helper()
		if err := worker.PutConsumerStatus(t.Context(), instance, list); err != nil {
			t.Fatal(err)
		}
	}
	read := func(without string, want ...app.ConsumerStatus) {
		t.Helper()
		if diff := cmp.Diff(want, must(db.API(t).ConsumerStatus(t.Context(), without))); diff != "" {
			t.Errorf("without %q (-want +got):\n%s", without, diff)
		}
	}
	audit := app.ConsumerStatus{Group: "audit", Name: "audit", Lag: 1500 * time.Millisecond, LagEvents: 8, Applied: 7}
	billing := app.ConsumerStatus{
		Group: "billing", Name: "billing", Lag: time.Second, LagEvents: 20, Applied: 10, Duplicates: 1, Retried: 2,
		Parked: 3, Blocked: 4, Refused: 5, Stopped: 6,
	}
	put("one", audit, app.ConsumerStatus{Group: "billing", Name: "billing", Applied: 1})
	put("one", audit, billing) // replaces the earlier status of the process
	put("two", app.ConsumerStatus{Group: "billing", Name: "billing", Lag: 2 * time.Second, LagEvents: 200, Applied: 100})
	both := billing
	both.Lag, both.LagEvents, both.Applied = 2*time.Second, 220, 110
	read("", audit, both)
	read("two", audit, billing)
	db.Clock.Advance(31 * time.Second)
	read("")
	put("two", app.ConsumerStatus{Group: "billing", Name: "billing", Applied: 101})
	read("", app.ConsumerStatus{Group: "billing", Name: "billing", Applied: 101})
	rows := textColumn(t, db.Super(t), `SELECT consumer || ' ' || instance FROM consumer_status`)
	if diff := cmp.Diff([]string{"billing two"}, rows); diff != "" {
		t.Errorf("rows; those of processes that ended must be deleted (-want +got):\n%s", diff)
	}
}

func TestTaskThatMovedMeanwhileStopsTheCommit(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	worker := db.Worker(t)
	ref := addTask(t, db, worker, org, func(task *fulfil.Task) { task.Epoch = 3 })
	o := must(worker.Load(t.Context(), org.ID, ref.Task)).Order.ID
	super := db.Super(t)
	_, err := tryChange(t, worker, db, org, o, app.Also{}, func(agg *app.Aggregate) {
		// A write that ignores the order's lock moves the task in between.
		if _, err := super.Exec(t.Context(), `UPDATE saga_tasks SET epoch = epoch + 1`); err != nil {
			t.Fatal(err)
		}
		agg.Tasks[0].Epoch++
		agg.Order.Record(order.Event{Type: order.EvUpdated})
	})
	if sqlState(err) != "PF001" {
		t.Errorf("got %v, want the fence", err)
	}
	if agg := must(worker.Load(t.Context(), org.ID, ref.Task)); agg.Tasks[0].Epoch != 4 || agg.Order.LastSeq != 1 {
		t.Errorf("epoch %d, last seq %d: part was committed", agg.Tasks[0].Epoch, agg.Order.LastSeq)
	}
}
