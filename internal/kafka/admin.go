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

// EventPartitions is how many partitions the events have, for ever: another number would send an
// order's later events to another partition, out of their order (docs/events.md).
const EventPartitions = 12

// retention of events and dead letters: longer than a consumer may stand still unnoticed.
const retention = 30 * 24 * time.Hour

// How long new topics may take to be known everywhere, and how often to look.
const (
	spreadTime  = 15 * time.Second
	spreadPause = 50 * time.Millisecond
)

// ErrTopic is a topic that exists and is not as it must be. Nothing is changed about it.
var ErrTopic = errors.New("topic is not as it must be")

type topic struct {
	name       string
	partitions int32
	settings   map[string]string // must hold; what is not named here is the cluster's own affair
	initial    map[string]string // given when it is made, then the operator's
}

func (n Names) topics() []topic {
	keep := map[string]string{"retention.ms": fmt.Sprint(retention.Milliseconds())}
	topics := []topic{
		// With the producer's time, a rebuild of old events would be deleted by retention at once.
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

// Apply creates the topics that are missing, with the given number of replicas (3 in production,
// which also asks for two in-sync replicas per write), and compares those that exist: one with the
// wrong number of partitions, cleanup policy or timestamp type is ErrTopic.
func (c Cluster) Apply(ctx context.Context, replicas int) error {
	cl, err := c.client(kgo.MetadataMinAge(spreadPause)) // else an unknown topic stays unknown for 5 s
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
		made, err := adm.CreateTopics(ctx, t.partitions, int16(replicas), settings, t.name)
		if err == nil {
			_, err = made.On(t.name, func(r *kadm.CreateTopicResponse) error { return r.Err })
		}
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	return c.settled(ctx, adm)
}

// settled checks once the brokers have heard of the topics: the answer to their creation comes earlier.
func (c Cluster) settled(ctx context.Context, adm *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	for {
		err := c.check(ctx, adm)
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || Wait(ctx, spreadPause) != nil {
			return err
		}
	}
}

// Check compares the topics as Apply does, and creates none: a missing one is ErrTopic too.
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
