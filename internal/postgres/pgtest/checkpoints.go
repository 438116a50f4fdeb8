package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/order"
)

// WatchCheckpoints makes the database log every move of every checkpoint, in the transaction of the effect and
// under the lock of the checkpoint's row. The log gives the order of the commits; of two goroutines that apply
// events of one order at once, the one that commits first may return last. The returned function lists the
// sequence numbers that a consumer's checkpoint has had, in that order.
func (db *DB) WatchCheckpoints(t testing.TB) func(consumer string, o order.ID) []int {
	t.Helper()
	c := db.Super(t)
	_, err := c.Exec(t.Context(), `
		CREATE TABLE platforma.checkpoint_move (
			n bigint GENERATED ALWAYS AS IDENTITY, consumer text, order_id uuid, seq int);
		CREATE FUNCTION platforma.checkpoint_move() RETURNS trigger
		LANGUAGE plpgsql SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
		BEGIN
			INSERT INTO checkpoint_move (consumer, order_id, seq) VALUES (NEW.consumer, NEW.order_id, NEW.seq);
			RETURN NEW;
		END $$;
		CREATE TRIGGER checkpoint_made AFTER INSERT ON platforma.inbox
			FOR EACH ROW WHEN (NEW.seq > 0) EXECUTE FUNCTION platforma.checkpoint_move();
		CREATE TRIGGER checkpoint_moved AFTER UPDATE ON platforma.inbox
			FOR EACH ROW WHEN (NEW.seq <> OLD.seq) EXECUTE FUNCTION platforma.checkpoint_move()`)
	if err != nil {
		t.Fatalf("watch checkpoints: %v", err)
	}
	return func(consumer string, o order.ID) []int {
		t.Helper()
		rows, err := c.Query(t.Context(), `
			SELECT seq
			FROM platforma.checkpoint_move
			WHERE consumer = $1 AND order_id = $2
			ORDER BY n`, consumer, o.String())
		if err != nil {
			t.Fatalf("moves of the checkpoint of %s: %v", consumer, err)
		}
		seqs, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			t.Fatalf("moves of the checkpoint of %s: %v", consumer, err)
		}
		return seqs
	}
}
