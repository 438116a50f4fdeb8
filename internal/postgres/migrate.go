package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/postgres/migrations"
)

// Migrate brings the schema of a database up to date: it runs the missing migrations and then installs the two
// functions with the lists of legal moves. The login of url must be able to create roles and to act as
// platforma_owner. Any number of processes may call it at once; one migrates and the others wait.
func Migrate(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("read the database address: %w", withoutAddress(err))
	}
	db := stdlib.OpenDB(*cfg)
	defer db.Close()
	// One try a second for five minutes. With goose's default, the processes that wait would wait 5 s at least.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return fmt.Errorf("prepare the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations.Files, goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return installMoves(ctx, db)
}

// moveLock is the advisory lock under which the move functions are compared and replaced.
const moveLock = 0x706c6174666f7201

// installMoves replaces the two trigger functions if their lists of legal moves differ from the code's, so that
// the database refuses exactly the moves that the lifecycle tables refuse.
func installMoves(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("install the lists of moves: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // has no effect after the commit
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(moveLock)); err != nil {
		return fmt.Errorf("install the lists of moves: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `SET LOCAL ROLE platforma_owner`); err != nil {
		return fmt.Errorf("install the lists of moves: %w", err)
	}
	for name, source := range MoveFunctions() {
		var installed string
		row := tx.QueryRowContext(ctx, `SELECT prosrc FROM pg_proc WHERE oid = to_regproc('platforma.' || $1)`, name)
		if err := row.Scan(&installed); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read function %s: %w", name, err)
		}
		if installed == source {
			continue
		}
		//nolint:gosec // name and source are made from the lifecycle's own tables
		create := `CREATE OR REPLACE FUNCTION platforma.` + name + `() RETURNS trigger LANGUAGE plpgsql
			SET search_path = platforma, pg_temp AS $body$` + source + `$body$`
		if _, err := tx.ExecContext(ctx, create); err != nil {
			return fmt.Errorf("install function %s: %w", name, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("install the lists of moves: %w", err)
	}
	return nil
}

// MoveFunctions returns the bodies of the two trigger functions, generated from order.Moves and order.ItemMoves.
// The name of the tests' template database depends on them as well.
func MoveFunctions() map[string]string {
	return map[string]string{
		"order_move": moveBody("order", pairs(order.Moves())),
		"item_move":  moveBody("item", pairs(order.ItemMoves())),
	}
}

func moveBody(what, list string) string {
	return `
BEGIN
  IF (OLD.state, NEW.state) NOT IN (VALUES ` + list + `) THEN
    RAISE EXCEPTION '` + what + ` move % to % is not in the lifecycle', OLD.state, NEW.state USING ERRCODE = '23514';
  END IF;
  RETURN NEW;
END `
}

func pairs[S ~uint8](moves [][2]S) string {
	list := make([]string, len(moves))
	for i, m := range moves {
		list[i] = fmt.Sprintf("(%d, %d)", m[0], m[1])
	}
	return strings.Join(list, ", ")
}
