-- Webhooks of tenants: the endpoints to which events are posted, the secrets that sign them, and the log of the
-- deliveries. The task of a delivery has the delivery's id. The previous release runs on it unchanged: it adds no
-- endpoint and therefore no task of this kind.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE webhook_endpoint (
  tenant_id     uuid NOT NULL REFERENCES tenants,
  id            uuid NOT NULL,
  version       int NOT NULL,
  url           text NOT NULL CHECK (octet_length(url) <= 8192),
  description   text NOT NULL,
  types         text[] NOT NULL, -- empty: all
  state         smallint NOT NULL CHECK (state BETWEEN 1 AND 3), -- active failing disabled
  why           text NOT NULL CHECK (why IN ('', 'exhausted', 'gone', 'by-hand')),
  since         timestamptz NOT NULL, -- of the state
  failures      int NOT NULL,         -- calls in a row
  resting_until timestamptz,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL,
  deleted_at    timestamptz,
  PRIMARY KEY (tenant_id, id),
  CHECK ((state = 1) = (why = ''))
) WITH (fillfactor = 70);
-- Each secret is sealed with a keyset of its own, which the webhooks' key-encryption key wraps. Sealing needs no
-- read, and emptying the row destroys the secret.
CREATE TABLE webhook_secret (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  wrapped     bytea, -- null once destroyed
  sealed      bytea,
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz, -- null: the current one
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint,
  CHECK ((wrapped IS NULL) = (sealed IS NULL) AND (sealed IS NOT NULL OR expires_at IS NOT NULL))
);
CREATE UNIQUE INDEX webhook_secret_present ON webhook_secret (tenant_id, endpoint_id) WHERE expires_at IS NULL;
CREATE INDEX webhook_secret_endpoint ON webhook_secret (tenant_id, endpoint_id, id DESC);

CREATE TABLE webhook_delivery (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  order_id    uuid NOT NULL,
  seq         int NOT NULL,
  event_id    uuid NOT NULL,
  type        text NOT NULL,
  state       smallint NOT NULL CHECK (state BETWEEN 0 AND 3), -- pending delivered failed dropped
  calls       int NOT NULL,
  last_status smallint, -- HTTP status
  last_result text NOT NULL,
  created_at  timestamptz NOT NULL,
  next_at     timestamptz, -- by the schedule, even while its task is held
  done_at     timestamptz,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, endpoint_id, event_id),
  FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint,
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders
) WITH (fillfactor = 70);
CREATE INDEX webhook_delivery_log ON webhook_delivery (tenant_id, endpoint_id, id DESC);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (tenant_id, endpoint_id) WHERE state = 0;

CREATE TABLE webhook_call (
  tenant_id   uuid NOT NULL,
  delivery_id uuid NOT NULL,
  n           int NOT NULL,
  at          timestamptz NOT NULL,
  status      smallint,
  result      text NOT NULL,
  took_ms     bigint NOT NULL,
  excerpt     text NOT NULL CHECK (octet_length(excerpt) <= 4096), -- of the answer, printable characters only
  PRIMARY KEY (tenant_id, delivery_id, n),
  FOREIGN KEY (tenant_id, delivery_id) REFERENCES webhook_delivery
);

-- The tenant walls, as in 0007.
-- +goose StatementBegin
DO $$
DECLARE
  t regclass;
  one text := '(tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))';
  few text := '(tenant_id = ANY ((SELECT nullif(current_setting(''app.tenant_ids'', true), '''')::uuid[])::uuid[]))';
BEGIN
  FOREACH t IN ARRAY '{webhook_endpoint,webhook_secret,webhook_delivery,webhook_call}'::regclass[] LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY one ON %s TO platforma_api, platforma_portal USING %s WITH CHECK %s', t, one, one);
    EXECUTE format('CREATE POLICY few ON %s TO platforma_worker USING %s WITH CHECK %s', t, few, few);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE ON webhook_endpoint TO platforma_api, platforma_portal;
GRANT SELECT ON webhook_endpoint TO platforma_worker;
GRANT UPDATE (version, state, why, since, failures, resting_until, updated_at) ON webhook_endpoint TO platforma_worker;
-- API and portal seal and destroy a secret, and only the worker reads it.
GRANT INSERT ON webhook_secret TO platforma_api, platforma_portal;
GRANT SELECT (tenant_id, id, endpoint_id, created_at, expires_at), UPDATE (wrapped, sealed, expires_at) ON webhook_secret TO platforma_api, platforma_portal;
GRANT SELECT ON webhook_secret TO platforma_worker;
GRANT SELECT, UPDATE ON webhook_delivery TO platforma_api, platforma_portal;
GRANT SELECT, INSERT, UPDATE ON webhook_delivery TO platforma_worker;
GRANT SELECT ON webhook_call TO platforma_api, platforma_portal;
GRANT SELECT, INSERT ON webhook_call TO platforma_worker;

RESET search_path;
RESET ROLE;
