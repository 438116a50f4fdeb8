package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/order"
)

// WatchCheckpoints has the database write down each step of each consumer's mark, in the transaction of the effect
// and under the lock of the mark's row: of two who apply events of one order at once, who commits first may
// well return last. The answer lists the sequence numbers that a consumer's mark has taken, in that order.
func (db *DB) WatchCheckpoints(t testing.TB) func(consumer string, o order.ID) []int {
	t.Helper()
	c := db.Super(t)
	_, err := c.Exec(t.Context(), `
		CREATE TABLE platforma.mark_step (n bigint GENERATED ALWAYS AS IDENTITY, consumer text, order_id uuid, seq int);
		CREATE FUNCTION platforma.mark_step() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
		SET search_path = platforma, pg_temp AS $$ BEGIN
			INSERT INTO mark_step (consumer, order_id, seq) VALUES (NEW.consumer, NEW.order_id, NEW.seq);
			RETURN NEW;
		END $$;
		CREATE TRIGGER mark_made AFTER INSERT ON platforma.inbox FOR EACH ROW WHEN (NEW.seq > 0) EXECUTE FUNCTION
		platforma.mark_step();
		CREATE TRIGGER mark_moved AFTER UPDATE ON platforma.inbox FOR EACH ROW WHEN (NEW.seq <> OLD.seq) EXECUTE FUNCTION
		platforma.mark_step()`)
	if err != nil {
		t.Fatalf("watch marks: %v", err)
	}
	return func(consumer string, o order.ID) []int {
		t.Helper()
		rows, err := c.Query(t.Context(), `SELECT seq FROM platforma.mark_step WHERE consumer = $1 AND order_id = $2
			ORDER BY n`, consumer, o.String())
		if err != nil {
			t.Fatalf("steps of the mark of %s: %v", consumer, err)
		}
		seqs, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			t.Fatalf("steps of the mark of %s: %v", consumer, err)
		}
		return seqs
	}
}
