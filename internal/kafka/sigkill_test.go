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

// relayVariable makes this test binary run as a relay process.
const relayVariable = "PLATFORMA_TEST_RELAY_CHILD"

// relaySpec is the argument of such a process.
type relaySpec struct {
	Cluster  kafka.Cluster
	Database string
	Point    string // where the process kills itself; "" nowhere
	After    int32  // how often it passes the point before
	Rebuild  bool   // it rebuilds the topic instead of relaying; Point is a step
	Stop     bool   // it stops itself at the point instead, and runs the relay only once
}

// The exit codes of a process that was stopped and continued: its relay was fenced, or ended otherwise.
const (
	exitEnded  = 3
	exitFenced = 4
)

func runRelay(spec string) {
	var c relaySpec
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
		if times <= c.After || c.Stop && times > c.After+1 { // it stops only once
			return
		}
		if c.Stop {
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			_ = kafka.Wait(context.Background(), 100*time.Millisecond) // until all threads are stopped
			return
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // does nothing more until the signal arrives
	}
	out := wrappedOutbox{db, func(l app.OutboxLease) app.OutboxLease {
		at(afterLock)
		return &observedLease{OutboxLease: l, at: at}
	}}
	r := kafka.NewRelay(c.Cluster, 0, fmt.Sprint(os.Getpid()), out, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var wroteEvents atomic.Bool // in the open transaction
	r.Hook(batchWrittenHook(func(topic string) {
		if topic == c.Cluster.Names.Events {
			wroteEvents.Store(true)
			at(openTx)
		}
	}))
	r.Hook(requestSentHook(func(request string) {
		if request == "EndTxn" && wroteEvents.Swap(false) {
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

// observedLease calls at with each point that a relay passes with a batch.
type observedLease struct {
	app.OutboxLease
	at       func(point string)
	tookOver bool // the predecessor's batch was finished; it is the first one
}

func (l *observedLease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := l.OutboxLease.Pending(ctx, limit)
	if len(rows) > 0 {
		l.at(afterRead)
	}
	return rows, err
}

func (l *observedLease) Done(ctx context.Context, p app.RelayPosition) error {
	first := !l.tookOver
	l.tookOver = true
	if first {
		l.at(takingOver)
		return l.OutboxLease.Done(ctx, p)
	}
	l.at(afterCommit)
	err := l.OutboxLease.Done(ctx, p)
	if err == nil {
		l.at(afterDelete)
	}
	return err
}

// spawn starts a relay process.
func spawn(t testing.TB, c relaySpec) *exec.Cmd {
	t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayVariable+"="+string(spec))
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start a relay process: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if a failed test left it behind
	return cmd
}

// soak reports whether the long forms of the tests run.
func soak() bool { return os.Getenv("PLATFORMA_SOAK") != "" }

// waitKilled waits for a process to end, and requires that SIGKILL ended it.
func waitKilled(t testing.TB, cmd *exec.Cmd, when string) {
	t.Helper()
	err := cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("process that was to be killed %s ended with %v", when, err)
	}
}

// keepWriting lets 16 writers change the store's orders until stop, which waits for them.
func (s *store) keepWriting(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			s.write(t, 16, 5)
		}
	}()
	return func() { cancel(); <-ended }
}

// A real process, a real SIGKILL, the real table: 16 writers contend for 20 orders. The long form kills 203
// times.
func TestRelayProcessKilledAtAnyPointLosesDuplicatesAndReordersNothing(t *testing.T) {
	t.Parallel()
	each := 5
	if soak() {
		each = 29
	}
	if testing.Short() {
		each = 2
	}
	b, s := kafkatest.New(t), newStore(t, 20)
	stop := s.keepWriting(t)
	count := map[string]int{}
	points := []string{afterLock, takingOver, afterRead, openTx, commitSent, afterCommit, afterDelete}
	for i := range each {
		for _, point := range points {
			after := int32(i % 3)
			if point == afterLock || point == takingOver {
				after = 0 // a process passes them only once
			}
			process := spawn(t, relaySpec{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: point, After: after})
			waitKilled(t, process, point)
			count[point]++
		}
	}
	stop()
	last := spawn(t, relaySpec{Cluster: b.Cluster, Database: s.URL(loginRelay)})
	s.waitDrained(t)
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
