package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
)

// topicPosition is a position of the relay and the id of the topic that it is about. The id is empty
// if the stored position has none.
type topicPosition struct {
	app.RelayPosition
	topic string
}

// positionValue is a topicPosition as the value of a record.
type positionValue struct {
	Shard int     `json:"shard"`
	Epoch int64   `json:"epoch"`
	Batch int64   `json:"batch"`
	IDs   []int64 `json:"ids"`
	Topic string  `json:"topic,omitempty"`
}

func positionRecord(names Names, p topicPosition) (*kgo.Record, error) {
	value, err := json.Marshal(positionValue{p.Shard, p.Epoch, p.Batch, p.IDs, p.topic})
	if err != nil {
		return nil, fmt.Errorf("encode position: %w", err)
	}
	return &kgo.Record{Topic: names.Positions, Key: []byte(strconv.Itoa(p.Shard)), Value: value}, nil
}

func decodePosition(b []byte) (topicPosition, error) {
	var p positionValue
	err := json.Unmarshal(b, &p)
	return topicPosition{app.RelayPosition{Shard: p.Shard, Epoch: p.Epoch, Batch: p.Batch, IDs: p.IDs}, p.Topic}, err
}

// nextPosition returns the position after p: the batch that consists of rows.
func nextPosition(p topicPosition, rows []app.OutboxRow) topicPosition {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	p.Batch, p.IDs = p.Batch+1, ids
	return p
}

// lastPosition reads the topic of the positions from its start up to the relay's own barrier record, and
// returns the shard's last position. The barrier replaces arithmetic on end offsets, which transaction
// markers and compaction make unreliable, and proves that the broker accepts the relay's writes.
func (r *Relay) lastPosition(ctx context.Context, barrier int64) (topicPosition, error) {
	pos := topicPosition{RelayPosition: app.RelayPosition{Shard: r.shard}}
	topic := r.cluster.Names.Positions
	cl, err := r.cluster.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)
	if err != nil {
		return pos, err
	}
	defer cl.Close()
	key := strconv.Itoa(r.shard)
	for {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return pos, fmt.Errorf("read the relay's position: %w", err)
		}
		for _, f := range fetches.Errors() {
			return pos, fmt.Errorf("read the relay's position: %w", f.Err)
		}
		for _, rec := range fetches.Records() {
			if string(rec.Key) == key {
				if pos, err = decodePosition(rec.Value); err != nil || pos.Shard != r.shard {
					return pos, fmt.Errorf("%w: the position at offset %d cannot be read", app.ErrRelayPosition, rec.Offset)
				}
			}
			if rec.Offset >= barrier {
				return pos, nil
			}
		}
	}
}

// topicID returns the id of a topic. A topic that was deleted and created again has a new one.
func topicID(ctx context.Context, cl *kgo.Client, name string) (string, error) {
	m, err := kadm.NewClient(cl).Metadata(ctx, name)
	if err == nil {
		err = m.Topics[name].Err
	}
	if err != nil {
		return "", fmt.Errorf("read the id of topic %s: %w", name, err)
	}
	return m.Topics[name].ID.String(), nil
}
