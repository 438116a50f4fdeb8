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

// How long a rebuild waits for others.
const (
	rebuildLockPause = 100 * time.Millisecond // between tries; a relay that stands still lets go now and again
	remakeTime       = 2 * time.Minute        // Kafka deletes topics in its own time
	remakePause      = 250 * time.Millisecond
	forgetTime       = time.Minute     // until nobody remembers offsets of the old topic
	forgetLeast      = 6 * time.Second // after the topic was made anew, a client that reads it has heard of it
)

// ErrRelayAtWork is a rebuild that did not get the relay's lock: a relay whose topic fits works on. Stop
// the processes with the role relay first.
var ErrRelayAtWork = errors.New("a relay is at work: stop the processes with the role relay first")

// RebuildStep is what a rebuild has just done.
type RebuildStep string

// The steps, in their order. Whatever ends a rebuild between two of them, starting again works.
const (
	RebuildLocked   RebuildStep = "locked"   // no relay works
	RebuildBegun    RebuildStep = "begun"    // and none will, until this is finished
	RebuildFenced   RebuildStep = "fenced"   // not even one that slept through it
	RebuildDeleted  RebuildStep = "deleted"  // the old topics are gone
	RebuildMade     RebuildStep = "made"     // the new ones are there
	RebuildFilling  RebuildStep = "filling"  // Events of Of stand on the topic
	RebuildPlaced   RebuildStep = "placed"   // and the position behind them
	RebuildFinished RebuildStep = "finished" // the relays may work again
)

// RebuildProgress tells how far a rebuild has come.
type RebuildProgress struct {
	Step       RebuildStep
	Events, Of int
}

// Rebuilt is what a rebuild did.
type Rebuilt struct {
	Events int   // on the topic, all that were committed when it was filled
	Rows   int   // of the outbox that are done with
	Epoch  int64 // of the positions from now on
}

// RebuildOptions say how a rebuild is done.
type RebuildOptions struct {
	Shard    int
	Replicas int // copies of the topics
	// Patience is how long to wait for the relay's lock. A relay that stands still lets go of it for a
	// moment now and again: after 10 s with a batch that does not go through, else sooner.
	Patience time.Duration
	Tell     func(RebuildProgress) // after each step; nil is nobody
}

// Rebuild deletes the topic of the events and fills it again from the database: for a topic
// that was lost, or is not the one that the database speaks of. Writers and consumers may go on. The events
// keep their ids, so the consumers' inboxes absorb what was applied before; the dead letters' topics stay
// as they are.
//
// Never refill through the outbox while writers run: a new event would overtake its order's history.
func (c Cluster) Rebuild(ctx context.Context, history app.History, o RebuildOptions) (Rebuilt, error) {
	r := rebuilding{c, o}
	db, err := r.lock(ctx, history)
	if err != nil {
		return Rebuilt{}, err
	}
	defer db.Release()
	r.tell(RebuildProgress{Step: RebuildLocked})
	return r.run(ctx, db)
}

// rebuilding is a rebuild at work.
type rebuilding struct {
	Cluster
	RebuildOptions
}

func (r rebuilding) tell(p RebuildProgress) {
	if r.Tell != nil {
		r.Tell(p)
	}
}

func (r rebuilding) lock(ctx context.Context, history app.History) (app.Rebuild, error) {
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

func (r rebuilding) run(ctx context.Context, db app.Rebuild) (Rebuilt, error) {
	at, err := db.Begin(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	r.tell(RebuildProgress{Step: RebuildBegun})
	cl, err := r.client(append(r.Names.producing(r.Shard), kgo.MetadataMinAge(spreadPause))...)
	if err != nil {
		return Rebuilt{}, err
	}
	defer cl.Close()
	soon, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := fence(soon, cl); err != nil {
		return Rebuilt{}, err
	}
	r.tell(RebuildProgress{Step: RebuildFenced})
	topic, err := r.remake(ctx, cl, db)
	if err != nil {
		return Rebuilt{}, err
	}
	events, err := r.fill(ctx, cl, db)
	if err != nil {
		return Rebuilt{}, err
	}
	if err := r.put(ctx, cl, place{at, topic}); err != nil {
		return Rebuilt{}, err
	}
	r.tell(RebuildProgress{Step: RebuildPlaced, Events: events, Of: events})
	rows, err := db.Finish(ctx)
	if err != nil {
		return Rebuilt{}, err
	}
	r.tell(RebuildProgress{Step: RebuildFinished, Events: events, Of: events})
	return Rebuilt{Events: events, Rows: rows, Epoch: at.Epoch}, nil
}

// remake deletes events and positions and makes both anew, and answers the id of the new events. Kafka
// does what it is told in its own time: a topic may be seen for a while after it was deleted, and not be
// seen after it was made.
func (r rebuilding) remake(ctx context.Context, cl *kgo.Client, db app.Rebuild) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, remakeTime)
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
	// From here on nothing can be taken back: whoever lost the lock meanwhile must not go on.
	if err := db.Held(ctx); err != nil {
		return "", err
	}
	gone, err := adm.DeleteTopics(ctx, names...)
	if err != nil {
		return "", fmt.Errorf("delete the topics: %w", err)
	}
	for name, g := range gone {
		if g.Err != nil && !errors.Is(g.Err, kerr.UnknownTopicOrPartition) {
			return "", fmt.Errorf("delete topic %s: %w", name, g.Err)
		}
	}
	r.tell(RebuildProgress{Step: RebuildDeleted})
	for {
		err := r.Apply(ctx, r.Replicas)
		if err == nil {
			err = r.anew(ctx, adm, old)
		}
		if err == nil {
			break
		}
		if Wait(ctx, remakePause) != nil {
			return "", fmt.Errorf("make the topics anew: %w", err)
		}
	}
	if err := r.forget(ctx, adm, readers); err != nil {
		return "", err
	}
	topic, err := topicID(ctx, cl, r.Names.Events)
	if err != nil {
		return "", err
	}
	r.tell(RebuildProgress{Step: RebuildMade})
	return topic, nil
}

