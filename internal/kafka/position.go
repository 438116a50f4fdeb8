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

// place is a position and the topic that it counts: its id, or nothing where no position says so.
type place struct {
	app.RelayPosition
	topic string
}

// position is a place as it stands on the topic.
type position struct {
	Shard int     `json:"shard"`
	Epoch int64   `json:"epoch"`
	Batch int64   `json:"batch"`
	IDs   []int64 `json:"ids"`
	Topic string  `json:"topic,omitempty"`
}

func positionRecord(names Names, p place) (*kgo.Record, error) {
	value, err := json.Marshal(position{p.Shard, p.Epoch, p.Batch, p.IDs, p.topic})
	if err != nil {
		return nil, fmt.Errorf("encode position: %w", err)
	}
	return &kgo.Record{Topic: names.Positions, Key: []byte(strconv.Itoa(p.Shard)), Value: value}, nil
}

func decodePosition(b []byte) (place, error) {
	var p position
	err := json.Unmarshal(b, &p)
	return place{app.RelayPosition{Shard: p.Shard, Epoch: p.Epoch, Batch: p.Batch, IDs: p.IDs}, p.Topic}, err
}

func next(p place, rows []app.OutboxRow) place {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	p.Batch, p.IDs = p.Batch+1, ids
	return p
}

// lastPosition reads the positions from their start up to our own barrier. The barrier replaces
// arithmetic on end offsets, which transaction markers and compaction make unreliable, and proves that
// the broker takes our writes.
func (r *Relay) lastPosition(ctx context.Context, barrier int64) (place, error) {
	pos := place{RelayPosition: app.RelayPosition{Shard: r.shard}}
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

// topicID names a topic beyond its name: one that is made anew has another.
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
