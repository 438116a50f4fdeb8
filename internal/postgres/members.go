package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/platforma-cloud/orders/internal/payment"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/money"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// mustSettings is the message that the function must raises when the settings have another version than was read.
const mustSettings = "settings were changed meanwhile"

const (
	sqlSettings = `
		SELECT t.slug, s.version, s.body
		FROM tenants t
		LEFT JOIN settings s ON s.tenant_id = t.id
		WHERE t.id = $1`
	sqlSettingsPut = `
		WITH hit AS (
			INSERT INTO settings (tenant_id, body, version)
			VALUES ($1, $2, $3)
			ON CONFLICT (tenant_id) DO UPDATE
			SET body = excluded.body, version = excluded.version
			WHERE settings.version = $3 - 1
			RETURNING 1)
		SELECT must((SELECT count(*) FROM hit) = 1, '` + mustSettings + `')`

	memberColumns = `id, role, subject, email, delivery_key`
	sqlMember     = `
		SELECT ` + memberColumns + `
		FROM members
		WHERE tenant_id = $1 AND id = $2`
	sqlCustomer  = sqlMember + ` AND revoked_at IS NULL`
	sqlCustomers = `
		SELECT ` + memberColumns + `
		FROM members
		WHERE tenant_id = $1
			AND id IN (SELECT o.customer_id FROM orders o WHERE o.tenant_id = $1 AND o.id = ANY ($2::uuid[]))`
	sqlMemberPut = `
		INSERT INTO members (tenant_id, id, role, subject, email, delivery_key)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (tenant_id, id) DO UPDATE
		SET role = excluded.role, subject = excluded.subject, email = excluded.email,
			delivery_key = excluded.delivery_key, revoked_at = NULL`
	sqlDeliveryKey = `
		UPDATE members
		SET delivery_key = $3
		WHERE tenant_id = $1 AND id = $2`

	sqlExternalOwner = `SELECT id FROM orders WHERE tenant_id = $1 AND external_id = $2`
	// The newest rate of the currency that the tenant's settings name.
	sqlTenantRate = `
		SELECT r.rate, r.source, r.at
		FROM exchange_rates r
		WHERE r.currency = (SELECT s.body ->> 'currency' FROM settings s WHERE s.tenant_id = $1)
		ORDER BY r.at DESC
		LIMIT 1`
)

// defaults returns the settings of a tenant that has set none. They also apply to members that the stored
// settings leave out.
func defaults(t tenant.ID, slug string) app.Settings {
	return app.Settings{
		Tenant: t, Slug: slug, Name: slug, Currency: money.EUR, TimeZone: "UTC", Language: "en",
		PaymentMethod: payment.DefaultMethod, PaymentDueDays: 14, QuoteValidDays: 30,
	}
}

func queueSettings(b *pgx.Batch, t tenant.ID, got func(app.Settings)) {
	b.Queue(sqlSettings, uid(t)).QueryRow(func(r pgx.Row) error {
		var slug string
		var version pgtype.Int4
		var body []byte
		if err := r.Scan(&slug, &version, &body); err != nil {
			if absent(err) {
				return fault.Absent()
			}
			return fmt.Errorf("read settings: %w", err)
		}
		s := defaults(t, slug)
		s.Version = int(version.Int32)
		if body != nil {
			if err := json.Unmarshal(body, &s); err != nil {
				return fmt.Errorf("read the settings of tenant %s: %w", t, err)
			}
		}
		got(s)
		return nil
	})
}

// Settings reads a tenant's settings, with defaults for what it has not set.
func (db *DB) Settings(ctx context.Context, t tenant.ID) (app.Settings, error) {
	var s app.Settings
	err := db.readTenant(ctx, t, func(b *pgx.Batch) { queueSettings(b, t, func(got app.Settings) { s = got }) })
	if err != nil {
		return app.Settings{}, faultOr(err, "read the settings of tenant %s", t)
	}
	return s, nil
}

// PutSettings queues the settings as version s.Version, which is one more than the version that was read. If
// another version was committed in between, the commit fails with a version conflict.
func (x *tx) PutSettings(s app.Settings) {
	body, err := json.Marshal(s)
	if err != nil {
		x.fail(fmt.Errorf("encode settings: %w", err))
		return
	}
	x.queue(sqlSettingsPut, uid(x.tenant), string(body), s.Version)
}

func scanMember(r pgx.Row) (app.Member, error) {
	var m app.Member
	err := r.Scan(intoID(&m.ID), &m.Role, &m.Subject, &m.Email, &m.DeliveryKey)
	if err != nil && !absent(err) {
		err = fmt.Errorf("read member: %w", err)
	}
	return m, err
}

func (l *loader) scanCustomer(r pgx.Rows) error {
	m, err := scanMember(r)
	if err != nil {
		return err
	}
	for _, agg := range l.aggregates {
		if agg.Order.Customer == m.ID {
			agg.Customer = m
		}
	}
	return nil
}

// Member reads a member of a tenant, even a revoked one: the orders of a customer remain after he is revoked.
func (db *DB) Member(ctx context.Context, t tenant.ID, m tenant.MemberID) (app.Member, error) {
	var got app.Member
	err := db.readTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlMember, uid(t), uid(m)).QueryRow(func(r pgx.Row) (err error) {
			if got, err = scanMember(r); absent(err) {
				return fault.Absent()
			}
			return err
		})
	})
	if err != nil {
		return app.Member{}, faultOr(err, "read member %s", m)
	}
	return got, nil
}

