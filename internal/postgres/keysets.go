package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/platforma-cloud/orders/internal/app"
	"github.com/platforma-cloud/orders/internal/fault"
	"github.com/platforma-cloud/orders/internal/id"
	"github.com/platforma-cloud/orders/internal/order"
	"github.com/platforma-cloud/orders/internal/tenant"
)

// Purpose is what a tenant's keyset seals. A reader of one kind cannot read the other.
type Purpose string

// The purposes of a keyset.
const (
	ForCredentials Purpose = "credential"
	ForPassphrases Purpose = "passphrase"
)

// Keyset is a tenant's wrapped keyset. It is of no use without the key-encryption key that it names.
type Keyset struct {
	Wrapped []byte
	KEK     string
}

const (
	sqlKeyset       = `SELECT wrapped, kek FROM keysets WHERE tenant_id = $1 AND purpose = $2`
	sqlKeysetInsert = `
		INSERT INTO keysets (tenant_id, purpose, wrapped, kek, created_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT DO NOTHING`
)

// Keyset reads a tenant's keyset for the worker, which seals values, and generates it at first use. If two
// callers generate one at once, both get the one that was stored first. A destroyed keyset is a fault: nothing
// can be sealed any more.
func (db *DB) Keyset(ctx context.Context, t tenant.ID, p Purpose, generate func() (Keyset, error)) (Keyset, error) {
	k, err := db.readKeyset(ctx, t, p, nil)
	if err != nil || k != nil {
		return keysetOr(k, err)
	}
	fresh, err := generate()
	if err != nil {
		return Keyset{}, fmt.Errorf("make the %s keyset of tenant %s: %w", p, t, err)
	}
	k, err = db.readKeyset(ctx, t, p, &fresh)
	return keysetOr(k, err)
}

func keysetOr(k *Keyset, err error) (Keyset, error) {
	switch {
	case err != nil:
		return Keyset{}, err
	case k == nil || k.Wrapped == nil:
		return Keyset{}, destroyed()
	}
	return *k, nil
}

func destroyed() error {
	return fault.New(fault.KindConflict, "destroyed", "What was sealed here was destroyed for good.")
}

// readKeyset reads a keyset. If fresh is not nil and there is none, it stores fresh first. It returns nil if
// there is none.
func (db *DB) readKeyset(ctx context.Context, t tenant.ID, p Purpose, fresh *Keyset) (*Keyset, error) {
	var got *Keyset
	err := db.writeTenant(ctx, t, func(b *pgx.Batch) {
		if fresh != nil {
			b.Queue(sqlKeysetInsert, uid(t), string(p), fresh.Wrapped, fresh.KEK, stamp(db.now()))
		}
		each(b.Queue(sqlKeyset, uid(t), string(p)), func(r pgx.Rows) error {
			got = &Keyset{}
			return r.Scan(&got.Wrapped, &got.KEK)
		})
	})
	if err != nil {
		return nil, faultOr(err, "read the %s keyset of tenant %s", p, t)
	}
	return got, nil
}

// Sealed is a sealed value with the keyset that opens it, and the item and generation that it was sealed for.
type Sealed struct {
	Value      []byte
	Keyset     Keyset
	Item       order.ItemID
	Generation int
}

// Access says who opens credentials and why. Each access is recorded.
type Access struct{ Actor, Why, Recipient string }

const (
	// The access is recorded in the transaction that reads, so that nothing is read without a record.
	sqlAccess = `
		INSERT INTO credential_access (tenant_id, id, item_id, generation, at, actor, why, recipient)
		SELECT $1, $2, c.item_id, c.generation, $5, $6, $7, $8
		FROM credentials c
		WHERE c.tenant_id = $1 AND c.item_id = $3 AND c.generation = $4 AND c.sealed IS NOT NULL`
	sqlSealed = `
		SELECT c.sealed, k.wrapped, k.kek
		FROM credentials c
		JOIN keysets k ON k.tenant_id = c.tenant_id AND k.purpose = 'credential'
		WHERE c.tenant_id = $1 AND c.item_id = $2 AND c.generation = $3
			AND c.sealed IS NOT NULL AND k.wrapped IS NOT NULL`
)

