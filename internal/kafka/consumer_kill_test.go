package kafka_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/fulfil"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// consumerVariable makes this test binary a consumer process.
const consumerVariable = "PLATFORMA_TEST_CONSUMER_CHILD"

// Points where a consumer process kills itself: the database has committed, no offset has.
const (
	afterEffect = "after the effect"
	afterPark   = "after parking"
)

// shortSession is how soon a broker gives a killed consumer up: the shortest that Apache Kafka allows.
const shortSession = 6 * time.Second

// consuming is what such a process is told.
type consuming struct {
	Cluster  kafka.Cluster
	Database string
	Group    string
	Point    string
	After    int32 // how often it passes the point before
	Unmarked bool  // the mutation: its effect leaves the inbox out
}

func runConsumer(spec string) {
	var c consuming
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		panic(err)
	}
	db, err := pgtest.Attach(context.Background(), c.Database, loginWorker)
	if err != nil {
		panic(err)
	}
	var passed atomic.Int32
	_ = c.consumer(db, slog.New(slog.NewTextHandler(os.Stderr, nil)), func(point string) {
		if point == c.Point && passed.Add(1) > c.After {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing is done after death
		}
	}).Run(context.Background())
}

// consumer is one whose effect counts: applied twice, it counts twice.
func (c consuming) consumer(db app.Store, log *slog.Logger, at func(point string)) *kafka.Consumer {
	useCases := app.New(app.Deps{Store: db, Clock: pgtest.NewClock(), NewID: randomID, Random: rand.Reader, Log: log})
	k := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: c.Cluster, Refusals: newInbox(), Clock: pgtest.NewClock(),
		Pause: func(ctx context.Context, _ time.Duration) error {
			return ctx.Err()
		}, Random: func() float64 { return 0 }, Log: log,
	}, kafka.Subscription{
		Consumer: event.Portal, Group: c.Group, Name: "portal-webhooks",
		Apply: func(ctx context.Context, ev event.Event) error {
			with := app.With{Inbox: &app.InboxPosition{Consumer: "portal-webhooks", Order: ev.Order, Seq: ev.Seq}}
			if c.Unmarked {
				with = app.With{}
			}
			err := db.InTenant(ctx, ev.Tenant, with, func(tx app.Tx) error {
				task := fulfil.Task{
					ID: randomID(), Tenant: ev.Tenant, Order: ev.Order, Kind: fulfil.Notify, Queue: "count", State: fulfil.Stuck,
					Detail: ev.ID.String(),
				}
				task.Subject = randomID()
				tx.AddTask(task)
				return tx.Begin(ctx)
			})
			if err == nil {
				at(afterEffect)
			}
			return err
		},
		Park: func(ctx context.Context, p app.Poison) error {
			err := useCases.ParkEvent(ctx, p)
			at(afterPark)
			return err
		},
	})
	k.Forget(shortSession)
	return k
}

func randomID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // it never fails
	return id
}

// spawnConsumer starts a consumer process.
func spawnConsumer(t testing.TB, c consuming) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), consumerVariable+"="+string(spec))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a consumer process: %v", err)
	}
	return cmd
}

// counted lets consumer processes be killed between database and offset, and a last one finish. It
// gives how often an event was applied more than once, and requires none to be left out.
func counted(t *testing.T, unmarked bool) (again int) {
	t.Helper()
	b, s := kafkatest.New(t), newStore(t, 4)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.write(t, 4, 10)
	s.drained(t)
	c := consuming{
		Cluster: b.Cluster, Database: s.URL(loginWorker), Group: "counting." + b.Names.Events,
		Point: afterEffect, Unmarked: unmarked,
	}
	kills := 3
	if testing.Short() {
		kills = 1
	}
	for i := range kills {
		c.After = int32(2 * i)
		killed(t, spawnConsumer(t, c), afterEffect)
	}
	c.Point = ""
	last := c.consumer(s.Worker(t), logger(t), func(string) {})
	start(t, run(last))
	want := s.events(t)
	kafkatest.Eventually(t, "all events counted, and caught up", func() bool {
		return s.count(t, `SELECT count(DISTINCT detail) FROM saga_tasks
			WHERE provider = 'count'`) == want && last.Status().Age == 0
	})
	return s.count(t, `SELECT count(*) FROM saga_tasks WHERE provider = 'count'`) - want
}

func TestConsumerProcessKilledBetweenDatabaseAndOffsetAppliesEachEventOnce(t *testing.T) {
	t.Parallel()
	if again := counted(t, false); again != 0 {
		t.Errorf("%d events were applied again", again)
	}
}

// The same load with the inbox left out: were this green with one application each, the test above would
// show nothing.
func TestConsumerWithoutItsInboxWouldApplyEventsAgain(t *testing.T) {
	t.Parallel()
	if again := counted(t, true); again == 0 {
		t.Error("nothing was applied again: the load has gone blunt")
	}
}

func TestConsumerProcessKilledAfterParkingLeavesOneDeadLetterAndGoesOn(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 1)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	o := s.orders[0]
	s.Poison(t, "portal-webhooks", string(order.EvItemRetrying))
	s.add(t, o, order.EvItemRetrying)
	s.add(t, o, order.EvUpdated)
	s.drained(t)
	c := consuming{Cluster: b.Cluster, Database: s.URL(loginWorker), Group: "parking." + b.Names.Events, Point: afterPark}
	killed(t, spawnConsumer(t, c), afterPark)
	last := c.consumer(s.Worker(t), logger(t), func(string) {})
	start(t, run(last))
	kafkatest.Eventually(t, "the event behind it is held", func() bool {
		return s.count(t, `SELECT count(*) FROM inbox WHERE parked_seq = 2 AND blocked_to = 3 AND blocked = 1
			AND seq = 1`) == 1
	})
	if n := s.count(t, `SELECT count(*) FROM dead_letters WHERE source = 'event'`); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
	s.drained(t)
	wantParkedOnce(t, b, "portal-webhooks", 1)
}
