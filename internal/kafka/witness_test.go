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

// line is a message as every witness can tell it: key, headers in their order, and the bytes.
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

// published lets a relay that dies once with its transaction open, and its successor, publish some
// events, and returns them as the witnesses must tell them.
func published(t *testing.T, b *kafkatest.Broker) (want []string) {
	t.Helper()
	m := newMemory()
	for o := range 6 {
		for seq := 1; seq <= 4; seq++ {
			r := record(t, orderID(o), seq, order.EvItemProvisioning)
			m.commit(app.OutboxRow{ID: m.draw(), Record: r})
			want = append(want, lineOf(r))
		}
	}
	life, die := context.WithCancel(t.Context())
	r := kafka.NewRelay(b.Cluster, 0, "dies", m, logger(t))
	r.Hook(acknowledged(func(topic string) {
		if topic == b.Names.Events {
			die()
		}
	}))
	if err := r.Run(life); !errors.Is(err, context.Canceled) {
		t.Fatalf("Run() = %v, want context.Canceled", err)
	}
	stop := start(t, kafka.NewRelay(b.Cluster, 0, "successor", m, logger(t)).RunForever)
	kafkatest.Eventually(t, "outbox drained", func() bool { return m.left() == 0 })
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

// kcat is librdkafka: another client, another language, and what the README tells people to use.
func TestKcatReadsTheSameKeysHeadersAndBytesAndNothingAborted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("kcat"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("kcat is missing: %v", err)
		}
		t.Skip("not run: kcat is not installed")
	}
	b := kafkatest.New(t)
	want := published(t, b)
	committed := []string{"-b", b.Brokers[0], "-X", "isolation.level=read_committed", "-J", "-e", "-q"}
	wantToldByKcat(t, want, output(t, nil, "kcat", append(committed, "-C", "-t", b.Names.Events)...))
	// As the one member of a group, which is given all partitions, commits how far it came and leaves.
	member := append(committed, "-X", "auto.offset.reset=earliest", "-G", "kcat-"+b.Names.Events, b.Names.Events)
	wantToldByKcat(t, want, output(t, nil, "kcat", member...))
	if again := output(t, nil, "kcat", member...); len(again) > 0 {
		t.Errorf("the next member of the group read again:\n%s", again)
	}
}

// wantToldByKcat compares what kcat printed with what was written, each order's events in their order.
func wantToldByKcat(t *testing.T, want []string, out []byte) {
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
			t.Errorf("order %s: %v where %s is due", m.Key, hs, seq)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topic (-written +kcat):\n%s", diff)
	}
}

// Kafka's own console consumer reads what our client wrote to Kafka's own broker.
func TestJavaConsoleConsumerReadsTheSameKeysHeadersAndBytes(t *testing.T) {
	t.Parallel()
	const ours = "127.0.0.1:19092" // where kafka.sh starts it
	if os.Getenv(kafkatest.Variable) != ours {
		t.Skip("not run: the console consumer reads the Kafka that kafkatest/apache/kafka.sh starts")
	}
	b := kafkatest.New(t)
	want := published(t, b)
	script, err := filepath.Abs("kafkatest/apache/kafka.sh")
	if err != nil {
		t.Fatal(err)
	}
	// One more than there are: it must end by its own patience, not by having counted enough.
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
