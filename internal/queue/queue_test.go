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

// heap is a store's due tasks in memory; the jobs that point at them are River's own.
type heap struct {
	mu    sync.Mutex
	state map[fulfil.TaskID]fulfil.TaskState // guarded by mu
	look  func(ctx context.Context)          // called at each look for due tasks, when set
}

var org = id.MustParse[tenant.Tenant]("01890000-0000-7000-8000-000000000001")

func (h *heap) put(taskID fulfil.TaskID, s fulfil.TaskState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state[taskID] = s
}

func (h *heap) get(taskID fulfil.TaskID) fulfil.TaskState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state[taskID]
}

func (h *heap) DueTasks(
	ctx context.Context, name string, s fulfil.TaskState, _ time.Time, _ int,
) ([]app.TaskRef, error) {
	if h.look != nil {
		h.look(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var due []app.TaskRef
	for taskID, state := range h.state {
		if name == "work" && state == s {
			due = append(due, app.TaskRef{Tenant: org, Task: taskID})
		}
	}
	return due, nil
}

func (h *heap) MarkOpen(_ context.Context, tasks []app.TaskRef) error {
	for _, u := range tasks {
		h.put(u.Task, fulfil.Open)
	}
	return nil
}

// migrated is a database with River's tables.
func migrated(t *testing.T) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	if err := queue.Migrate(t.Context(), db.OwnerURL()); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	return db
}

// bench runs a queue whose use case is the test's.
func bench(t *testing.T, work queue.Work) (*heap, *queue.Runner, *pgtest.DB) {
	t.Helper()
	db := migrated(t)
	h := &heap{state: map[fulfil.TaskID]fulfil.TaskState{}}
	return h, start(t, db, h, work), db
}

func start(t *testing.T, db *pgtest.DB, h *heap, work queue.Work) *queue.Runner {
	t.Helper()
	r := begin(t, db, h, work)
	t.Cleanup(func() { stop(t, r) })
	return r
}

// patience is how long a test waits for what must happen. It measures nothing: machines may be slow.
const patience = time.Minute

func begin(t *testing.T, db *pgtest.DB, h *heap, work queue.Work) *queue.Runner {
	t.Helper()
	r, err := queue.Start(t.Context(), queue.Config{
		URL: db.URL("platforma_worker"), Source: h, Queues: []queue.Queue{{Name: "work", Workers: 4, Work: work}},
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Alone: true,
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

func next[T any](t *testing.T, from <-chan T, within time.Duration, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatalf("%s did not happen within %s", what, within)
		panic("unreachable")
	}
}

// asleep waits until River has put a job to sleep.
func asleep(t *testing.T, db *pgtest.DB) {
	t.Helper()
	conn := db.Super(t)
	deadline, tick := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job
			WHERE state = 'scheduled'`).Scan(&n); err != nil || n > 0 {
			if err != nil {
				t.Fatalf("look for a sleeping job: %v", err)
			}
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no job sleeps after %s", patience)
		}
	}
}

func task(n byte) fulfil.TaskID { return fulfil.TaskID{0x01, 0x89, 15: n} }

func TestATaskIsWorkedSoonAfterAKickAndItsWholeWaitIsOneSnooze(t *testing.T) {
	t.Parallel()
	calls := make(chan time.Time, 10)
	n := 0
	h, r, _ := bench(t, func(_ context.Context, _ tenant.ID, _ fulfil.TaskID) (time.Duration, error) {
		calls <- time.Now()
		if n++; n == 1 {
			return 2 * time.Second, nil
		}
		return -1, nil
	})
	h.put(task(1), fulfil.Queued)
	r.Notify()
	first := next(t, calls, patience, "the first call")
	second := next(t, calls, patience, "the call after the snooze")
	if gap := second.Sub(first); gap < 2*time.Second {
		t.Errorf("the second call came %s after the first, want not before 2 s", gap)
	}
}

func TestAFencedMoveIsLookedAtAgainAndAFaultOfOursIsRetried(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	answers := []error{app.ErrFenced, errors.New("the database is away"), nil}
	n := 0
	h, r, _ := bench(t, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		err := answers[min(n, 2)]
		n++
		return -1, err
	})
	h.put(task(1), fulfil.Queued)
	r.Notify()
	for i := range answers {
		next(t, calls, patience, "call "+string(rune('1'+i)))
	}
}

func TestATaskQueuedAnewWhileItsJobSleepsIsWoken(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	n := 0
	h, r, db := bench(t, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		if n++; n == 1 {
			return time.Hour, nil
		}
		return -1, nil
	})
	h.put(task(1), fulfil.Queued)
	r.Notify()
	next(t, calls, patience, "the first call")
	asleep(t, db)                 // River writes the snooze after the use case has answered
	h.put(task(1), fulfil.Queued) // as a cancel does
	r.Notify()
	next(t, calls, patience, "the call of the woken job")
}

func TestWorkThatAKillLeftRunningIsTakenUpByTheNextProcessAtOnce(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	db := migrated(t)
	h := &heap{state: map[fulfil.TaskID]fulfil.TaskState{task(1): fulfil.Queued}}
	first := begin(t, db, h, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		return time.Hour, nil
	})
	next(t, calls, patience, "the first process's call")
	asleep(t, db)
	stop(t, first)
	// what a kill in the middle of the call leaves behind
	if _, err := db.Super(t).Exec(t.Context(), `UPDATE river.river_job SET state = 'running', attempted_at = now()
		WHERE state = 'scheduled'`); err != nil {
		t.Fatalf("leave the job running: %v", err)
	}
	h.put(task(1), fulfil.Closed) // so that neither feeder nor sweeper wakes it
	start(t, db, h, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		return -1, nil
	})
	next(t, calls, 14*time.Second, "the second process's call, before River's own rescue could come")
}

func TestAnOpenTaskWithoutAJobGetsOneFromTheSweeper(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 10)
	db := migrated(t)
	h := &heap{state: map[fulfil.TaskID]fulfil.TaskState{task(1): fulfil.Open}} // its job was lost
	start(t, db, h, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		calls <- struct{}{}
		return -1, nil
	})
	next(t, calls, patience, "the swept task's call")
}

// A stop that comes while a task is on its way into a job lets the task arrive: it has a job and says so.
func TestAStopLetsTheFeedersPassFinish(t *testing.T) {
	t.Parallel()
	looking, ended := make(chan struct{}), make(chan struct{})
	h := &heap{state: map[fulfil.TaskID]fulfil.TaskState{task(1): fulfil.Queued}}
	var once sync.Once
	h.look = func(ctx context.Context) {
		once.Do(func() {
			close(looking)
			select { // Stop is called meanwhile
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		})
	}
	db := migrated(t)
	r := begin(t, db, h, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) { return time.Hour, nil })
	next(t, looking, patience, "the feeder's look")
	go func() {
		defer close(ended)
		stop(t, r)
	}()
	next(t, ended, patience, "the end")
	if s := h.get(task(1)); s != fulfil.Open {
		t.Errorf("after the stop the task's state is %d, want %d (open, with a job)", s, fulfil.Open)
	}
	var jobs int
	if err := db.Super(t).QueryRow(t.Context(), `SELECT count(*) FROM river.river_job`).Scan(&jobs); err != nil ||
		jobs != 1 {
		t.Errorf("%d jobs stand in the table (%v), want the task's", jobs, err)
	}
}

func TestAStopDoesNotWaitForEverForADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	looking := make(chan struct{}, 1)
	h := &heap{state: map[fulfil.TaskID]fulfil.TaskState{}}
	h.look = func(ctx context.Context) {
		select {
		case looking <- struct{}{}:
		default:
		}
		<-ctx.Done() // as a query does whose answer never comes
	}
	r := begin(t, migrated(t), h, func(context.Context, tenant.ID, fulfil.TaskID) (time.Duration, error) {
		return -1, nil
	})
	next(t, looking, patience, "the feeder's look")
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		ended <- r.Stop(ctx)
	}()
	if err := next(t, ended, patience, "the end"); err != nil {
		t.Errorf("Stop: %v", err)
	}
}
