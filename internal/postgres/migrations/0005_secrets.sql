-- Sealed values and the keysets that seal them. The grants on their columns are in 0007.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE keysets (
  tenant_id    uuid NOT NULL REFERENCES tenants,
  purpose      text NOT NULL CHECK (purpose IN ('credential', 'passphrase')),
  wrapped      bytea, -- null once destroyed: nothing that it sealed can be opened any more (D9)
  kek          text NOT NULL,
  created_at   timestamptz NOT NULL,
  destroyed_at timestamptz,
  PRIMARY KEY (tenant_id, purpose)
);
CREATE TABLE credentials (
  tenant_id    uuid NOT NULL,
  item_id      uuid NOT NULL,
  generation   int NOT NULL,
  sealed       bytea, -- null once destroyed
  created_at   timestamptz NOT NULL,
  destroyed_at timestamptz,
  PRIMARY KEY (tenant_id, item_id, generation),
  FOREIGN KEY (tenant_id, item_id) REFERENCES order_items
);
CREATE TABLE credential_access (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL,
  item_id    uuid NOT NULL,
  generation int NOT NULL,
  at         timestamptz NOT NULL,
  actor      text NOT NULL,
  why        text NOT NULL,
  recipient  text NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, item_id) REFERENCES order_items
);
CREATE TABLE deliveries (
  tenant_id         uuid NOT NULL,
  id                uuid NOT NULL,
  item_id           uuid NOT NULL,
  passphrase_sealed bytea, -- null without one, and once it was shown
  has_passphrase    boolean GENERATED ALWAYS AS (passphrase_sealed IS NOT NULL) STORED, -- for logins that may not read it
  message_id        text NOT NULL,
  recipient         text NOT NULL,
  state             smallint NOT NULL CHECK (state BETWEEN 1 AND 3), -- asked accepted failed
  at                timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, item_id) REFERENCES order_items
);
CREATE INDEX deliveries_item ON deliveries (tenant_id, item_id);

RESET search_path;
RESET ROLE;
