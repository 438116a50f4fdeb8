package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A rebuilt topic keeps its name and begins with offset 0 again: only its id differs. The id comes with
// every fetch and is noted on each record, so a record says from which topic it was read even if the topic
// is replaced while a consumer runs.

type topicKey struct{}

// ofTopic notes on fetched records the id of the topic that they were read from.
func ofTopic(id [16]byte, records []*kgo.Record) []*kgo.Record {
	ctx := context.WithValue(context.Background(), topicKey{}, id)
	for _, r := range records {
		r.Context = ctx
	}
	return records
}

// topicOf returns the id that ofTopic noted, or zero for a record without one.
func topicOf(r *kgo.Record) (id [16]byte) {
	if r.Context != nil {
		id, _ = r.Context.Value(topicKey{}).([16]byte)
	}
	return id
}

// topicDeleted returns an error if a topic that is read was deleted. A client that has read a topic never
// reads another one with the same name: the reader has to begin with a new client.
func topicDeleted(fetches kgo.Fetches) error {
	for _, f := range fetches.Errors() {
		if errors.Is(f.Err, kerr.UnknownTopicID) {
			return fmt.Errorf("topic %s was deleted, or created again: %w", f.Topic, f.Err)
		}
	}
	return nil
}
