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

// consumerVariable makes this test binary run as a consumer process.
const consumerVariable = "PLATFORMA_TEST_CONSUMER_CHILD"

// Points at which a consumer process kills itself: the database has committed, but no offset is.
const (
	afterEffect = "after the effect"
	afterPark   = "after parking"
)

// shortSession is the session timeout of the tests: the shortest that Apache Kafka allows.
const shortSession = 6 * time.Second

// consumerSpec is the argument of such a process.
type consumerSpec struct {
	Cluster      kafka.Cluster
	Database     string
	Group        string
	Point        string
	After        int32 // how often it passes the point before it kills itself
	WithoutInbox bool  // the mutation: its effect does not use the inbox
}

func runConsumer(spec string) {
	var c consumerSpec
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
			select {} // does nothing more until the signal arrives
		}
	}).Run(context.Background())
}

// consumer makes a consumer whose effect adds a row: an event that is applied twice adds two. It calls at
// with each point that it passes.
func (c consumerSpec) consumer(db app.Store, log *slog.Logger, at func(point string)) *kafka.Consumer {
	useCases := app.New(app.Deps{Store: db, Clock: pgtest.NewClock(), NewID: randomID, Random: rand.Reader, Log: log})
	k := kafka.NewConsumer(kafka.ConsumerDeps{
		Cluster: c.Cluster, Refusals: newInbox(), Clock: pgtest.NewClock(),
		Pause:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Random: func() float64 { return 0 }, Log: log,
	}, kafka.Subscription{
		Consumer: event.Portal, Group: c.Group, Name: "portal-webhooks",
		Apply: func(ctx context.Context, ev event.Event) error {
			with := app.With{Inbox: &app.InboxPosition{Consumer: "portal-webhooks", Order: ev.Order, Seq: ev.Seq}}
			if c.WithoutInbox {
				with = app.With{}
			}
			err := db.InTenant(ctx, ev.Tenant, with, func(tx app.Tx) error {
				tx.AddTask(fulfil.Task{
					ID: randomID(), Tenant: ev.Tenant, Order: ev.Order, Kind: fulfil.Notify, Subject: randomID(),
					Queue: "count", State: fulfil.Stuck, Detail: ev.ID.String(),
				})
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
	k.SessionTimeout(shortSession)
	return k
}

func randomID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // it never fails
	return id
}

// spawnConsumer starts a consumer process.
func spawnConsumer(t testing.TB, c consumerSpec) *exec.Cmd {
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

// consumeWithKills kills consumer processes between the commit of the database and that of the offset, and
// lets a last one finish. It requires that every event is applied, and returns how many applications were
// repetitions.
func consumeWithKills(t *testing.T, withoutInbox bool) (repeated int) {
	t.Helper()
	b, s := kafkatest.New(t), newStore(t, 4)
	start(t, kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t)).RunForever)
	s.write(t, 4, 10)
	s.waitDrained(t)
	c := consumerSpec{
		Cluster: b.Cluster, Database: s.URL(loginWorker), Group: "counting." + b.Names.Events,
		Point: afterEffect, WithoutInbox: withoutInbox,
	}
	kills := 3
	if testing.Short() {
		kills = 1
	}
	for i := range kills {
		c.After = int32(2 * i)
		waitKilled(t, spawnConsumer(t, c), afterEffect)
	}
	c.Point = ""
	last := c.consumer(s.Worker(t), logger(t), func(string) {})
	start(t, run(last))
	want := s.events(t)
	kafkatest.Eventually(t, "all events counted, and caught up", func() bool {
		return s.count(t, `SELECT count(DISTINCT detail) FROM saga_tasks
			WHERE provider = 'count'`) == want && last.Status().Lag == 0
	})
	return s.count(t, `SELECT count(*) FROM saga_tasks WHERE provider = 'count'`) - want
}

func TestConsumerProcessKilledBetweenDatabaseAndOffsetAppliesEachEventOnce(t *testing.T) {
	t.Parallel()
	if repeated := consumeWithKills(t, false); repeated != 0 {
		t.Errorf("%d events were applied again", repeated)
	}
}

// The same load without the inbox must apply events again: otherwise the test above would prove nothing.
func TestConsumerWithoutItsInboxWouldApplyEventsAgain(t *testing.T) {
	t.Parallel()
	if repeated := consumeWithKills(t, true); repeated == 0 {
		t.Error("nothing was applied again: the load no longer shows the fault")
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
	s.waitDrained(t)
	c := consumerSpec{
		Cluster: b.Cluster, Database: s.URL(loginWorker), Group: "parking." + b.Names.Events, Point: afterPark,
	}
	waitKilled(t, spawnConsumer(t, c), afterPark)
	last := c.consumer(s.Worker(t), logger(t), func(string) {})
	start(t, run(last))
	kafkatest.Eventually(t, "the event behind it is blocked", func() bool {
		return s.count(t, `SELECT count(*) FROM inbox
			WHERE parked_seq = 2 AND blocked_to = 3 AND blocked = 1 AND seq = 1`) == 1
	})
	if n := s.count(t, `SELECT count(*) FROM dead_letters WHERE source = 'event'`); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
	s.waitDrained(t)
	wantParkedOnce(t, b, "portal-webhooks", 1)
}
