package postgres

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
)

// Conversions between Go values and columns. A zero id and a zero time are null in the database.

func uid[T any](v id.Of[T]) pgtype.UUID { return pgtype.UUID{Bytes: v, Valid: !v.IsZero()} }

func uids[T any](vs []id.Of[T]) []pgtype.UUID {
	out := make([]pgtype.UUID, len(vs))
	for i, v := range vs {
		out[i] = uid(v)
	}
	return out
}

// idInto scans an id; null is the zero id.
type idInto[T any] struct{ dst *id.Of[T] }

func intoID[T any](dst *id.Of[T]) idInto[T] { return idInto[T]{dst} }

// ScanUUID implements pgtype.UUIDScanner.
func (s idInto[T]) ScanUUID(v pgtype.UUID) error {
	*s.dst = id.Of[T](v.Bytes)
	if !v.Valid {
		*s.dst = id.Of[T]{}
	}
	return nil
}

// stamp returns a time as a column value; the zero time is null.
func stamp(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{}
	}
	return pgtype.Timestamptz{Time: moment(t), Valid: true}
}

func stampOf(t *time.Time) pgtype.Timestamptz {
	if t == nil {
		return pgtype.Timestamptz{}
	}
	return stamp(*t)
}

// timeInto scans a time in UTC; null is the zero time.
type timeInto struct{ dst *time.Time }

func intoTime(dst *time.Time) timeInto { return timeInto{dst} }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (s timeInto) ScanTimestamptz(v pgtype.Timestamptz) error {
	*s.dst = time.Time{}
	if v.Valid {
		*s.dst = v.Time.UTC()
	}
	return nil
}

// timePtrInto scans a time in UTC; null is nil.
type timePtrInto struct{ dst **time.Time }

func intoTimePtr(dst **time.Time) timePtrInto { return timePtrInto{dst} }

// ScanTimestamptz implements pgtype.TimestamptzScanner.
func (s timePtrInto) ScanTimestamptz(v pgtype.Timestamptz) error {
	*s.dst = nil
	if v.Valid {
		t := v.Time.UTC()
		*s.dst = &t
	}
	return nil
}

// moment truncates a time to the precision of a column, so that the value in memory equals the stored one.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// text returns a text as a column value; the empty text is null.
func text(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

// classOf returns the error class with a name. A name that this release does not know is None.
func classOf(name string) fault.Class {
	for c := fault.None; c.String() != "unknown"; c++ {
		if c.String() == name {
			return c
		}
	}
	return fault.None
}

// column returns one value of each row, as a parameter array of a set-based statement.
func column[R, V any](rows []R, pick func(*R) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = pick(&rows[i])
	}
	return out
}

// jsonTexts encodes a list of texts as a JSON array; an empty list is "[]".
func jsonTexts(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	raw, err := json.Marshal(list)
	if err != nil {
		panic("a list of texts is not encodable: " + err.Error())
	}
	return string(raw)
}
