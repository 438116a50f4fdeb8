package kafka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/event"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
	"github.com/platforma-cloud/orders/internal/order"
)

// line formats a message from what every client can print: key, headers in their order, and the bytes.
func line(key string, headers []string, value string) string {
	return key + "\t" + strings.Join(headers, ",") + "\t" + value
}

func lineOf(r event.Record) string {
	m := event.Encode(r)
	var hs []string
	for _, h := range m.Headers {
		hs = append(hs, h.Key+":"+string(h.Value))
	}
	return line(string(m.Key), hs, string(m.Value))
}

// publishWithAbort publishes some events by a relay that is killed with its transaction open, and by its
// successor. It returns the lines that the clients must print.
func publishWithAbort(t *testing.T, b *kafkatest.Broker) (want []string) {
	t.Helper()
	m := newMemoryOutbox()
	for o := range 6 {
		for seq := 1; seq <= 4; seq++ {
			r := record(t, orderID(o), seq, order.EvItemProvisioning)
			m.commit(app.OutboxRow{ID: m.nextID(), Record: r})
			want = append(want, lineOf(r))
		}
	}
	ctx, kill := context.WithCancel(t.Context())
	r := kafka.NewRelay(b.Cluster, 0, "killed", m, logger(t))
	r.Hook(acknowledgedHook(func(topic string) {
		if topic == b.Names.Events {
			kill()
		}
	}))
	if err := r.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run() = %v, want context.Canceled", err)
	}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "successor", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.length() == 0 })
	stop()
	slices.Sort(want)
	return want
}

func output(t *testing.T, env []string, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &errs)
	}
	return out
}

// kcat uses librdkafka: another client in another language. The documentation uses kcat too.
func TestKcatReadsTheSameKeysHeadersAndBytesAndNothingAborted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("kcat is missing: %v", err)
		}
		t.Skip("not run: kcat is not installed")
	}
	b := kafkatest.New(t)
	want := publishWithAbort(t, b)
	committed := []string{"-b", b.Brokers[0], "-X", "isolation.level=read_committed", "-J", "-e", "-q"}
	wantPrintedByKcat(t, want, output(t, nil, "kcat", append(committed, "-C", "-t", b.Names.Events)...))
	// As the only member of a group, which gets all partitions, commits its offsets and leaves.
	member := append(committed, "-X", "auto.offset.reset=earliest", "-G", "kcat-"+b.Names.Events, b.Names.Events)
	wantPrintedByKcat(t, want, output(t, nil, "kcat", member...))
	if again := output(t, nil, "kcat", member...); len(again) > 0 {
		t.Errorf("the next member of the group read again:\n%s", again)
	}
}

// wantPrintedByKcat compares what kcat printed with what was written, and requires each order's events to be
// in their order.
func wantPrintedByKcat(t *testing.T, want []string, out []byte) {
	t.Helper()
	var got []string
	next := map[string]int{}
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var m struct {
			Key, Payload string
			Headers      []string // name, value, name, value …
		}
		if err := json.Unmarshal([]byte(l), &m); err != nil {
			t.Fatalf("kcat printed %q: %v", l, err)
		}
		var hs []string
		for i := 0; i+1 < len(m.Headers); i += 2 {
			hs = append(hs, m.Headers[i]+":"+m.Headers[i+1])
		}
		got = append(got, line(m.Key, hs, m.Payload))
		next[m.Key]++
		if seq := fmt.Sprintf("ce_sequence:%010d", next[m.Key]); !slices.Contains(hs, seq) {
			t.Errorf("order %s: headers %v, want %s", m.Key, hs, seq)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topic (-written +kcat):\n%s", diff)
	}
}

// Kafka's own console consumer reads what our client wrote to a real Kafka.
func TestJavaConsoleConsumerReadsTheSameKeysHeadersAndBytes(t *testing.T) {
	t.Parallel()
	const scriptAddr = "127.0.0.1:19092" // where kafka.sh starts Kafka
	if os.Getenv(kafkatest.Variable) != scriptAddr {
		t.Skip("not run: the console consumer reads the Kafka that kafkatest/apache/kafka.sh starts")
	}
	b := kafkatest.New(t)
	want := publishWithAbort(t, b)
	script, err := filepath.Abs("kafkatest/apache/kafka.sh")
	if err != nil {
		t.Fatal(err)
	}
	// One more than there are, so that it ends by its time-out and shows a record too many.
	out := output(t, []string{"TOPIC=" + b.Names.Events}, script, "consume", strconv.Itoa(len(want)+1))
	var got []string
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		f := strings.Split(l, "\t") // partition, headers, key, value
		if len(f) != 4 {
			t.Fatalf("console consumer printed %q", l)
		}
		got = append(got, line(f[2], strings.Split(f[1], ","), f[3]))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topic (-written +console consumer):\n%s", diff)
	}
}
