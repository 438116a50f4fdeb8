package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
)

const (
	sqlRefuse = `
		INSERT INTO refused_record (consumer, topic_id, part, off, code, headers, data_sha256, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT DO NOTHING`
	sqlStatusPut = `
		INSERT INTO consumer_status (consumer, instance, name, at, age_ms, behind, applied, duplicates, retried,
			parked, blocked, refused, stopped)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
			$10, $11, $12, $13)
		ON CONFLICT (consumer, instance) DO UPDATE
		SET at = excluded.at, age_ms = excluded.age_ms, behind = excluded.behind, applied = excluded.applied,
			duplicates = excluded.duplicates, retried = excluded.retried, parked = excluded.parked,
			blocked = excluded.blocked, refused = excluded.refused, stopped = excluded.stopped`
	sqlStatusDelete = `DELETE FROM consumer_status WHERE at < $1`
	// The greatest age is the lag: a process that runs does not make up for one that hangs.
	sqlStatuses = `
		SELECT consumer, min(name), max(age_ms), sum(behind)::bigint, sum(applied)::bigint, sum(duplicates)::bigint,
			sum(retried)::bigint, sum(parked)::bigint, sum(blocked)::bigint, sum(refused)::bigint, sum(stopped)::int
		FROM consumer_status
		WHERE at >= $1 AND instance <> $2
		GROUP BY consumer
		ORDER BY consumer`
)

// Refuse stores a record that a consumer refused; see app.Refusals.
func (db *DB) Refuse(ctx context.Context, r app.Refusal) error {
	headers, err := json.Marshal(r.Headers)
	if err != nil {
		return fmt.Errorf("encode the headers of a refused record: %w", err)
	}
	return db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRefuse, r.Consumer, pgtype.UUID{Bytes: r.TopicID, Valid: true}, r.Partition, r.Offset, r.Code,
			string(headers), r.DataSHA256[:], stamp(r.At))
	})
}

// statusFresh is how long the status of a process's consumers is valid. A process writes it every few seconds; one
// that does not has ended or hangs.
const statusFresh = 30 * time.Second

// PutConsumerStatus writes the status of a process's consumers, for the processes that show it. instance
// identifies this run of the process.
func (db *DB) PutConsumerStatus(ctx context.Context, instance string, list []app.ConsumerStatus) error {
	now := db.now()
	return db.inSystem(ctx, func(b *pgx.Batch) {
		for _, s := range list {
			b.Queue(sqlStatusPut, s.Group, instance, s.Name, stamp(now), s.Lag.Milliseconds(), s.LagEvents, s.Applied,
				s.Duplicates, s.Retried, s.Parked, s.Blocked, s.Refused, s.Stopped)
		}
		b.Queue(sqlStatusDelete, stamp(now.Add(-statusFresh)))
	})
}

// ConsumerStatus adds up the valid statuses of all processes but the caller's own, whose instance is without: the
// caller knows its own consumers' status better.
func (db *DB) ConsumerStatus(ctx context.Context, without string) ([]app.ConsumerStatus, error) {
	var list []app.ConsumerStatus
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlStatuses, stamp(db.now().Add(-statusFresh)), without), func(r pgx.Rows) error {
			var s app.ConsumerStatus
			var age int64
			err := r.Scan(&s.Group, &s.Name, &age, &s.LagEvents, &s.Applied, &s.Duplicates, &s.Retried, &s.Parked,
				&s.Blocked, &s.Refused, &s.Stopped)
			s.Lag = time.Duration(age) * time.Millisecond
			list = append(list, s)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the status of consumers")
	}
	return list, nil
}
