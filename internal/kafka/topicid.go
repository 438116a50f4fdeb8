package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic that was rebuilt keeps its name and begins with offset 0 again: only its id tells the two
// apart. The id comes with every fetch, so each record is told from which topic it was really read, also
// while the topic changes under a running consumer.

type topicKey struct{}

// ofTopic notes on fetched records which topic they were read from.
func ofTopic(id [16]byte, records []*kgo.Record) []*kgo.Record {
	ctx := context.WithValue(context.Background(), topicKey{}, id)
	for _, r := range records {
		r.Context = ctx
	}
	return records
}

// topicOf is what ofTopic noted; zero of a record that came another way.
func topicOf(r *kgo.Record) (id [16]byte) {
	if r.Context != nil {
		id, _ = r.Context.Value(topicKey{}).([16]byte)
	}
	return id
}

// remade is an error when a topic that is read was deleted. A client that has read it never reads the one
// that is made in its place: whoever reads has to begin with a new client.
func remade(fetches kgo.Fetches) error {
	for _, f := range fetches.Errors() {
		if errors.Is(f.Err, kerr.UnknownTopicID) {
			return fmt.Errorf("topic %s was deleted, or made anew: %w", f.Topic, f.Err)
		}
	}
	return nil
}
