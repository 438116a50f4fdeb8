-- The order, its items and its payments. States are numbers that order/state.go defines. Triggers check the moves
-- between them; their lists are generated from order.Moves (migrate.go).
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE orders (
  tenant_id      uuid NOT NULL REFERENCES tenants,
  id             uuid NOT NULL, -- UUIDv7: its time is created_at
  number         text COLLATE "C" NOT NULL,
  external_id    text COLLATE "C",
  customer_id    uuid NOT NULL,
  state          smallint NOT NULL CHECK (state BETWEEN 1 AND 9),
  outcome        smallint NOT NULL CHECK (outcome BETWEEN 0 AND 2),
  settlement     smallint NOT NULL CHECK (settlement BETWEEN 0 AND 3),
  policy         smallint NOT NULL CHECK (policy BETWEEN 0 AND 1),
  closing        smallint NOT NULL CHECK (closing BETWEEN 0 AND 2),
  method         text NOT NULL, -- of payment; '' before submit (D28)
  version        int NOT NULL,
  last_seq       int NOT NULL,
  currency       char(3) NOT NULL,
  due_cents      bigint NOT NULL,
  fx_rate        text,
  fx_source      text,
  fx_at          timestamptz,
  faults         json, -- faults found in the validation (D13)
  held_at        timestamptz,
  expires_at     timestamptz, -- only while the order is unpaid
  delivery_stuck boolean NOT NULL,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  deleted_at     timestamptz, -- hidden, never deleted (D9)
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT orders_fx_whole CHECK ((fx_rate IS NULL) = (fx_at IS NULL) AND (fx_rate IS NULL) = (fx_source IS NULL))
) WITH (fillfactor = 85); -- free space for HOT updates: 100 % of them, against 74 % without
CREATE UNIQUE INDEX orders_number ON orders (tenant_id, number);
CREATE UNIQUE INDEX orders_external ON orders (tenant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX orders_customer ON orders (tenant_id, customer_id, id DESC);
CREATE INDEX orders_state ON orders (tenant_id, state, id DESC);
CREATE INDEX orders_settlement ON orders (tenant_id, settlement, id DESC) WHERE settlement IN (1, 3); -- compensating, stuck
CREATE INDEX orders_expiry ON orders (expires_at) WHERE expires_at IS NOT NULL; -- expired_orders

CREATE TABLE order_items (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL,
  order_id   uuid NOT NULL,
  line       smallint NOT NULL,
  state      smallint NOT NULL CHECK (state BETWEEN 1 AND 11),
  product    text COLLATE "C" NOT NULL,
  label      text NOT NULL,
  label_key  text COLLATE "C" GENERATED ALWAYS AS (lower(label)) STORED, -- for prefix search without case
  generation int NOT NULL, -- never resets (D8)
  snapshot   json NOT NULL, -- json, not jsonb: read back byte for byte
  price_cents bigint NOT NULL,
  progress   smallint NOT NULL CHECK (progress BETWEEN 0 AND 100),
  detail     text NOT NULL,
  removed_at timestamptz, -- an item that was removed from a draft is marked, never deleted (D9)
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX order_items_line ON order_items (tenant_id, order_id, line); -- a removed item keeps its line, so that none is reused
CREATE INDEX order_items_label ON order_items (tenant_id, label_key);

CREATE TABLE payments (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL,
  order_id   uuid NOT NULL,
  state      smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
  provider   text NOT NULL,
  reference  text NOT NULL,
  method     text NOT NULL,
  due_cents  bigint NOT NULL,
  paid_cents bigint NOT NULL,
  currency   char(3) NOT NULL,
  paid_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT payments_reference UNIQUE (tenant_id, reference, provider), -- in this order: orders are found by the reference only
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders
);
CREATE INDEX payments_order ON payments (tenant_id, order_id);
CREATE UNIQUE INDEX payments_live ON payments (tenant_id, order_id) WHERE state = 1;

CREATE TABLE allocations (
  tenant_id  uuid NOT NULL,
  payment_id uuid NOT NULL,
  item_id    uuid NOT NULL,
  cents      bigint NOT NULL CHECK (cents >= 0),
  PRIMARY KEY (tenant_id, payment_id, item_id),
  FOREIGN KEY (tenant_id, payment_id) REFERENCES payments,
  FOREIGN KEY (tenant_id, item_id) REFERENCES order_items
);

CREATE TABLE refunds (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  order_id    uuid NOT NULL, -- so that the refunds of an order are read without its payments
  payment_id  uuid NOT NULL,
  item_id     uuid NOT NULL,
  state       smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
  reference   text NOT NULL,
  cents       bigint NOT NULL CHECK (cents >= 0),
  currency    char(3) NOT NULL,
  accepted_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT refunds_once UNIQUE (tenant_id, payment_id, item_id), -- an item is refunded once per payment
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders,
  FOREIGN KEY (tenant_id, payment_id, item_id) REFERENCES allocations
);
CREATE INDEX refunds_order ON refunds (tenant_id, order_id);
CREATE INDEX refunds_accepted ON refunds (tenant_id, id) WHERE state = 2; -- an operator's work list

RESET search_path;
RESET ROLE;
