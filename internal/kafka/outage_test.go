package kafka_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
)

// timeChanges lets writers change the orders for d. It returns the 99th percentile of a change's duration,
// and the number of changes. A failed change fails the test.
func (s *store) timeChanges(t testing.TB, writers int, d time.Duration) (p99 time.Duration, changes int) {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var running sync.WaitGroup
	until := time.Now().Add(d)
	for w := range writers {
		running.Go(func() {
			for i := 0; time.Now().Before(until); i++ {
				begun := time.Now()
				if err := s.change(t.Context(), s.orders[(w*7+i)%len(s.orders)], nil); err != nil {
					t.Errorf("change order: %v", err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	running.Wait()
	slices.Sort(took)
	return took[len(took)*99/100], len(took)
}

// An unavailable broker does not slow down the writers, and the relay publishes what they wrote once the
// broker is back. In the long form the broker is away for a minute.
func TestUnavailableBrokerHoldsUpNobodyAndTheEventsFollow(t *testing.T) {
	t.Parallel()
	outage := time.Second
	if soak() {
		outage = time.Minute
	}
	b, s := newKillableBroker(t), newStore(t, 20)
	r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
	start(t, r.RunForever)
	s.waitDrained(t)
	with, n := s.timeChanges(t, 4, outage)
	s.waitDrained(t)
	b.kill(t)
	without, m := s.timeChanges(t, 4, outage)
	waiting := s.count(t, `SELECT count(*) FROM outbox`)
	if waiting < m/2 {
		t.Errorf("%d rows wait after %d changes without a broker", waiting, m)
	}
	kafkatest.Eventually(t, "the relay reports that it fails", func() bool { return r.Status().Failing })
	b.restart(t)
	back := time.Now()
	s.waitDrained(t)
	t.Logf("99 %% of changes within %s with the broker (%d), %s without (%d); %d events followed within %s of its return",
		with, n, without, m, waiting, time.Since(back))
	wantOnceInOrder(t, events(t, b.Broker), s.events(t))
	if s := r.Status(); s.Failing || !s.Leader {
		t.Errorf("status %+v after the broker came back", s)
	}
}

// brokerVariable makes this test binary run an embedded broker on a folder.
const brokerVariable = "PLATFORMA_TEST_BROKER_CHILD"

func runBroker(dir string) {
	k, err := embedded.StartKafka(embedded.KafkaConfig{Dir: dir, Log: os.Stderr})
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(k.Addr() + "\n"); err != nil {
		panic(err)
	}
	select {} // until the process is killed
}

// killableBroker is a broker in a process of its own, which a test kills and starts again on the same data.
// It is an Apache Kafka if the suite runs on a real one, and otherwise the embedded broker.
type killableBroker struct {
	*kafkatest.Broker
	start   func(testing.TB) *exec.Cmd // returns once the broker answers
	process *exec.Cmd
}

func newKillableBroker(t *testing.T) *killableBroker {
	t.Helper()
	m := &killableBroker{Broker: &kafkatest.Broker{Cluster: kafka.Cluster{Names: kafka.StandardNames()}}}
	dir := t.TempDir()
	if os.Getenv(kafkatest.Variable) != "" {
		port := freePorts(t)
		m.Brokers = []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
		m.start = func(t testing.TB) *exec.Cmd { return apacheBroker(t, dir, m.Brokers[0], port) }
	} else {
		m.start = func(t testing.TB) *exec.Cmd {
			cmd, addr := embeddedBroker(t, dir)
			if m.Brokers != nil && m.Brokers[0] != addr {
				t.Fatalf("the broker came back at %s, was at %s", addr, m.Brokers[0])
			}
			m.Brokers = []string{addr}
			return cmd
		}
	}
	m.process = m.start(t)
	t.Cleanup(func() { m.kill(t) })
	kafkatest.Eventually(t, "topics created", func() bool { return m.Apply(t.Context(), 1) == nil })
	return m
}

// kill ends the broker's process by SIGKILL.
func (m *killableBroker) kill(t testing.TB) {
	t.Helper()
	if err := m.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("kill the broker: %v", err)
	}
	_ = m.process.Wait()
}

func (m *killableBroker) restart(t testing.TB) {
	t.Helper()
	m.process = m.start(t)
}

// embeddedBroker starts an embedded broker in a process of its own, and returns its address.
func embeddedBroker(t testing.TB, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerVariable+"="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatalf("start a broker process: %v", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read the broker's address: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

// apacheBroker starts an Apache Kafka of the test's own and waits until it answers.
func apacheBroker(t testing.TB, dir, addr string, port int) *exec.Cmd {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has its own copy
	cmd := exec.Command("kafkatest/apache/kafka.sh", "run")
	cmd.Env = append(os.Environ(), "PLATFORMA_KAFKA_RUN="+dir, "PLATFORMA_KAFKA_PORT="+strconv.Itoa(port))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Apache Kafka: %v", err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	kafkatest.Eventually(t, "Apache Kafka answers at "+addr, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return cl.Ping(ctx) == nil
	})
	return cmd
}

// freePorts returns a port that is free and is followed by another free one. Both are below the range of
// ports for outgoing connections: otherwise a client that dials a broker that is down could be given the
// broker's own port.
func freePorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 16000 + 2*rand.IntN(8000)
		if free(port) && free(port+1) {
			return port
		}
	}
	t.Fatal("no two free ports in a hundred draws")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// The broker's process is killed while relay and writers work, and is started again on its data.
func TestBrokerKilledUnderLoadComesBackWithEachEventOnce(t *testing.T) {
	t.Parallel()
	kills := 4
	if soak() {
		kills = 40
	}
	m, s := newKillableBroker(t), newStore(t, 20)
	r := kafka.NewRelay(m.Cluster, 0, "test", s.Relay(t), logger(t))
	start(t, r.RunForever)
	stop := s.keepWriting(t)
	for range kills {
		seen := s.events(t)
		kafkatest.Eventually(t, "the relay works under load", func() bool {
			return r.Status().Leader && !r.Status().Failing && s.events(t) > seen+50
		})
		m.kill(t)
		m.restart(t)
	}
	stop()
	s.waitDrained(t)
	t.Logf("%d kills of the broker's process, %d events", kills, s.events(t))
	wantOnceInOrder(t, events(t, m.Broker), s.events(t))
}
