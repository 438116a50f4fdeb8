package kafka_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platforma-cloud/orders/internal/embedded"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
)

// timed lets writers change the orders for a while and tells the 99th percentile of what a change took, and
// how many there were. A change that fails fails the test.
func (s *store) timed(t testing.TB, writers int, d time.Duration) (p99 time.Duration, changes int) {
	t.Helper()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	until := time.Now().Add(d)
	for w := range writers {
		all.Go(func() {
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
	all.Wait()
	slices.Sort(took)
	return took[len(took)*99/100], len(took)
}

// Writers know nothing of a broker that is away, and what they wrote follows when it is back. The long form
// keeps it away for a minute.
func TestBrokerThatIsAwayHoldsUpNobodyAndWhatWasWrittenFollows(t *testing.T) {
	t.Parallel()
	away := time.Second
	if soak() {
		away = time.Minute
	}
	b, s := kafkatest.New(t), newStore(t, 20)
	k := b.NeedEmbedded(t)
	r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
	start(t, r.RunForever)
	s.drained(t)
	with, n := s.timed(t, 4, away)
	s.drained(t)
	if err := k.StopBroker(); err != nil {
		t.Fatal(err)
	}
	without, m := s.timed(t, 4, away)
	left := s.count(t, `SELECT count(*) FROM outbox`)
	if left < m/2 {
		t.Errorf("%d rows wait after %d changes without a broker", left, m)
	}
	kafkatest.Eventually(t, "the relay says that it fails", func() bool { return r.Status().Failing })
	if err := k.StartBroker(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	s.drained(t)
	t.Logf("99 %% of changes within %s with the broker (%d), %s without (%d); %d events followed within %s of its return", with, n, without, m, left, time.Since(back))
	wantOnceInOrder(t, events(t, b), s.events(t))
	if s := r.Status(); s.Failing || !s.Leader {
		t.Errorf("status %+v after the broker came back", s)
	}
}

// brokerVariable makes this test binary an embedded broker on a folder.
const brokerVariable = "PLATFORMA_TEST_BROKER_CHILD"

func runBroker(dir string) {
	k, err := embedded.StartKafka(embedded.KafkaConfig{Dir: dir, Log: os.Stderr})
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.WriteString(k.Addr() + "\n"); err != nil {
		panic(err)
	}
	select {} // until it is killed
}

// broker starts an embedded broker in a process of its own, and tells where it answers.
func broker(t testing.TB, dir string) (*exec.Cmd, string) {
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
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read the broker's address: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

// The embedded broker's process is killed while relay and writers work, and started again on its folder.
func TestEmbeddedBrokerKilledUnderLoadComesBackWithEachEventOnce(t *testing.T) {
	t.Parallel()
	kills := 4
	if soak() {
		kills = 40
	}
	if os.Getenv(kafkatest.Variable) != "" {
		t.Skip("not run: it kills the embedded broker")
	}
	s, dir := newStore(t, 20), t.TempDir()
	cmd, addr := broker(t, dir)
	b := &kafkatest.Broker{Cluster: kafka.Cluster{Brokers: []string{addr}, Names: kafka.StandardNames()}}
	if err := b.Apply(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	r := kafka.NewRelay(b.Cluster, 0, "test", s.Relay(t), logger(t))
	start(t, r.RunForever)
	stop := s.writing(t)
	for range kills {
		seen := s.events(t)
		kafkatest.Eventually(t, "the relay works under load", func() bool { return r.Status().Leader && s.events(t) > seen+50 })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		var again string
		if cmd, again = broker(t, dir); again != addr {
			t.Fatalf("the broker came back at %s, was at %s", again, addr)
		}
	}
	stop()
	s.drained(t)
	t.Logf("%d kills of the broker's process", kills)
	wantOnceInOrder(t, events(t, b), s.events(t))
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}
