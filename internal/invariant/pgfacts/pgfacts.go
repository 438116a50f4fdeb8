// Package pgfacts reads the database's share of invariant.Facts: every row that a promise is about,
// in one snapshot, with SQL of its own. It must share no query and no name of a state with the
// product, so that a mistake there is seen here. It connects as a superuser (or a role that bypasses
// row-level security), which no process of the product does: only the doctor, the demo and tests
// call it. It reads whether a secret is kept, never a sealed value.
package pgfacts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/platforma-cloud/orders/internal/invariant"
)

// Read takes the rows of one REPEATABLE READ snapshot. It fails, rather than see less, where the
// address's role does not bypass row-level security. The address never stands in an error.
func Read(ctx context.Context, adminURL string) (invariant.Facts, error) {
	var f invariant.Facts
	cfg, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return f, errors.New("read the database's facts: the address is not one of a PostgreSQL")
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return f, fmt.Errorf("read the database's facts: connect to %s:%d: %w", cfg.Host, cfg.Port, cause(err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return f, fmt.Errorf("read the database's facts: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	// Off means: an error where a policy would hide a row, instead of hiding it.
	if _, err := tx.Exec(ctx,
		`SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL search_path = platforma, pg_temp`); err !=
		nil {
		return f, fmt.Errorf("read the database's facts: %w", err)
	}
	if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&f.At); err != nil {
		return f, fmt.Errorf("read the database's facts: %w", err)
	}
	for _, read := range readers() {
		if err := read(ctx, tx, &f); err != nil {
			return f, fmt.Errorf("read the database's facts: %w", err)
		}
	}
	return f, nil
}

// cause is what the server said, or the network, without the address and its password.
func cause(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		return errors.New(said.Message)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.New("no connection")
}

type reader func(context.Context, pgx.Tx, *invariant.Facts) error

// rows reads a query's rows into a list of the facts.
func rows[T any](what, sql string, into func(*invariant.Facts) *[]T, scan func(pgx.Rows, *T) error) reader {
	return func(ctx context.Context, tx pgx.Tx, f *invariant.Facts) error {
		found, err := tx.Query(ctx, sql)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		defer found.Close()
		list := into(f)
		*list = []T{}
		for found.Next() {
			var row T
			if err := scan(found, &row); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			*list = append(*list, row)
		}
		if err := found.Err(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
}

// named are the names of stored numbers, by the documentation of the schema; a number without one
// becomes a name that no promise knows.
func named(number int, names ...string) string {
	if number >= 0 && number < len(names) && names[number] != "-" {
		return names[number]
	}
	return "unknown state " + strconv.Itoa(number)
}

func orderState(n int) string {
	return named(n, "-", "draft", "pending_payment", "payment_confirmed", "validating", "provisioning",
		"partially_fulfilled", "fulfilled", "cancelled", "failed")
}

func itemState(n int) string {
	return named(n, "-", "pending", "queued", "provisioning", "active", "delivered", "retry_wait", "waiting_capacity",
		"compensating", "rolled_back", "cancelled", "stuck")
}

// moment is a time that may be null.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
