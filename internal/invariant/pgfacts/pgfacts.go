// Package pgfacts reads the database's part of invariant.Facts: every row that a promise is about, in one snapshot,
// with SQL of its own. It must not share a query or the name of a state with the product, so that a mistake there is
// found here. It connects as a superuser, or with a role that bypasses row-level security, which no process of the
// product does; only the doctor, the demo and tests call it. It reads whether a secret is stored, never the sealed
// value.
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

// Read reads the rows of one REPEATABLE READ snapshot. If the role of the address does not bypass row-level security,
// it fails instead of reading fewer rows. An error never holds the address.
func Read(ctx context.Context, adminURL string) (invariant.Facts, error) {
	var f invariant.Facts
	cfg, err := pgx.ParseConfig(adminURL)
	if err != nil {
		return f, errors.New("read the database's facts: the address is not a PostgreSQL address")
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
	// With row_security off, a policy that would hide a row causes an error instead.
	const settings = `SET LOCAL row_security = off; SET LOCAL statement_timeout = 0;
		SET LOCAL search_path = platforma, pg_temp`
	if _, err := tx.Exec(ctx, settings); err != nil {
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

// cause returns the server's message, without the address and its password.
func cause(err error) error {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return errors.New(pgErr.Message)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return errors.New("no connection")
}

type reader func(context.Context, pgx.Tx, *invariant.Facts) error

// rows returns a reader that reads a query's rows into a list of the facts.
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

// named returns the name of a stored number, by the comments of the schema. A number without a name becomes a name that
// no promise knows.
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

// moment returns a time that may be null; null is the zero time.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
