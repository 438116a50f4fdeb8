package kafka_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/kafka/kafkatest"
)

func TestApplyingTheTopicsTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	b := kafkatest.Bare(t)
	if err := b.Check(t.Context()); !errors.Is(err, kafka.ErrTopic) {
		t.Errorf("Check() without topics = %v, want ErrTopic", err)
	}
	for range 2 {
		if err := b.Apply(t.Context(), 1); err != nil {
			t.Fatalf("Apply() = %v", err)
		}
	}
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("Check() = %v", err)
	}
}

func TestTopicWithWrongSettingsIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		topic      func(kafka.Names) string
		partitions int32
		settings   map[string]string
		want       string
	}{
		"partitions": {
			func(n kafka.Names) string { return n.Events }, 6,
			map[string]string{"message.timestamp.type": "LogAppendTime"},
			"has 6 partitions and needs 12",
		},
		"timestamps": {
			func(n kafka.Names) string { return n.Events }, 12,
			nil,
			"message.timestamp.type is CreateTime and must be LogAppendTime",
		},
		"compacted events": {
			func(n kafka.Names) string { return n.Events }, 12,
			map[string]string{"message.timestamp.type": "LogAppendTime", "cleanup.policy": "compact"},
			"cleanup.policy is compact and must be delete",
		},
		"positions that are deleted": {
			func(n kafka.Names) string { return n.Positions }, 1,
			map[string]string{"cleanup.policy": "compact,delete"},
			"and must be compact",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := kafkatest.Bare(t)
			cl, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers...))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			settings := map[string]*string{}
			for k, v := range tc.settings {
				settings[k] = &v
			}
			created, err := kadm.NewClient(cl).CreateTopics(t.Context(), tc.partitions, 1, settings, tc.topic(b.Names))
			if err != nil || created.Error() != nil {
				t.Fatalf("CreateTopics() = %v, %v", err, created.Error())
			}
			err = b.Apply(t.Context(), 1)
			if !errors.Is(err, kafka.ErrTopic) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Apply() = %v, want ErrTopic with %q", err, tc.want)
			}
		})
	}
}
