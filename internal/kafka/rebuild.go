package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/platforma-cloud/orders/internal/app"
)

// How long a rebuild waits for relays, brokers and clients.
const (
	rebuildLockPause    = 100 * time.Millisecond // between attempts; a relay that fails releases its lock now and then
	recreateTimeout     = 2 * time.Minute        // Kafka deletes topics in the background
	recreatePause       = 250 * time.Millisecond
	staleOffsetsTimeout = time.Minute     // until no group has an offset of the old topic
	staleOffsetsMinimum = 6 * time.Second // then every client that reads the topic knows that it is a new one
)

// ErrRelayAtWork says that a rebuild did not get the relay's lock: a relay works, and its topic matches
// the database. Stop the processes with the role relay first.
var ErrRelayAtWork = errors.New("a relay is at work: stop the processes with the role relay first")

// RebuildStep is the step that a rebuild has just completed.
type RebuildStep string

// The steps, in their order. A rebuild that ended after any of them can be started again.
const (
	RebuildLocked     RebuildStep = "locked"   // no relay works
	RebuildBegun      RebuildStep = "begun"    // no relay will work until this rebuild is finished
	RebuildFenced     RebuildStep = "fenced"   // a relay that was paused meanwhile cannot publish either
	RebuildDeleted    RebuildStep = "deleted"  // the old topics are gone
	RebuildCreated    RebuildStep = "made"     // the new topics exist
	RebuildFilling    RebuildStep = "filling"  // Events out of Of are published
	RebuildPositioned RebuildStep = "placed"   // the position is published behind them
	RebuildFinished   RebuildStep = "finished" // the relays may work again
)

// RebuildProgress says how far a rebuild has come.
type RebuildProgress struct {
	Step       RebuildStep
	Events, Of int
}

// Rebuilt is the result of a rebuild.
type Rebuilt struct {
	Events int   // on the topic: all that were committed when it was filled
	Rows   int   // removed from the outbox, because they are published
	Epoch  int64 // of the positions from now on
}

// RebuildOptions are the options of a rebuild.
type RebuildOptions struct {
	Shard    int
	Replicas int // of each topic
	// Patience is how long to wait for the relay's lock. A relay that fails releases its lock for a
	// moment now and then: after 10 s if a batch cannot be published, otherwise sooner.
	Patience time.Duration
	Progress func(RebuildProgress) // called after each step; may be nil
}

// Rebuild deletes the topic of the events and fills it again from the database. It is for a topic that
// was lost or that does not match the database. Writers and consumers may go on meanwhile. The events keep
// their ids, so the consumers' inboxes drop what was applied before. The topics of dead letters stay
// as they are.
//
// Never refill the topic through the outbox while writers run: a new event would overtake its order's
// history.
func (c Cluster) Rebuild(ctx context.Context, history app.History, o RebuildOptions) (Rebuilt, error) {
	r := rebuild{c, o}
	db, err := r.lock(ctx, history)
	if err != nil {
		return Rebuilt{}, err
	}
	defer db.Release()
	r.report(RebuildProgress{Step: RebuildLocked})
	return r.run(ctx, db)
}

// rebuild is one run of Cluster.Rebuild.
type rebuild struct {
	Cluster
	RebuildOptions
}

func (r rebuild) report(p RebuildProgress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}

func (r rebuild) lock(ctx context.Context, history app.History) (app.Rebuild, error) {
	wait, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	for {
		db, ok, err := history.TryRebuild(ctx, r.Shard)
		if err != nil {
			return nil, fmt.Errorf("lock outbox %d: %w", r.Shard, err)
		}
		if ok {
			return db, nil
		}
		if Wait(wait, rebuildLockPause) != nil {
			return nil, errors.Join(ctx.Err(), ErrRelayAtWork)
		}
	}
}

func (r rebuild) run(ctx context.Context, db app.Rebuild) (Rebuilt, error) {
	at, err := db.Begin(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	r.report(RebuildProgress{Step: RebuildBegun})
	cl, err := r.client(append(r.Names.producerOptions(r.Shard), kgo.MetadataMinAge(propagationPause))...)
	if err != nil {
		return Rebuilt{}, err
	}
	defer cl.Close()
	fenceCtx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := fence(fenceCtx, cl); err != nil {
		return Rebuilt{}, err
	}
	r.report(RebuildProgress{Step: RebuildFenced})
	topic, err := r.recreateTopics(ctx, cl, db)
	if err != nil {
		return Rebuilt{}, err
	}
	events, err := r.fill(ctx, cl, db)
	if err != nil {
		return Rebuilt{}, err
	}
	if err := r.publishPosition(ctx, cl, topicPosition{at, topic}); err != nil {
		return Rebuilt{}, err
	}
	r.report(RebuildProgress{Step: RebuildPositioned, Events: events, Of: events})
	rows, err := db.Finish(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	r.report(RebuildProgress{Step: RebuildFinished, Events: events, Of: events})
	return Rebuilt{Events: events, Rows: rows, Epoch: at.Epoch}, nil
}

// recreateTopics deletes the topics of the events and of the positions, creates both again, and returns the
// id of the new topic of the events. Kafka does both in the background: a deleted topic may still be
// listed for a while, and a new one may not be listed yet.
func (r rebuild) recreateTopics(ctx context.Context, cl *kgo.Client, db app.Rebuild) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, recreateTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	names := []string{r.Names.Positions, r.Names.Events}
	old, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return "", fmt.Errorf("list topics: %w", err)
	}
	readers, err := r.readers(ctx, adm)
	if err != nil {
		return "", err
	}
	// The deletion cannot be undone, so a rebuild that lost its lock meanwhile must stop here.
	if err := db.Held(ctx); err != nil {
		return "", err
	}
	deleted, err := adm.DeleteTopics(ctx, names...)
	if err != nil {
		return "", fmt.Errorf("delete the topics: %w", err)
	}
	for name, d := range deleted {
		if d.Err != nil && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			return "", fmt.Errorf("delete topic %s: %w", name, d.Err)
		}
	}
	r.report(RebuildProgress{Step: RebuildDeleted})
	for {
		err := r.Apply(ctx, r.Replicas)
		if err == nil {
			err = r.checkRecreated(ctx, adm, old)
		}
		if err == nil {
			break
		}
		if Wait(ctx, recreatePause) != nil {
			return "", fmt.Errorf("create the topics again: %w", err)
		}
	}
	if err := r.deleteStaleOffsets(ctx, adm, readers); err != nil {
		return "", err
	}
	topic, err := topicID(ctx, cl, r.Names.Events)
	if err != nil {
		return "", err
	}
	r.report(RebuildProgress{Step: RebuildCreated})
	return topic, nil
}