// SealedCredential reads an item's sealed credentials, which only the delivery login may do, and records the
// access. Destroyed credentials are a fault.
func (db *DB) SealedCredential(
	ctx context.Context, t tenant.ID, it order.ItemID, generation int, a Access,
) (Sealed, error) {
	s := Sealed{Item: it, Generation: generation}
	err := db.writeTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlAccess, uid(t), uid(id.Of[Access](db.newID())), uid(it), generation, stamp(db.now()), a.Actor,
			a.Why, a.Recipient)
		each(b.Queue(sqlSealed, uid(t), uid(it), generation), func(r pgx.Rows) error {
			return r.Scan(&s.Value, &s.Keyset.Wrapped, &s.Keyset.KEK)
		})
	})
	if err != nil {
		return Sealed{}, faultOr(err, "read the sealed credentials of item %s", it)
	}
	if s.Value == nil {
		return Sealed{}, destroyed()
	}
	return s, nil
}

const (
	sqlPassphraseKnown = `
		SELECT EXISTS (
			SELECT FROM deliveries d
			JOIN order_items i ON i.tenant_id = d.tenant_id AND i.id = d.item_id
			WHERE d.tenant_id = $1 AND d.id = $2 AND i.order_id = $3)`
	// Of two at once, the second waits for the first and then finds nothing.
	sqlPassphraseTake = `
		WITH old AS (
			SELECT d.id, d.item_id, d.passphrase_sealed, i.generation
			FROM deliveries d
			JOIN order_items i ON i.tenant_id = d.tenant_id AND i.id = d.item_id
			WHERE d.tenant_id = $1 AND d.id = $2 AND i.order_id = $3
			FOR UPDATE OF d),
		taken AS (
			UPDATE deliveries d
			SET passphrase_sealed = NULL
			FROM old
			WHERE d.tenant_id = $1 AND d.id = old.id AND old.passphrase_sealed IS NOT NULL
			RETURNING old.item_id, old.generation, old.passphrase_sealed)
		SELECT n.passphrase_sealed, n.item_id, n.generation, k.wrapped, k.kek
		FROM taken n
		LEFT JOIN keysets k ON k.tenant_id = $1 AND k.purpose = 'passphrase'`
)

// TakePassphrase reads and removes a delivery's sealed one-time passphrase, which only the portal's login may do.
// It can be taken only once (D21).
func (db *DB) TakePassphrase(ctx context.Context, t tenant.ID, o order.ID, d id.Of[app.Delivery]) (Sealed, error) {
	var s Sealed
	var known bool
	err := db.writeTenant(ctx, t, func(b *pgx.Batch) {
		b.Queue(sqlPassphraseKnown, uid(t), uid(d), uid(o)).QueryRow(func(r pgx.Row) error { return r.Scan(&known) })
		each(b.Queue(sqlPassphraseTake, uid(t), uid(d), uid(o)), func(r pgx.Rows) error {
			var kek pgtype.Text
			err := r.Scan(&s.Value, intoID(&s.Item), &s.Generation, &s.Keyset.Wrapped, &kek)
			s.Keyset.KEK = kek.String
			return err
		})
	})
	switch {
	case err != nil:
		return Sealed{}, faultOr(err, "take the passphrase of delivery %s", d)
	case !known:
		return Sealed{}, fault.Absent()
	case s.Value == nil:
		return Sealed{}, fault.New(fault.KindConflict, "passphrase-shown",
			"This passphrase was shown before. Ask for a new delivery to get a new one.")
	case s.Keyset.Wrapped == nil:
		return Sealed{}, destroyed()
	}
	return s, nil
}
