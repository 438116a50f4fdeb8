package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
)

// retryAfter is how long a caller should wait before it retries after an internal fault. It is also the time
// limit for cleaning up a connection.
const retryAfter = time.Second

// The SQLSTATEs that have a meaning for a caller.
const (
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateLockTimeout   = "55P03"
	stateCancelled     = "57014" // statement_timeout, or our own context
	stateUnique        = "23505"
	stateMust          = "PF001" // raised by the function must
)

// repeatable reports whether the transaction failed only because of a concurrent one, so that it can be run
// again.
func repeatable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == stateSerialization || pg.Code == stateDeadlock)
}

// explain turns an error of the driver into a fault that a caller can act on, with the cause in the chain. An
// error that is a fault already, or that a caller cannot act on, is returned as it is.
func explain(ctx context.Context, err error) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return explainServer(pg, err)
	}
	if lostConnection(err) {
		return unavailable("The database cannot be reached.", err)
	}
	return err
}

func explainServer(pg *pgconn.PgError, err error) error {
	switch {
	case pg.Code == stateUnique:
		return explainUnique(pg, err)
	case pg.Code == stateMust && pg.Message == mustSettings:
		return withCause(fault.New(fault.KindConflict, fault.CodeVersionConflict,
			"The settings were changed meanwhile. Read them again, then decide."), err)
	case pg.Code == stateLockTimeout, repeatable(err), pg.Code == stateCancelled:
		return unavailable("The order is busy.", err)
	case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57P"),
		pg.Code == "25P03":
		return unavailable("The database is not available.", err)
	}
	return err
}

// explainUnique returns a fault that names the value that is taken. The server's message is never shown to a
// caller, because it quotes values of the other row.
func explainUnique(pg *pgconn.PgError, err error) error {
	switch pg.ConstraintName {
	case "orders_number":
		return fmt.Errorf("%w: %w", app.ErrNumberTaken, err)
	case "orders_external":
		return withCause(externalIDInUse(), err)
	case "payments_reference":
		return withCause(fault.New(fault.KindConflict, "payment-reference-in-use",
			"This payment reference belongs to another payment already."), err)
	case "payments_live":
		return withCause(fault.New(fault.KindConflict, "already-paid", "The order has a confirmed payment already."), err)
	case "idempotency_pkey":
		return withCause(keyInUse(), err)
	case "catalog_pkey":
		return withCause(fault.New(fault.KindConflict, "catalog-version-exists",
			"This version of a catalogue entry exists. Entries are never changed: add a version."), err)
	case "members_subject":
		return withCause(fault.New(fault.KindConflict, "subject-in-use",
			"This login subject belongs to another member."), err)
	}
	return err
}

func externalIDInUse() *fault.Error {
	return fault.New(fault.KindConflict, "external-id-in-use", "Another order carries this external id.")
}

func keyInUse() *fault.Error {
	e := fault.New(fault.KindConflict, fault.CodeKeyInUse,
		"A request with this Idempotency-Key is still in progress. Send it again in a second.")
	e.After = retryAfter
	return e
}

func unavailable(detail string, cause error) error {
	e := fault.New(fault.KindUnavailable, "unavailable",
		"%s Nothing is lost: send the request again with the same Idempotency-Key.", detail)
	e.After = retryAfter
	return withCause(e, cause)
}

// withCause joins a fault with its cause: fault.Of finds the fault for the caller, and the log shows the cause.
func withCause(f *fault.Error, cause error) error { return fmt.Errorf("%w: %w", f, cause) }

// lostConnection reports whether the server could not be reached, or the connection broke before its answer.
func lostConnection(err error) bool {
	var dial *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &dial) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed")
}

// absent reports whether a query found nothing.
func absent(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// withoutAddress replaces the error of an address parser, which may quote the password.
func withoutAddress(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("not a PostgreSQL address")
	}
	return err
}
