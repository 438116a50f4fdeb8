package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// childVariable makes this test binary a relay process.
const childVariable = "PLATFORMA_TEST_RELAY_CHILD"

// child is what such a process is told.
type child struct {
	Cluster  kafka.Cluster
	Database string
	Point    string // where it kills itself; "" nowhere
	After    int32  // how often it passes the point before
	Rebuild  bool   // it rebuilds the topic instead; Point is a step
	Stop     bool   // it stops itself at the point, instead, and runs once only
}

// How a process ends that was stopped and went on: its relay was fenced, or ended otherwise.
const (
	exitEnded  = 3
	exitFenced = 4
)

func runChild(spec string) {
	var c child
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		panic(err)
	}
	if c.Rebuild {
		rebuildAsChild(c)
	}
	db, err := pgtest.Attach(context.Background(), c.Database, loginRelay)
	if err != nil {
		panic(err)
	}
	var passed atomic.Int32
	at := func(point string) {
		if point != c.Point {
			return
		}
		times := passed.Add(1)
		if times <= c.After || c.Stop && times > c.After+1 { // it stops once, and dies for good
			return
		}
		if c.Stop {
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			_ = kafka.Wait(context.Background(), 100*time.Millisecond) // until all threads stand still
			return
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing is done after death
	}
	out := faulty{db, func(l app.OutboxLease) app.OutboxLease {
		at(afterLock)
		return &dying{OutboxLease: l, at: at}
	}}
	r := kafka.NewRelay(c.Cluster, 0, fmt.Sprint(os.Getpid()), out, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var wrote atomic.Bool // events, in the transaction that is open
	r.Hook(producing(func(topic string) {
		if topic == c.Cluster.Names.Events {
			wrote.Store(true)
			at(openTx)
		}
	}))
	r.Hook(sending(func(request string) {
		if request == "EndTxn" && wrote.Swap(false) {
			at(commitSent)
		}
	}))
	if c.Stop {
		err := r.Run(context.Background())
		fmt.Fprintln(os.Stderr, "relay that was stopped ended:", err)
		if kafka.Fenced(err) {
			os.Exit(exitFenced)
		}
		os.Exit(exitEnded)
	}
	r.RunForever(context.Background())
}

// dying passes the marked points of a relay's batch.
type dying struct {
	app.OutboxLease
	at    func(point string)
	works bool // the first batch that is done is its predecessor's
}

func (d *dying) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := d.OutboxLease.Pending(ctx, limit)
	if len(rows) > 0 {
		d.at(afterRead)
	}
	return rows, err
}

func (d *dying) Done(ctx context.Context, p app.RelayPosition) error {
	first := !d.works
	d.works = true
	if first {
		d.at(takingOver)
		return d.OutboxLease.Done(ctx, p)
	}
	d.at(afterCommit)
	err := d.OutboxLease.Done(ctx, p)
	if err == nil {
		d.at(afterDelete)
	}
	return err
}

// spawn starts a relay process.
func spawn(t testing.TB, c child) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(spec))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a relay process: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // of one that a failed test left behind
	return cmd
}

// soak reports whether the long forms run.
func soak() bool { return os.Getenv("PLATFORMA_SOAK") != "" }

// killed waits for a process that is to die by SIGKILL.
func killed(t testing.TB, cmd *exec.Cmd, when string) {
	t.Helper()
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("process that was to be killed %s ended with %v", when, err)
	}
}

// writing lets 16 writers change the store's orders until stop, which waits for them.
func (s *store) writing(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for ctx.Err() == nil {
			s.write(t, 16, 5)
		}
	}()
	return func() { cancel(); <-wrote }
}

// A real process, a real SIGKILL, the real table: 20 hot orders, 16 writers. The long form kills 203 times.
func TestRelayProcessKilledAtAnyPointLosesDoublesAndInvertsNothing(t *testing.T) {
	t.Parallel()
	each := 5
	if soak() {
		each = 29
	}
	if testing.Short() {
		each = 2
	}
	b, s := kafkatest.New(t), newStore(t, 20)
	stop := s.writing(t)
	count := map[string]int{}
	points := []string{afterLock, takingOver, afterRead, openTx, commitSent, afterCommit, afterDelete}
	for i := range each {
		for _, point := range points {
			after := int32(i % 3)
			if point == afterLock || point == takingOver {
				after = 0 // they are passed once in a life
			}
			killed(t, spawn(t, child{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: point, After: after}), point)
			count[point]++
		}
	}
	stop()
	last := spawn(t, child{Cluster: b.Cluster, Database: s.URL(loginRelay)})
	s.drained(t)
	if err := last.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = last.Wait()
	for _, point := range points {
		t.Logf("%3d kills %s", count[point], point)
	}
	t.Logf("%d kills of a relay process, on the %s", each*len(points), kafkatest.Which())
	wantOnceInOrder(t, events(t, b), s.events(t))
}
