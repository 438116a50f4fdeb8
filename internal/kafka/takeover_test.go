package kafka_test

import (
	"context"
	"os/exec"
	"syscall"
	"testing"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

func TestTwoRelaysWithoutALockPublishOnce(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	m.unlocked = true
	first := kafka.NewRelay(b.Cluster, 0, "first", m, logger(t))
	second := kafka.NewRelay(b.Cluster, 0, "second", m, logger(t))
	stopFirst, stopSecond := start(t, first.RunForever), start(t, second.RunForever)
	want := writers{orders: 20, writers: 16, each: 100, maxRows: 30, slow: 10}.run(t, m)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	fenced := first.Status().Fenced + second.Status().Fenced
	stopFirst()
	stopSecond()
	wantOnceInOrder(t, events(t, b), want)
	if fenced == 0 {
		t.Error("neither was ever fenced: they did not work at the same time")
	}
	t.Logf("fenced each other %d times", fenced)
}

// stalledLease stops a relay after its read, until proceed is closed.
type stalledLease struct {
	app.OutboxLease
	read, proceed chan struct{}
}

func (s stalledLease) Pending(ctx context.Context, limit int) ([]app.OutboxRow, error) {
	rows, err := s.OutboxLease.Pending(ctx, limit)
	if len(rows) > 0 {
		close(s.read)
		<-s.proceed
	}
	return rows, err
}

func TestRelayThatWakesUpAfterItsSuccessorIsFenced(t *testing.T) {
	t.Parallel()
	b, m := kafkatest.New(t), newMemoryOutbox()
	m.unlocked = true
	m.commit(app.OutboxRow{ID: m.nextID(), Record: record(t, orderID(1), 1, order.EvCreated)})
	read, proceed := make(chan struct{}), make(chan struct{})
	paused := wrappedOutbox{m, func(l app.OutboxLease) app.OutboxLease { return stalledLease{l, read, proceed} }}
	ended := make(chan error, 1)
	go func() { ended <- kafka.NewRelay(b.Cluster, 0, "paused", paused, logger(t)).Run(t.Context()) }()
	<-read
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "successor", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "successor published", func() bool { return m.length() == 0 })
	close(proceed)
	err := <-ended
	if err == nil || !kafka.Fenced(err) {
		t.Errorf("paused relay ended with %v, want to be fenced", err)
	}
	stop()
	wantOnceInOrder(t, events(t, b), 1)
}

// sendSignal sends a signal to a process.
func sendSignal(t testing.TB, cmd *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %s: %v", s, err)
	}
}

// A process is stopped in the middle of a batch and continues after another one has taken over. The server
// ends a session that is silent for 40 s; the short form ends the session at once.
func TestRelayProcessThatWasStoppedIsSucceededAndThenFenced(t *testing.T) {
	t.Parallel()
	b, s := kafkatest.New(t), newStore(t, 8)
	for name, point := range map[string]string{
		"after its read": afterRead, "with its transaction open": openTx, "before its delete": afterCommit,
	} {
		s.write(t, 4, 5)
		paused := spawn(t, relaySpec{Cluster: b.Cluster, Database: s.URL(loginRelay), Point: point, Stop: true})
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(paused.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			t.Fatalf("relay that was to stop %s: %v, %v", name, status, err)
		}
		if !soak() {
			if n := s.count(t, `
				SELECT count(pg_terminate_backend(pid))
				FROM pg_locks
				WHERE locktype = 'advisory'
					AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`); n != 1 {
				t.Fatalf("%d sessions held the lock of the relay that was stopped %s, want 1", n, name)
			}
		}
		s.write(t, 4, 5)
		stop := start(t, kafka.NewRelay(b.Cluster, 0, "successor", s.Relay(t), logger(t)).RunForever)
		kafkatest.Eventually(t, "the successor has published", func() bool {
			return s.count(t, `SELECT count(*) FROM outbox`) == 0
		})
		sendSignal(t, paused, syscall.SIGCONT)
		err := paused.Wait()
		switch code := paused.ProcessState.ExitCode(); {
		case code != exitEnded && code != exitFenced:
			t.Errorf("relay that was stopped %s ended with %v after it woke up, want to end by itself", name, err)
		case code != exitFenced && point == afterRead:
			// At the other points the relay may first notice that its time is up or its session is gone.
			t.Errorf("relay that was stopped %s was not fenced when it woke up", name)
		}
		s.write(t, 4, 5)
		s.waitDrained(t)
		stop()
	}
	wantOnceInOrder(t, events(t, b), s.events(t))
}
