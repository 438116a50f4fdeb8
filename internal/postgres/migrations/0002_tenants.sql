-- The tables without a tenant, and the members of a tenant.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- No tenant_id and no row-level security: read before the tenant is known, or of no tenant.
CREATE TABLE tenants (
  id         uuid PRIMARY KEY,
  slug       text COLLATE "C" NOT NULL UNIQUE,
  created_at timestamptz NOT NULL
);
CREATE TABLE catalog (
  entry      text COLLATE "C" NOT NULL,
  version    int NOT NULL,
  body       json NOT NULL, -- json keeps the bytes as they were approved
  valid_from timestamptz NOT NULL,
  PRIMARY KEY (entry, version)
);
CREATE TABLE catalog_change (
  id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at      timestamptz NOT NULL,
  actor   text NOT NULL,
  summary text NOT NULL
);
-- Units of the currency for one euro; a new rate is a new row (D11, D15).
CREATE TABLE exchange_rates (
  currency char(3) NOT NULL,
  at       timestamptz NOT NULL,
  rate     text NOT NULL, -- a decimal for exact arithmetic, never a float
  source   text NOT NULL,
  PRIMARY KEY (currency, at)
);
CREATE TABLE payment_webhooks (
  provider    text NOT NULL,
  event_id    text NOT NULL,
  headers     json NOT NULL,
  raw         bytea NOT NULL,
  received_at timestamptz NOT NULL,
  done_at     timestamptz,
  PRIMARY KEY (provider, event_id)
);
CREATE INDEX payment_webhooks_open ON payment_webhooks (received_at) WHERE done_at IS NULL;

CREATE TABLE settings (
  tenant_id uuid PRIMARY KEY REFERENCES tenants,
  body      json NOT NULL,
  version   int NOT NULL
);
CREATE TABLE members (
  tenant_id    uuid NOT NULL REFERENCES tenants,
  id           uuid NOT NULL,
  role         smallint NOT NULL CHECK (role BETWEEN 1 AND 4),
  subject      text COLLATE "C" NOT NULL,
  email        text NOT NULL,
  delivery_key bytea, -- OpenPGP public key
  revoked_at   timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT members_subject UNIQUE (tenant_id, subject)
);
CREATE TABLE api_keys (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL,
  member_id  uuid NOT NULL,
  hash       bytea NOT NULL CHECK (octet_length(hash) = 32), -- SHA-256 of the key
  prefix     text NOT NULL,
  scopes     text[] NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, member_id) REFERENCES members
);
CREATE INDEX api_keys_hash ON api_keys (hash); -- find_actor; not unique: a conflict would reveal another tenant's key

RESET search_path;
RESET ROLE;
