package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
)

type eventsRebuildCmd struct {
	database
	brokers
	Replicas int           `default:"3" help:"Copies of each topic."`
	Wait     time.Duration `default:"30s" help:"How long to wait for a relay to stop."`
	Yes      bool          `help:"Rebuild the topic. Without it, the command only says what it would do."`
	JSON     bool          `help:"Print as JSON."`
}

// Run deletes the topic of the events and fills it again from the database. Without --yes it only says what it
// would do.
func (c *eventsRebuildCmd) Run(g *globals) error {
	db, err := openRelay(g.ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	cluster, err := c.reachableCluster(g.ctx)
	if err != nil {
		return err
	}
	if !c.Yes {
		return c.explain(g, db, cluster)
	}
	progressOut := g.out
	if c.JSON {
		progressOut = g.err
	}
	m := newRebuildMeter(progressOut)
	start := time.Now()
	done, err := cluster.Rebuild(g.ctx, db, kafka.RebuildOptions{Replicas: c.Replicas, Patience: c.Wait, Progress: m.show})
	m.end()
	if errors.Is(err, kafka.ErrRelayAtWork) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w (relays publish nothing until a rebuild is finished; it is safe to run the command again)", err)
	}
	if c.JSON {
		return json.NewEncoder(g.out).Encode(map[string]any{
			"events": done.Events, "rows": done.Rows, "epoch": done.Epoch, "took_ms": time.Since(start).Milliseconds(),
		})
	}
	_, err = fmt.Fprintf(g.out, "%d events are on %s again, %d of them for the first time; epoch %d, %s.\n",
		done.Events, cluster.Names.Events, done.Rows, done.Epoch, time.Since(start).Round(time.Millisecond))
	return err
}

// explain prints what a rebuild would do, and changes nothing.
func (c *eventsRebuildCmd) explain(g *globals, db *postgres.DB, cluster kafka.Cluster) error {
	events, err := db.HistorySize(g.ctx)
	if err != nil {
		return err
	}
	outbox, err := db.OutboxStatus(g.ctx)
	if err != nil {
		return err
	}
	names := cluster.Names
	topics := "as they should be"
	if err := cluster.Check(g.ctx); errors.Is(err, kafka.ErrTopic) {
		topics = err.Error()
	} else if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(g.out).Encode(map[string]any{
			"events": events, "unpublished": outbox.Rows, "delete": []string{names.Events, names.Positions},
			"topics": topics, "replicas": c.Replicas,
		})
	}
	_, err = fmt.Fprintf(g.out, `This would delete the topics %s and %s with everything on them, create them again
with %d copies, and publish all %d events of the database again, with the same ids.

  topics now    %s
  unpublished   %d rows of the outbox

Orders are accepted and fulfilled meanwhile. Consumers read everything again and skip what they
have applied. Other readers of the topic see the events twice and can recognise them by their ids.
Stop the processes with the role relay first, unless they have stopped publishing already.

Nothing was changed. To do it: platforma events rebuild --yes
`, names.Events, names.Positions, c.Replicas, events, topics, outbox.Rows)
	return err
}

// openRelay opens the relay's login, the only one that may read the events of every tenant.
func openRelay(ctx context.Context, databaseURL string) (*postgres.DB, error) {
	return postgres.Open(ctx, process.LoginURL(databaseURL, postgres.LoginRelay),
		postgres.LoginRelay, postgres.Options{Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2})
}

// rebuildEmbeddedTopic rebuilds the topic of the embedded broker when it does not match the database: its folder
// was deleted or could not be read, or the database is another one. It asks nobody, because the broker's folder
// is disposable.
func rebuildEmbeddedTopic(
	ctx context.Context, cluster kafka.Cluster, databaseURL string, log *slog.Logger, w io.Writer,
) error {
	db, err := openRelay(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = kafka.NewRelay(cluster, 0, "refit", db, log).Check(ctx)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, app.ErrRelayPosition):
		return fmt.Errorf("compare the embedded broker with the database: %w", err)
	}
	log.DebugContext(ctx, "the embedded broker does not match the database", "error", err)
	done, err := cluster.Rebuild(ctx, db, kafka.RebuildOptions{Replicas: 1, Patience: 10 * time.Second})
	if err != nil {
		return fmt.Errorf("rebuild the topic of the embedded broker: %w", err)
	}
	_, err = fmt.Fprintf(w, "The embedded broker did not match this database: its topic was rebuilt with %d events.\n",
		done.Events)
	return err
}

// rebuildMeter shows the progress of a rebuild: a bar on a terminal, elsewhere a line for each step and for each
// tenth of the events.
type rebuildMeter struct {
	w        io.Writer
	terminal bool
	drawn    bool // the bar's line is not ended yet
	tenths   int
}

func newRebuildMeter(w io.Writer) *rebuildMeter {
	return &rebuildMeter{w: w, terminal: isTerminal(w)}
}

func (m *rebuildMeter) show(p kafka.RebuildProgress) {
	if p.Step != kafka.RebuildFilling {
		m.end()
		fmt.Fprintf(m.w, "  %s\n", stepText(p.Step))
		return
	}
	share := 100 * p.Events / max(1, p.Of)
	if m.terminal {
		done := min(share, 100) * barWidth / 100
		fmt.Fprintf(m.w, "\r\x1b[2K  %s%s %3d %%  %d of %d events", strings.Repeat("█", done),
			strings.Repeat("·", barWidth-done), share, p.Events, p.Of)
		m.drawn = true
		return
	}
	if tenth := share / 10; tenth > m.tenths {
		m.tenths = tenth
		fmt.Fprintf(m.w, "  %d of %d events\n", p.Events, p.Of)
	}
}

// end ends the bar's line.
func (m *rebuildMeter) end() {
	if m.drawn {
		fmt.Fprintln(m.w)
		m.drawn = false
	}
}

func stepText(s kafka.RebuildStep) string {
	switch s {
	case kafka.RebuildLocked:
		return "no relay is at work"
	case kafka.RebuildBegun:
		return "no relay will start before the rebuild is finished"
	case kafka.RebuildFenced:
		return "former relays are fenced and can publish nothing"
	case kafka.RebuildDeleted:
		return "the old topics are deleted"
	case kafka.RebuildCreated:
		return "the new topics are created"
	case kafka.RebuildPositioned:
		return "the relay's position is published"
	case kafka.RebuildFinished:
		return "the relays may work again"
	case kafka.RebuildFilling:
	}
	return string(s)
}