// PutMember adds or changes a member; a revoked one is reinstated. A subject that belongs to another member is a
// conflict.
func (db *DB) PutMember(ctx context.Context, t tenant.ID, m app.Member) error {
	return db.writeTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlMemberPut, uid(t), uid(m.ID), int16(m.Role), m.Subject, m.Email, m.DeliveryKey)
	})
}

// PutDeliveryKey queues a member's OpenPGP public key; nil removes it.
func (x *tx) PutDeliveryKey(m tenant.MemberID, key []byte) {
	x.queue(sqlDeliveryKey, uid(x.tenant), uid(m), key)
}

func queuePrepare(b *pgx.Batch, t tenant.ID, n app.NewOrder, p *app.Prepared) {
	queueSettings(b, t, func(s app.Settings) { p.Settings = s })
	b.Queue(sqlCustomer, uid(t), uid(n.Customer)).QueryRow(func(r pgx.Row) error {
		m, err := scanMember(r)
		if absent(err) {
			return nil
		}
		p.Customer = m
		return err
	})
	if n.ExternalID != "" {
		b.Queue(sqlExternalOwner, uid(t), n.ExternalID).QueryRow(func(r pgx.Row) error {
			if err := r.Scan(intoID(&p.ExternalIDTaken)); err != nil && !absent(err) {
				return fmt.Errorf("look for external id: %w", err)
			}
			return nil
		})
	}
	b.Queue(sqlTenantRate, uid(t)).QueryRow(func(r pgx.Row) error {
		fx, err := scanRate(r)
		if absent(err) {
			return nil
		}
		p.Rate = fx
		return err
	})
}

func scanRate(r pgx.Row) (*order.FX, error) {
	var rate string
	var fx order.FX
	if err := r.Scan(&rate, &fx.Source, intoTime(&fx.At)); err != nil {
		return nil, err
	}
	var err error
	if fx.Rate, err = money.ParseRate(rate); err != nil {
		return nil, fmt.Errorf("read exchange rate: %w", err)
	}
	return &fx, nil
}

// APIKey is an API key of a member as it is stored; the key itself is not.
type APIKey struct {
	ID        [16]byte
	Member    tenant.MemberID
	Hash      [32]byte // SHA-256 of the key
	Prefix    string   // start of the key, by which its owner recognises it
	Scopes    []string // empty: everything that the member's role allows
	CreatedAt time.Time
	ExpiresAt time.Time
}

const (
	sqlKeyAdd = `
		INSERT INTO api_keys (tenant_id, id, member_id, hash, prefix, scopes, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	sqlFindKey = `
		SELECT tenant_id, member_id, key_id
		FROM find_actor($1, $2)`
	sqlKeyActor = `
		SELECT m.role, k.scopes
		FROM api_keys k
		JOIN members m ON m.tenant_id = k.tenant_id AND m.id = k.member_id
		WHERE k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND m.revoked_at IS NULL`
	sqlKeyRevoke = `
		UPDATE api_keys
		SET revoked_at = $3
		WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL`
	sqlMemberRevoke = `
		UPDATE members
		SET revoked_at = $3
		WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL`
)

// AddAPIKey stores an API key of a member.
func (db *DB) AddAPIKey(ctx context.Context, t tenant.ID, k APIKey) error {
	scopes := k.Scopes
	if scopes == nil {
		scopes = []string{}
	}
	return db.writeTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlKeyAdd, uid(t), pgtype.UUID{Bytes: k.ID, Valid: true}, uid(k.Member), k.Hash[:], k.Prefix, scopes,
			stamp(k.CreatedAt), stamp(k.ExpiresAt))
	})
}

// RevokeAPIKey revokes a key. It has no effect on a revoked one.
func (db *DB) RevokeAPIKey(ctx context.Context, t tenant.ID, key [16]byte) error {
	return db.writeTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlKeyRevoke, uid(t), pgtype.UUID{Bytes: key, Valid: true}, stamp(db.now()))
	})
}

// RevokeMember revokes a member, and with him all his keys.
func (db *DB) RevokeMember(ctx context.Context, t tenant.ID, m tenant.MemberID) error {
	return db.writeTenant(ctx, t, func(b *pgx.Batch) { b.Queue(sqlMemberRevoke, uid(t), uid(m), stamp(db.now())) })
}

// FindActor returns the actor that a key belongs to; see app.Accounts. The tenant comes from the stored key,
// never from the caller. Role and scopes are then read inside that tenant.
func (db *DB) FindActor(ctx context.Context, hash [32]byte) (tenant.Actor, error) {
	a := tenant.Actor{Kind: tenant.KindMember}
	var key pgtype.UUID
	err := db.inSystem(ctx, func(b *pgx.Batch) {
		b.Queue(sqlFindKey, hash[:], stamp(db.now())).QueryRow(func(r pgx.Row) error {
			return r.Scan(intoID(&a.Tenant), intoID(&a.Member), &key)
		})
	})
	if err == nil {
		err = db.readTenant(ctx, a.Tenant, func(b *pgx.Batch) {
			b.Queue(sqlKeyActor, uid(a.Tenant), key).QueryRow(func(r pgx.Row) error { return r.Scan(&a.Role, &a.Scopes) })
		})
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return tenant.Actor{}, fault.New(fault.KindUnauthenticated, "unauthenticated",
			"This request carries no key that is valid here.")
	}
	if err != nil {
		return tenant.Actor{}, faultOr(err, "find the actor of a key")
	}
	return a, nil
}
