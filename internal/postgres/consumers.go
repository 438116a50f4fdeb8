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
		INSERT INTO refused_record (consumer, topic_id, part, off, code, headers, data_sha256, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`
	sqlStatusPut = `
		INSERT INTO consumer_status (consumer, at, age_ms, applied, duplicates, retried, refused, stopped) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (consumer) DO UPDATE SET at = excluded.at, age_ms = excluded.age_ms, applied = excluded.applied, duplicates = excluded.duplicates,
			retried = excluded.retried, refused = excluded.refused, stopped = excluded.stopped`
	sqlStatuses = `SELECT consumer, age_ms, applied, duplicates, retried, refused, stopped FROM consumer_status ORDER BY consumer`
)

// Refuse keeps a record that a consumer did not apply; see app.Refusals.
func (db *DB) Refuse(ctx context.Context, r app.Refusal) error {
	headers, err := json.Marshal(r.Headers)
	if err != nil {
		return fmt.Errorf("encode the headers of a refused record: %w", err)
	}
	return db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRefuse, r.Consumer, pgtype.UUID{Bytes: r.TopicID, Valid: true}, r.Partition, r.Offset, r.Code, string(headers), r.DataSHA256[:], stamp(r.At))
	})
}

// PutConsumerStatus writes how a process's consumers stand, for the processes that show it.
func (db *DB) PutConsumerStatus(ctx context.Context, list []app.ConsumerStatus) error {
	at := stamp(db.now())
	return db.inSystem(ctx, func(b *pgx.Batch) {
		for _, s := range list {
			b.Queue(sqlStatusPut, s.Consumer, at, s.Age.Milliseconds(), s.Applied, s.Duplicates, s.Retried, s.Refused, s.Stopped)
		}
	})
}

// ConsumerStatus reads what the consumers wrote last.
func (db *DB) ConsumerStatus(ctx context.Context) ([]app.ConsumerStatus, error) {
	var list []app.ConsumerStatus
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		each(b.Queue(sqlStatuses), func(r pgx.Rows) error {
			var s app.ConsumerStatus
			var age int64
			err := r.Scan(&s.Consumer, &age, &s.Applied, &s.Duplicates, &s.Retried, &s.Refused, &s.Stopped)
			s.Age = time.Duration(age) * time.Millisecond
			list = append(list, s)
			return err
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the status of consumers")
	}
	return list, nil
}