// anew is nil when neither topic is the old one.
func (r rebuilding) anew(ctx context.Context, adm *kadm.Client, old kadm.TopicDetails) error {
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

// reader is a group that remembers offsets of the events beyond their start.
type reader struct {
	places kadm.TopicsSet
	idle   bool // nobody reads as this group now
}

func (r rebuilding) readers(ctx context.Context, adm *kadm.Client) (map[string]reader, error) {
	groups, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the consumers' groups: %w", err)
	}
	readers := map[string]reader{}
	for name, known := range adm.FetchManyOffsets(ctx, groups.Groups()...) {
		if known.Err != nil {
			return nil, fmt.Errorf("read the offsets of group %s: %w", name, known.Err)
		}
		for part, o := range known.Fetched[r.Names.Events] {
			if o.At > 0 {
				rd := readers[name]
				rd.idle = groups[name].State == "Empty"
				rd.places.Add(r.Names.Events, part)
				readers[name] = rd
			}
		}
	}
	return readers, nil
}

// forget returns when no group remembers an offset of the deleted topic: one that did would begin in the
// middle of the new one. Kafka forgets them itself with the topic; but a consumer that runs may commit once
// more, by the topic's name, before it hears that what it reads is gone. While the new topic is empty every
// offset beyond its start is such a one. known are the groups that read the old topic.
func (r rebuilding) forget(ctx context.Context, adm *kadm.Client, known map[string]reader) error {
	maps.DeleteFunc(known, func(_ string, rd reader) bool { return rd.idle })
	ctx, cancel := context.WithTimeout(ctx, forgetTime)
	defer cancel()
	enough, stop := context.WithTimeout(ctx, forgetLeast)
	defer stop()
	for {
		stale, err := r.readers(ctx, adm)
		if err != nil {
			return err
		}
		for name, rd := range stale {
			if _, err := adm.DeleteOffsets(ctx, name, rd.places); err != nil { // of a partition: it is asked again
				return fmt.Errorf("forget the offsets of group %s: %w", name, err)
			}
		}
		if len(stale) == 0 && (len(known) == 0 || enough.Err() != nil) {
			return nil
		}
		if Wait(ctx, remakePause) != nil {
			return fmt.Errorf("groups %v hold on to offsets of the deleted topic: stop their consumers, then start again",
				slices.Sorted(maps.Keys(stale)))
		}
	}
}

// fill publishes the whole history, in transactions of as many events as a relay's with a backlog.
func (r rebuilding) fill(ctx context.Context, cl *kgo.Client, db app.Rebuild) (int, error) {
	all, err := db.Snapshot(ctx)
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
		if err := commitSoon(ctx, cl, records...); err != nil {
			return 0, fmt.Errorf("publish events %d to %d of the history: %w", done+1, done+len(events), err)
		}
		done += len(events)
		r.tell(RebuildProgress{Step: RebuildFilling, Events: done, Of: all})
	}
}

func (r rebuilding) put(ctx context.Context, cl *kgo.Client, at place) error {
	rec, err := positionRecord(r.Names, at)
	if err != nil {
		return err
	}
	if err := commitSoon(ctx, cl, rec); err != nil {
		return fmt.Errorf("publish the position of the rebuilt topic: %w", err)
	}
	return nil
}
