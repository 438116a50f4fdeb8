-- The roll-up behind the figures of D25. order_daily counts orders on the day they were created, revenue_daily
-- money on the day it moved, both by the days of the time zone in rollup. What one order adds to them stands
-- in order_fold and refund_fold, so that its next event can take that back. The first consumer that meets a
-- tenant without a row in rollup counts it from the tables (a migration runs behind the walls and sees no
-- rows). The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- A tenant's row is the lock under which its roll-up changes.
CREATE TABLE rollup (
  tenant_id  uuid NOT NULL REFERENCES tenants,
  asked_zone text NOT NULL, -- of the settings, when the tenant was counted last
  time_zone  text NOT NULL, -- the same, or UTC where this server knows of no such zone
  counted_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id)
);
CREATE TABLE order_daily (
  tenant_id      uuid NOT NULL,
  day            date NOT NULL, -- on which the orders were created
  state          smallint NOT NULL CHECK (state BETWEEN 1 AND 9),
  currency       char(3) NOT NULL,
  orders         bigint NOT NULL,
  paid           bigint NOT NULL, -- of them, those with a payment that was not reverted
  paid_due_cents bigint NOT NULL, -- what those ask for
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
-- How an order stood when its last event was taken in.
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
-- Refunds that were accepted once: one that bounces is taken back from the day on which it was counted.
CREATE TABLE refund_fold (
  tenant_id   uuid NOT NULL,
  refund_id   uuid NOT NULL,
  accepted_at timestamptz NOT NULL,
  counts      boolean NOT NULL,
  PRIMARY KEY (tenant_id, refund_id),
  FOREIGN KEY (tenant_id, refund_id) REFERENCES refunds
);

-- A mark moves with every event of its order: 5 % of the updates were HOT without room.
ALTER TABLE inbox SET (fillfactor = 60);

-- The walls, as in 0007.
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
