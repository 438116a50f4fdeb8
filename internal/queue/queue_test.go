package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
	"github.com/platforma-cloud/orders/internal/queue"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// memorySource is an app.WorkSource in memory; the jobs that point at its tasks are in River's real tables.
type memorySource struct {
	mu     sync.Mutex
	states map[fulfil.TaskID]fulfil.TaskState // guarded by mu
	onPoll func(ctx context.Context)          // called by each DueTasks, when set
}

var org = id.MustParse[tenant.Tenant]("01890000-0000-7000-8000-000000000001")

func (m *memorySource) put(taskID fulfil.TaskID, s fulfil.TaskState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[taskID] = s
}

func (m *memorySource) get(taskID fulfil.TaskID) fulfil.TaskState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[taskID]
}

func (m *memorySource) DueTasks(
	ctx context.Context, name string, s fulfil.TaskState, _ time.Time, _ int,
) ([]app.TaskRef, error) {
	if m.onPoll != nil {
		m.onPoll(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var due []app.TaskRef
	for taskID, state := range m.states {
		if name == "work" && state == s {
			due = append(due, app.TaskRef{Tenant: org, Task: taskID})
		}
	}
	return due, nil
}

func (m *memorySource) MarkOpen(_ context.Context, tasks []app.TaskRef) error {
	for _, task := range tasks {
		m.put(task.Task, fulfil.Open)
	}
	return nil
}

// newDB returns a database with River's tables.
func newDB(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	if err := queue.Migrate(t.Context(), db.OwnerURL()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	return db
}

// newRunner starts a runner on a database of its own, with work as the use case of its queue.
func newRunner(t *testing.T, work queue.Work) (*memorySource, *queue.Runner, *pgtest.DB) {
	t.Helper()
	db := newDB(t)
	source := &memorySource{states: map[fulfil.TaskID]fulfil.TaskState{}}
	return source, startUntilEnd(t, db, source, work), db
}

// startUntilEnd starts a runner that is stopped with the test.
func startUntilEnd(t *testing.T, db *pgtest.DB, source *memorySource, work queue.Work) *queue.Runner {
	t.Helper()
	r := start(t, db, source, work)
	t.Cleanup(func() { stop(t, r) })
	return r
}

// patience is how long a test waits for what must happen. It measures nothing: machines may be slow.
const patience = time.Minute

// start starts a runner that the test stops itself.
func start(t *testing.T, db *pgtest.DB, source *memorySource, work queue.Work) *queue.Runner {
	t.Helper()
	r, err := queue.Start(t.Context(), queue.Config{
		URL: db.URL("platforma_worker"), Source: source,
		Queues: []queue.Queue{{Name: "work", Workers: 4, Work: work}},
		Now:    time.Now, Log: slog.New(slog.DiscardHandler), Alone: true,
	})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return r
}

func stop(t *testing.T, r *queue.Runner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func receive[T any](t *testing.T, from <-chan T, within time.Duration, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatalf("%s did not happen within %s", what, within)
		panic("unreachable")
	}
}

// awaitSnooze waits until River has written the snooze of a job.
func awaitSnooze(t *testing.T, db *pgtest.DB) {
	t.Helper()
	conn := db.Super(t)
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE state = 'scheduled'`).Scan(&n)
		if err != nil {
			t.Fatalf("look for a snoozed job: %v", err)
		}
		if n > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no job is snoozed after %s", patience)
		}
	}
}

func task(n byte) fulfil.TaskID { return fulfil.TaskID{0x01, 0x89, 15: n} }

func TestATaskRunsSoonAfterNotifyAndItsWholeWaitIsOneSnooze(t *testing.T) {
	t.Parallel()
	calls := make(chan time.Time, 10)
	n := 0
	source, r, _ := newRunner(t, func(_ context.Context, _ tenant.ID, _ fulfil.TaskID) (time.Duration, error) {
		calls <- time.Now()
		if n++; n == 1 {
			return 2 * time.Second, nil
		}
		return -1, nil
	})
	source.put(task(1), fulfil.Queued)
	r.Notify()
	first := receive(t, calls, patience, "the first call")
	second := receive(t, calls, patience, "the call after the snooze")
	if gap := second.Sub(first); gap < 2*time.Second {
		t.Errorf("the second call came %s after the first, want not before 2 s", gap)
	}
}

func TestAJobRunsAgainAfterAFencedMoveAndAfterAnInternalFault(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	answers := []error{app.ErrFenced, errors.New("the database is away"), nil}
	n := 0
	source, r, _ := newRunner(t, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		err := answers[min(n, 2)]
		n++
		return -1, err
	})
	source.put(task(1), fulfil.Queued)
	r.Notify()
	for i := range answers {
		receive(t, calls, patience, "call "+string(rune('1'+i)))
	}
}

func TestATaskThatIsQueuedAgainWhileItsJobIsSnoozedIsWoken(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	n := 0
	source, r, db := newRunner(t, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		if n++; n == 1 {
			return time.Hour, nil
		}
		return -1, nil
	})
	source.put(task(1), fulfil.Queued)
	r.Notify()
	receive(t, calls, patience, "the first call")
	awaitSnooze(t, db)                 // River writes the snooze after the use case has returned
	source.put(task(1), fulfil.Queued) // as a cancel does
	r.Notify()
	receive(t, calls, patience, "the call of the woken job")
}

func TestAJobThatAKilledProcessLeftRunningIsStartedByTheNextProcessAtOnce(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	db := newDB(t)
	source := &memorySource{states: map[fulfil.TaskID]fulfil.TaskState{task(1): fulfil.Queued}}
	first := start(t, db, source, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		return time.Hour, nil
	})
	receive(t, calls, patience, "the first process's call")
	awaitSnooze(t, db)
	stop(t, first)
	// a kill in the middle of the call leaves the job in this state
	_, err := db.Super(t).Exec(t.Context(), `
		UPDATE river.river_job
		SET state = 'running', attempted_at = now()
		WHERE state = 'scheduled'`)
	if err != nil {
		t.Fatalf("leave the job running: %v", err)
	}
	source.put(task(1), fulfil.Closed) // so that neither feeder nor sweeper wakes it
	startUntilEnd(t, db, source, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		return -1, nil
	})
	receive(t, calls, 14*time.Second, "the second process's call, before River's own rescue could come")
}

func TestAnOpenTaskWithoutAJobGetsOneFromTheSweeper(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	db := newDB(t)
	source := &memorySource{states: map[fulfil.TaskID]fulfil.TaskState{task(1): fulfil.Open}} // its job was lost
	startUntilEnd(t, db, source, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		return -1, nil
	})
	receive(t, calls, patience, "the swept task's call")
}

// After a stop in the middle of a pass, the task has its job and is marked open.
func TestAStopLetsTheFeedersPassFinish(t *testing.T) {
	t.Parallel()
	polling, stopped := make(chan struct{}), make(chan struct{})
	source := &memorySource{states: map[fulfil.TaskID]fulfil.TaskState{task(1): fulfil.Queued}}
	var once sync.Once
	source.onPoll = func(ctx context.Context) {
		once.Do(func() {
			close(polling)
			select { // Stop is called meanwhile
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		})
	}
	db := newDB(t)
	r := start(t, db, source, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		return time.Hour, nil
	})
	receive(t, polling, patience, "the feeder's poll")
	go func() {
		defer close(stopped)
		stop(t, r)
	}()
	receive(t, stopped, patience, "the stop")
	if s := source.get(task(1)); s != fulfil.Open {
		t.Errorf("after the stop the task's state is %d, want %d (open, with a job)", s, fulfil.Open)
	}
	var jobs int
	err := db.Super(t).QueryRow(t.Context(), `SELECT count(*) FROM river.river_job`).Scan(&jobs)
	if err != nil || jobs != 1 {
		t.Errorf("%d jobs are in the table (%v), want the task's", jobs, err)
	}
}

func TestAStopDoesNotWaitForEverForADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	polling := make(chan struct{}, 1)
	source := &memorySource{states: map[fulfil.TaskID]fulfil.TaskState{}}
	source.onPoll = func(ctx context.Context) {
		select {
		case polling <- struct{}{}:
		default:
		}
		<-ctx.Done() // like a query whose answer never comes
	}
	r := start(t, newDB(t), source, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		return -1, nil
	})
	receive(t, polling, patience, "the feeder's poll")
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		stopped <- r.Stop(ctx)
	}()
	if err := receive(t, stopped, patience, "the stop"); err != nil {
		t.Errorf("Stop: %v", err)
	}
}
