-- The roll-up for the figures of D25. order_daily counts orders on the day on which they were created, and
-- revenue_daily sums money on the day on which it moved, both by the days of the time zone in rollup. What one order
-- adds to them is in order_fold and refund_fold (later order_projection and refund_projection), so that its next
-- event can subtract it. A consumer counts a tenant that has no row in rollup from the tables (a migration is
-- subject to the tenant walls and sees no rows). The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- The row of a tenant is the lock under which its roll-up changes.
CREATE TABLE rollup (
  tenant_id  uuid NOT NULL REFERENCES tenants,
  asked_zone text NOT NULL, -- of the settings, when the tenant was last counted
  time_zone  text NOT NULL, -- the same, or UTC if this server does not know the zone
  counted_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id)
);
CREATE TABLE order_daily (
  tenant_id      uuid NOT NULL,
  day            date NOT NULL, -- on which the orders were created
  state          smallint NOT NULL CHECK (state BETWEEN 1 AND 9),
  currency       char(3) NOT NULL,
  orders         bigint NOT NULL,
  paid           bigint NOT NULL, -- those with a payment that was not reverted
  paid_due_cents bigint NOT NULL, -- the amounts due of the paid ones
  PRIMARY KEY (tenant_id, day, state, currency)
) WITH (fillfactor = 50);
CREATE TABLE revenue_daily (
  tenant_id      uuid NOT NULL,
  day            date NOT NULL, -- on which the payment was made, or the refund accepted
  currency       char(3) NOT NULL,
  captured_cents bigint NOT NULL,
  refunded_cents bigint NOT NULL,
  PRIMARY KEY (tenant_id, day, currency)
) WITH (fillfactor = 50);
-- The state of an order at the last event that was projected.
CREATE TABLE order_fold (
  tenant_id  uuid NOT NULL,
  order_id   uuid NOT NULL,
  created_at timestamptz NOT NULL,
  state      smallint NOT NULL CHECK (state BETWEEN 1 AND 9),
  currency   char(3) NOT NULL,
  due_cents  bigint NOT NULL,
  payments   int NOT NULL CHECK (payments >= 0), -- confirmed and not reverted
  PRIMARY KEY (tenant_id, order_id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders
) WITH (fillfactor = 60);
-- Refunds that were accepted once. One that bounces is subtracted from the day on which it was counted.
CREATE TABLE refund_fold (
  tenant_id   uuid NOT NULL,
  refund_id   uuid NOT NULL,
  accepted_at timestamptz NOT NULL,
  counts      boolean NOT NULL,
  PRIMARY KEY (tenant_id, refund_id),
  FOREIGN KEY (tenant_id, refund_id) REFERENCES refunds
);

-- A checkpoint moves with every event of its order: without free space, only 5 % of the updates were HOT.
ALTER TABLE inbox SET (fillfactor = 60);

-- The tenant walls, as in 0007.
-- +goose StatementBegin
DO $$
DECLARE
  t regclass;
  one text := '(tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))';
  few text := '(tenant_id = ANY ((SELECT nullif(current_setting(''app.tenant_ids'', true), '''')::uuid[])::uuid[]))';
BEGIN
  FOREACH t IN ARRAY '{rollup,order_daily,revenue_daily,order_fold,refund_fold}'::regclass[] LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY one ON %s TO platforma_api, platforma_portal USING %s WITH CHECK %s', t, one, one);
    EXECUTE format('CREATE POLICY few ON %s TO platforma_worker USING %s WITH CHECK %s', t, few, few);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT SELECT ON rollup, order_daily, revenue_daily TO platforma_api, platforma_portal;
GRANT SELECT, INSERT, UPDATE ON rollup, order_daily, revenue_daily, order_fold, refund_fold TO platforma_worker;

RESET search_path;
RESET ROLE;
