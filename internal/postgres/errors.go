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

// retryAfter is what a caller is told to wait when the fault is on our side.
const retryAfter = time.Second

// SQLSTATEs that mean something to a caller.
const (
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateLockTimeout   = "55P03"
	stateCancelled     = "57014" // statement_timeout, or our own context
	stateUnique        = "23505"
	stateMust          = "PF001" // function must
)

// repeatable reports whether the transaction failed only because of another one, so that it may simply
// run again.
func repeatable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == stateSerialization || pg.Code == stateDeadlock)
}

// explain turns a driver's error into what a caller can act on, keeping the cause in the chain. An
// error that is a fault already, or ours to mend, comes back as it is.
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
		return because(fault.New(fault.KindConflict, fault.CodeVersionConflict,
			"The settings were changed meanwhile. Read them again, then decide."), err)
	case pg.Code == stateLockTimeout, repeatable(err), pg.Code == stateCancelled:
		return unavailable("The order is busy.", err)
	case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57P"),
		pg.Code == "25P03":
		return unavailable("The database is not available.", err)
	}
	return err
}

// explainUnique names what is taken. 23505 itself is never shown: it quotes the other row's values.
func explainUnique(pg *pgconn.PgError, err error) error {
	switch pg.ConstraintName {
	case "orders_number":
		return fmt.Errorf("%w: %w", app.ErrNumberTaken, err)
	case "orders_external":
		return because(externalIDInUse(), err)
	case "payments_reference":
		return because(fault.New(fault.KindConflict, "payment-reference-in-use",
			"This payment reference stands for another payment already."), err)
	case "payments_live":
		return because(fault.New(fault.KindConflict, "already-paid", "The order has a confirmed payment already."), err)
	case "idempotency_pkey":
		return because(keyInUse(), err)
	case "catalog_pkey":
		return because(fault.New(fault.KindConflict, "catalog-version-exists",
			"This version of a catalogue entry exists. Entries are never changed: add a version."), err)
	case "members_subject":
		return because(fault.New(fault.KindConflict, "subject-in-use", "This login subject belongs to another member."), err)
	}
	return err
}

func externalIDInUse() *fault.Error {
	return fault.New(fault.KindConflict, "external-id-in-use", "Another order carries this external id.")
}

func keyInUse() *fault.Error {
	e := fault.New(fault.KindConflict, fault.CodeKeyInUse,
		"A request with this Idempotency-Key is still at work. Send it again in a second.")
	e.After = retryAfter
	return e
}

func unavailable(detail string, cause error) error {
	e := fault.New(fault.KindUnavailable, "unavailable",
		"%s Nothing is lost: send the request again with the same Idempotency-Key.", detail)
	e.After = retryAfter
	return because(e, cause)
}

// because keeps the cause for the log; fault.Of finds the fault for the caller.
func because(f *fault.Error, cause error) error { return fmt.Errorf("%w: %w", f, cause) }

// lostConnection reports whether the server could not be reached, or not be heard out.
func lostConnection(err error) bool {
	var dial *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &dial) || errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed")
}

// absent reports whether a query found nothing.
func absent(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// withoutAddress drops what a parser says about an address: it may quote the password.
func withoutAddress(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("not a PostgreSQL address")
	}
	return err
}
