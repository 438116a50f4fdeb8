package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// brokenLine closes its connection once it is armed: before the next request is sent, or when its answer was
// received.
type brokenLine struct{ loseRequest, loseAnswer atomic.Bool }

func (l *brokenLine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &brokenConn{Conn: conn, line: l}, nil
}

type brokenConn struct {
	net.Conn
	line *brokenLine
	sent atomic.Bool // the request whose answer is to be lost
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if c.line.loseRequest.CompareAndSwap(true, false) {
		_ = c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	if c.line.loseAnswer.CompareAndSwap(true, false) {
		c.sent.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *brokenConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b) // the server has answered and so has done its work
	if c.sent.Load() {
		_ = c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

func TestCommitWhoseAnswerIsLostIsResolvedByTheSameKey(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	for name, tc := range map[string]struct {
		arm      func(l *brokenLine)
		replayed bool
	}{
		"the commit was lost":         {func(l *brokenLine) { l.loseRequest.Store(true) }, false},
		"the commit's answer is lost": {func(l *brokenLine) { l.loseAnswer.Store(true) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var line brokenLine
			api := db.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 1, DialFunc: line.dial})
			agg := draft(db, org, 1)
			insert(t, api, agg)
			attempt := func(before func()) error {
				return api.InTenant(t.Context(), org.ID, app.With{Key: key(name)}, func(tx app.Tx) error {
					agg, err := tx.LockOrder(t.Context(), agg.Order.ID, app.Also{})
					if err != nil {
						return err
					}
					agg.Order.Version++
					tx.Save(agg)
					tx.Remember(app.Answer{Status: 200, Body: []byte("done")})
					before()
					return nil
				})
			}
			// Prepares the statements, so that the line breaks at the commit itself.
			warm(t, api, db, org, agg.Order.ID)
			err := attempt(func() { tc.arm(&line) })
			if f := fault.Of(err); f == nil || f.Kind != fault.KindUnavailable || f.After <= 0 {
				t.Fatalf("got %v, want unavailable with a wait", err)
			}
			var replay *app.Replayed
			// The server may not have noticed yet that the connection is lost: send it again, as the answer says.
			for range 200 {
				if err = attempt(func() {}); fault.Of(err) == nil || fault.Of(err).Code != fault.CodeKeyInUse {
					break
				}
				<-time.After(20 * time.Millisecond)
			}
			if tc.replayed != errors.As(err, &replay) || !tc.replayed && err != nil {
				t.Errorf("the same key again: %v; want a replay: %t", err, tc.replayed)
			}
			if got := must(api.Order(t.Context(), org.ID, agg.Order.ID)); got.Order.Version != 3 {
				t.Errorf("version %d, want 3: there must be one effect, whatever was lost", got.Order.Version)
			}
		})
	}
}

// warm makes the pool's only connection prepare the statements of a change with a key.
func warm(t *testing.T, api *postgres.DB, db *pgtest.DB, org pgtest.Org, o order.ID) {
	t.Helper()
	err := api.InTenant(t.Context(), org.ID, app.With{Key: key("warm " + o.String())}, func(tx app.Tx) error {
		agg, err := tx.LockOrder(t.Context(), o, app.Also{})
		if err != nil {
			return err
		}
		agg.Order.Version++
		tx.Save(agg)
		tx.Remember(app.Answer{Status: 200, Body: []byte("warm")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestASerializationFailureIsRetriedOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		failures int
		want     fault.Kind
		runs     int
	}{
		"once":  {1, 0, 2},
		"twice": {2, fault.KindUnavailable, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			org, _ := db.Two(t)
			api := db.API(t)
			agg := draft(db, org, 1)
			insert(t, api, agg)
			if _, err := db.Super(t).Exec(t.Context(), `
				CREATE SEQUENCE attempts;
				GRANT USAGE ON SEQUENCE attempts TO platforma_api;
				CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN
					IF nextval('platforma.attempts') <= TG_ARGV[0]::int THEN
						RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01';
					END IF;
					RETURN NEW;
				END $$;
				CREATE TRIGGER stumble BEFORE UPDATE ON orders
					FOR EACH ROW EXECUTE FUNCTION stumble(`+string(rune('0'+tc.failures))+`)`); err != nil {
				t.Fatal(err)
			}
			runs := 0
			saved, err := tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
				runs++
				agg.Order.Record(order.Event{Type: order.EvUpdated})
			})
			if runs != tc.runs {
				t.Errorf("ran %d times, want %d", runs, tc.runs)
			}
			if tc.want != 0 {
				if f := fault.Of(err); f == nil || f.Kind != tc.want {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := must(api.Events(t.Context(), org.ID, agg.Order.ID, 1, 10))
			if diff := cmp.Diff(saved.Added.Events, got); diff != "" {
				t.Errorf("events; those of the first run must not be there (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABusyPoolIsUnavailableAndACallerMayCancel(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.Open(t, postgres.LoginAPI, postgres.Options{MaxConns: 1, AcquireTimeout: 50 * time.Millisecond})
	insert(t, db.API(t), draft(db, org, 1))
	err := api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error {
		_, err := api.Settings(t.Context(), org.ID)
		if f := fault.Of(err); f == nil || f.Kind != fault.KindUnavailable || f.After <= 0 {
			t.Errorf("got %v, want unavailable", err)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := api.Settings(cancelled, org.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that cancelled: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSaveOfAnUnlockedOrderIsRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	org, _ := db.Two(t)
	api := db.API(t)
	agg := draft(db, org, 2)
	insert(t, api, agg)
	read := must(api.Order(t.Context(), org.ID, agg.Order.ID))
	err := api.InTenant(t.Context(), org.ID, app.With{}, func(tx app.Tx) error { tx.Save(read); return nil })
	if err == nil {
		t.Error("an order was saved that this transaction had not locked")
	}
	change(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
		_, _ = agg.Order.Fire(order.Submit, "")
	})
	_, err = tryChange(t, api, db, org, agg.Order.ID, app.Also{}, func(agg *app.Aggregate) {
		agg.Order.Items = agg.Order.Items[:1]
	})
	if err == nil {
		t.Error("an item was removed from a submitted order")
	}
	if got := must(api.Order(t.Context(), org.ID, agg.Order.ID)); len(got.Order.Items) != 2 || got.Order.Version != 2 {
		t.Errorf("%d items at version %d", len(got.Order.Items), got.Order.Version)
	}
}