// checkRecreated returns nil if both topics exist and neither is the old one.
func (r rebuild) checkRecreated(ctx context.Context, adm *kadm.Client, old kadm.TopicDetails) error {
	now, err := adm.ListTopics(ctx, r.Names.Positions, r.Names.Events)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	for name, t := range now {
		if t.Err != nil {
			return fmt.Errorf("topic %s: %w", name, t.Err)
		}
		if o, ok := old[name]; ok && o.Err == nil && o.ID == t.ID {
			return fmt.Errorf("topic %s is still being deleted", name)
		}
	}
	return nil
}

// reader is a consumer group with committed offsets beyond the start of the events.
type reader struct {
	partitions kadm.TopicsSet // those with such an offset
	idle       bool           // the group has no members now
}

// readers returns those groups by their names.
func (r rebuild) readers(ctx context.Context, adm *kadm.Client) (map[string]reader, error) {
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the consumers' groups: %w", err)
	}
	readers := map[string]reader{}
	for name, committed := range adm.FetchManyOffsets(ctx, groups.Groups()...) {
		if committed.Err != nil {
			return nil, fmt.Errorf("read the offsets of group %s: %w", name, committed.Err)
		}
		for partition, o := range committed.Fetched[r.Names.Events] {
			if o.At > 0 {
				rd := readers[name]
				rd.idle = groups[name].State == "Empty"
				rd.partitions.Add(r.Names.Events, partition)
				readers[name] = rd
			}
		}
	}
	return readers, nil
}

// deleteStaleOffsets returns when no group has a committed offset of the deleted topic: a consumer with
// such an offset would begin in the middle of the new topic. Kafka deletes the offsets together with the
// topic, but a running consumer may commit once more, by the topic's name, before it notices that its topic
// is gone. While the new topic is empty, every offset beyond its start is stale. known are the groups that
// read the old topic.
func (r rebuild) deleteStaleOffsets(ctx context.Context, adm *kadm.Client, known map[string]reader) error {
	maps.DeleteFunc(known, func(_ string, rd reader) bool { return rd.idle })
	ctx, cancel := context.WithTimeout(ctx, staleOffsetsTimeout)
	defer cancel()
	minimum, stop := context.WithTimeout(ctx, staleOffsetsMinimum)
	defer stop()
	for {
		stale, err := r.readers(ctx, adm)
		if err != nil {
			return err
		}
		for name, rd := range stale {
			// An error of a single partition is in the response; the next round tries it again.
			if _, err := adm.DeleteOffsets(ctx, name, rd.partitions); err != nil {
				return fmt.Errorf("delete the stale offsets of group %s: %w", name, err)
			}
		}
		if len(stale) == 0 && (len(known) == 0 || minimum.Err() != nil) {
			return nil
		}
		if Wait(ctx, recreatePause) != nil {
			return fmt.Errorf("groups %v keep offsets of the deleted topic: stop their consumers, then start again",
				slices.Sorted(maps.Keys(stale)))
		}
	}
}

// fill publishes the whole history, in transactions as large as those of a relay with a backlog.
func (r rebuild) fill(ctx context.Context, cl *kgo.Client, db app.Rebuild) (int, error) {
	total, err := db.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	done := 0
	for {
		events, err := db.Next(ctx, backlogRows)
		if err != nil {
			return 0, err
		}
		if len(events) == 0 {
			return done, nil
		}
		records := make([]*kgo.Record, len(events))
		for i, e := range events {
			records[i] = eventRecord(r.Names, e)
		}
		if err := commitInTime(ctx, cl, records...); err != nil {
			return 0, fmt.Errorf("publish events %d to %d of the history: %w", done+1, done+len(events), err)
		}
		done += len(events)
		r.report(RebuildProgress{Step: RebuildFilling, Events: done, Of: total})
	}
}

func (r rebuild) publishPosition(ctx context.Context, cl *kgo.Client, pos topicPosition) error {
	rec, err := positionRecord(r.Names, pos)
	if err != nil {
		return err
	}
	if err := commitInTime(ctx, cl, rec); err != nil {
		return fmt.Errorf("publish the position of the rebuilt topic: %w", err)
	}
	return nil
}
