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
}

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
		if point == c.Point && passed.Add(1) > c.After {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing is done after death
		}
	}
	out := faulty{db, func(l app.OutboxLease) app.OutboxLease { return dying{l, at} }}
	r := kafka.NewRelay(c.Cluster, 0, fmt.Sprint(os.Getpid()), out, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	r.Hook(producing(func(topic string) {
		if topic == c.Cluster.Names.Events {
			at(openTx)
		}
	}))
	r.RunForever(context.Background())
}

// dying passes the marked points of a relay's batch.
type dying struct {
	app.OutboxLease
	at func(point string)
}

func (d dying) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := d.OutboxLease.Pending(ctx, limit)
	if len(rows) > 0 {
		d.at(afterRead)
	}
	return rows, err
}

func (d dying) Done(ctx context.Context, p app.RelayPosition) error {
	if len(p.IDs) > 0 {
		d.at(afterCommit)
	}
	err := d.OutboxLease.Done(ctx, p)
	if len(p.IDs) > 0 && err == nil {
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
	return cmd
}

// A real process, a real SIGKILL, the real table.
func TestRelayProcessKilledAtAnyPointLosesDoublesAndInvertsNothing(t *testing.T) {
	t.Parallel()
	kills := 10
	if testing.Short() {
		kills = 2
	}
	b, s := kafkatest.New(t), newStore(t, 20)
	ctx, stopWriting := context.WithCancel(t.Context())
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for ctx.Err() == nil {
			s.write(t, 16, 5)
		}
	}()
	killed := 0
	for i := range kills {
		for _, point := range []string{afterRead, openTx, afterCommit, afterDelete} {
			cmd := spawn(t, child{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: point, After: int32(i % 3)})
			err := cmd.Wait()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("relay process %s ended with %v, want to be killed", point, err)
			}
			killed++
		}
	}
	stopWriting()
	<-wrote
	last := spawn(t, child{Cluster: b.Cluster, Database: s.URL(loginRelay)})
	s.drained(t)
	if err := last.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = last.Wait()
	t.Logf("%d kills", killed)
	wantOnceInOrder(t, events(t, b), s.events(t))
}
