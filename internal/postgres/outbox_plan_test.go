package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/platforma-cloud/orders/internal/postgres"
	"github.com/platforma-cloud/orders/internal/postgres/pgtest"
)

// The relay's poll must be an ordered scan of the primary key, whether the outbox is empty, as it nearly always
// is, or full after an outage. It is explained as the relay's login, because row-level security changes plans.
func TestRelayReadsTheOutboxByItsKeyHoweverFullItIs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	super, relay := db.Super(t), db.Conn(t, postgres.LoginRelay)
	pending, session := postgres.PendingStatement()
	if _, err := relay.Exec(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	present := 0
	for _, rows := range []int{0, 1, 200_000} {
		for _, sql := range []string{
			fmt.Sprintf(`INSERT INTO order_event (tenant_id, order_id, seq, event_id, type, actor, at, traceparent, data)
				SELECT md5(n::text)::uuid, md5('o' || n / 10)::uuid, n, gen_random_uuid(), 'order.updated', 'x', now(), '', '{}'
				FROM generate_series(%d, %d) n`, present+1, rows),
			fmt.Sprintf(`INSERT INTO outbox (tenant_id, order_id, seq)
				SELECT md5(n::text)::uuid, md5('o' || n / 10)::uuid, n
				FROM generate_series(%d, %d) n`, present+1, rows),
			`ANALYZE outbox, order_event, dead_letters`,
		} {
			if _, err := super.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		present = rows
		for _, limit := range []int{500, 2000} {
			plan, err := explain(t, relay, pending, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, index := range []string{
				"Index Scan using outbox_pkey on outbox", "Index Scan using order_event_pkey",
				"Index Scan using dead_letters_pkey",
			} {
				if !strings.Contains(plan, index) {
					t.Errorf("with %d rows and a limit of %d no %s:\n%s", rows, limit, index, plan)
				}
			}
			if strings.Contains(plan, "Seq Scan") {
				t.Errorf("with %d rows and a limit of %d:\n%s", rows, limit, plan)
			}
		}
	}
}

func explain(t *testing.T, c *pgx.Conn, sql string, limit int) (string, error) {
	t.Helper()
	// CollectRows returns the error of Query
	rows, _ := c.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) `+sql, limit)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}
