package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/kafka"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/process"
)

type eventsRebuildCmd struct {
	database
	brokers
	Replicas int           `default:"3" help:"Copies of each topic."`
	Wait     time.Duration `default:"30s" help:"How long to wait for a relay to let go."`
	Yes      bool          `help:"Do it. Without it the command only says what it would do."`
	JSON     bool          `help:"Print as JSON."`
}

// Run deletes the events' topic and fills it anew from the database; without --yes it only explains.
func (c *eventsRebuildCmd) Run(g *globals) error {
	db, err := openRelay(g.ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer db.Close()
	cluster, err := c.reached(g.ctx)
	if err != nil {
		return err
	}
	if !c.Yes {
		return c.explain(g, db, cluster)
	}
	shown := g.out
	if c.JSON {
		shown = g.err
	}
	m := newMeter(shown)
	begun := time.Now()
	done, err := cluster.Rebuild(g.ctx, db, kafka.RebuildOptions{Replicas: c.Replicas, Patience: c.Wait, Tell: m.show})
	m.end()
	if errors.Is(err, kafka.ErrRelayAtWork) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w (the relay stands still until a rebuild is finished; starting it again is safe)", err)
	}
	if c.JSON {
		return json.NewEncoder(g.out).Encode(map[string]any{
			"events": done.Events, "rows": done.Rows, "epoch": done.Epoch, "took_ms": time.Since(begun).Milliseconds(),
		})
	}
	_, err = fmt.Fprintf(g.out, "%d events stand on %s again, %d of them for the first time; epoch %d, %s.\n", done.Events,
		cluster.Names.Events, done.Rows, done.Epoch, time.Since(begun).Round(time.Millisecond))
	return err
}

// explain says what a rebuild would do, and changes nothing.
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
	topics := "as they must be"
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
	_, err = fmt.Fprintf(g.out, `This would delete the topics %s and %s, with all that is on them, make them anew
with %d copies, and publish all %d events of the database again, with the ids they have.

  topics now    %s
  unpublished   %d rows of the outbox

Orders are taken and carried out meanwhile. Consumers read everything again and skip what they
have applied. Readers that are not ours see the events twice: they know them by their ids.
Stop the processes with the role relay first, unless the relay stands still already.

Nothing was changed. To do it: platforma events rebuild --yes
`, names.Events, names.Positions, c.Replicas, events, topics, outbox.Rows)
	return err
}

// openRelay opens the one login that reads every tenant's events.
func openRelay(ctx context.Context, databaseURL string) (*postgres.DB, error) {
	return postgres.Open(ctx, process.LoginURL(databaseURL, postgres.LoginRelay),
		postgres.LoginRelay, postgres.Options{Clock: process.WallClock(1), NewID: process.NewID, MaxConns: 2})
}

// refit rebuilds the topic of the embedded broker when it is not the one that the database speaks of: its
// folder was deleted, could not be read, or the database is another. The broker's folder is disposable, so
// nobody is asked.
func refit(ctx context.Context, cluster kafka.Cluster, databaseURL string, log *slog.Logger, w io.Writer) error {
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
	log.DebugContext(ctx, "the embedded broker does not have what the database says", "error", err)
	done, err := cluster.Rebuild(ctx, db, kafka.RebuildOptions{Replicas: 1, Patience: 10 * time.Second})
	if err != nil {
		return fmt.Errorf("rebuild the topic of the embedded broker: %w", err)
	}
	_, err = fmt.Fprintf(w,
		"The embedded broker was not the one of this database: its topic was rebuilt with %d events.\n", done.Events)
	return err
}

// meter shows how far a rebuild has come: a bar on a terminal, a line per step and tenth elsewhere.
type meter struct {
	w      io.Writer
	live   bool
	drawn  bool // the bar's line is not ended
	tenths int
}

func newMeter(w io.Writer) *meter {
	f, ok := w.(*os.File)
	return &meter{w: w, live: ok && term.IsTerminal(int(f.Fd()))}
}

func (m *meter) show(p kafka.RebuildProgress) {
	if p.Step != kafka.RebuildFilling {
		m.end()
		fmt.Fprintf(m.w, "  %s\n", stepText(p.Step))
		return
	}
	share := 100 * p.Events / max(1, p.Of)
	if m.live {
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

// end leaves the bar's line.
func (m *meter) end() {
	if m.drawn {
		fmt.Fprintln(m.w)
		m.drawn = false
	}
}

func stepText(s kafka.RebuildStep) string {
	switch s {
	case kafka.RebuildLocked:
		return "no relay works"
	case kafka.RebuildBegun:
		return "none will until this is finished"
	case kafka.RebuildFenced:
		return "none that slept can wake up and write"
	case kafka.RebuildDeleted:
		return "the old topics are deleted"
	case kafka.RebuildMade:
		return "the new topics are there"
	case kafka.RebuildPlaced:
		return "the position is published"
	case kafka.RebuildFinished:
		return "the relays may work again"
	case kafka.RebuildFilling:
	}
	return string(s)
}
