package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
)

// EventPartitions is the number of partitions of the events. It never changes: with another number an
// order's later events would go to another partition and could overtake the earlier ones
// (docs/events.md).
const EventPartitions = 12

// retention of events and dead letters. It is longer than a consumer can be stopped without anybody
// noticing.
const retention = 30 * 24 * time.Hour

// How long it may take until every broker knows a new topic, and how often to check.
const (
	propagationTimeout = 15 * time.Second
	propagationPause   = 50 * time.Millisecond
)

// ErrTopic says that a topic is missing or has the wrong settings. The topic is not changed.
var ErrTopic = errors.New("topic is not as it must be")

type topic struct {
	name       string
	partitions int32
	settings   map[string]string // required; the cluster's defaults apply to all other settings
	initial    map[string]string // set at creation; operators may change them later
}

func (n Names) topics() []topic {
	keep := map[string]string{"retention.ms": fmt.Sprint(retention.Milliseconds())}
	topics := []topic{
		// With the producer's time, the old events of a rebuild would be deleted by retention at once.
		{
			n.Events, EventPartitions,
			map[string]string{"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"},
			keep,
		},
		{n.Positions, 1, map[string]string{"cleanup.policy": "compact"}, nil},
		{n.DeadLetters, 1, map[string]string{"cleanup.policy": "delete"}, keep},
	}
	for _, consumer := range app.Parking() {
		topics = append(topics, topic{n.Parked(consumer), 1, map[string]string{"cleanup.policy": "delete"}, keep})
	}
	return topics
}

// Apply creates the topics that are missing, with the given number of replicas. Production uses 3,
// and from 3 on each write needs two in-sync replicas. Apply then compares all topics: a wrong number
// of partitions, cleanup policy or timestamp type is ErrTopic.
func (c Cluster) Apply(ctx context.Context, replicas int) error {
	cl, err := c.client(kgo.MetadataMinAge(propagationPause)) // by default an unknown topic stays unknown for 5 s
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, t := range c.Names.topics() {
		settings := map[string]*string{}
		for _, from := range []map[string]string{t.settings, t.initial} {
			for k, v := range from {
				settings[k] = &v
			}
		}
		if replicas >= 3 {
			settings["min.insync.replicas"] = kadm.StringPtr("2")
		}
		created, err := adm.CreateTopics(ctx, t.partitions, int16(replicas), settings, t.name)
		if err == nil {
			_, err = created.On(t.name, func(r *kadm.CreateTopicResponse) error { return r.Err })
		}
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	return c.checkWhenKnown(ctx, adm)
}

// checkWhenKnown checks the topics as soon as the brokers know all of them: a broker acknowledges the
// creation of a topic earlier.
func (c Cluster) checkWhenKnown(ctx context.Context, adm *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, propagationTimeout)
	defer cancel()
	for {
		err := c.check(ctx, adm)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || Wait(ctx, propagationPause) != nil {
			return err
		}
	}
}

// Check compares the topics as Apply does, but creates none: a missing topic is ErrTopic too.
func (c Cluster) Check(ctx context.Context) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	return c.check(ctx, kadm.NewClient(cl))
}

func (c Cluster) check(ctx context.Context, adm *kadm.Client) error {
	topics := c.Names.topics()
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	have, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	configs, err := adm.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the topics' settings: %w", err)
	}
	for _, t := range topics {
		if h := have[t.name]; h.Err != nil {
			return fmt.Errorf("%w: %s: %w", ErrTopic, t.name, h.Err)
		}
		if n := len(have[t.name].Partitions); n != int(t.partitions) {
			return fmt.Errorf("%w: %s has %d partitions and needs %d", ErrTopic, t.name, n, t.partitions)
		}
		if _, err := configs.On(t.name, func(rc *kadm.ResourceConfig) error { return t.compare(rc) }); err != nil {
			return err
		}
	}
	return nil
}

func (t topic) compare(rc *kadm.ResourceConfig) error {
	if rc.Err != nil {
		return fmt.Errorf("read the settings of topic %s: %w", t.name, rc.Err)
	}
	var wrong []string
	for name, want := range t.settings {
		i := slices.IndexFunc(rc.Configs, func(c kadm.Config) bool { return c.Key == name })
		got := "nothing"
		if i >= 0 {
			got = rc.Configs[i].MaybeValue()
		}
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s and must be %s", name, got, want))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("%w: %s: %s", ErrTopic, t.name, strings.Join(wrong, ", "))
}
