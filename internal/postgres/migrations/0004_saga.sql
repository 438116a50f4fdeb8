-- The saga: tasks (saga_units), the journal of resources (saga_parts), the saga log and the dead letters.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE saga_units (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  order_id    uuid NOT NULL,
  item_id     uuid,
  payment_id  uuid,
  subject_id  uuid, -- the event, webhook delivery or dead letter of the task
  kind        smallint NOT NULL CHECK (kind BETWEEN 1 AND 8),
  provider    text COLLATE "C" NOT NULL, -- the queue: the name of a provider, or the kind
  state       smallint NOT NULL CHECK (state BETWEEN 0 AND 3), -- queued open stuck closed
  step        smallint NOT NULL,
  try         smallint NOT NULL,
  undoing     boolean NOT NULL,
  sent        boolean NOT NULL,
  epoch       bigint NOT NULL, -- the fence
  next_at     timestamptz, -- null while held
  deadline_at timestamptz,
  waited_ms   bigint NOT NULL, -- for capacity
  undo_top    bigint NOT NULL,
  cause       uuid, -- the event that asked for the work
  progress    smallint NOT NULL,
  detail      text NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders,
  FOREIGN KEY (tenant_id, item_id) REFERENCES order_items,
  FOREIGN KEY (tenant_id, payment_id) REFERENCES payments
) WITH (fillfactor = 70);
CREATE INDEX saga_units_order ON saga_units (tenant_id, order_id);
CREATE INDEX saga_units_due ON saga_units (provider, tenant_id, id) WHERE state IN (0, 1); -- feeder and sweeper
CREATE UNIQUE INDEX saga_units_live ON saga_units (tenant_id, order_id, kind, item_id, payment_id, subject_id) NULLS NOT DISTINCT WHERE state <> 3;

CREATE TABLE saga_parts (
  tenant_id    uuid NOT NULL,
  unit_id      uuid NOT NULL,
  part         text NOT NULL,
  generation   int NOT NULL,
  key          text NOT NULL,
  phase        smallint NOT NULL CHECK (phase BETWEEN 1 AND 5), -- intent created ready deleting gone
  refs         text[] NOT NULL,
  called_at    timestamptz,
  settle_until timestamptz,
  absent_since timestamptz,
  PRIMARY KEY (tenant_id, unit_id, part, generation),
  FOREIGN KEY (tenant_id, unit_id) REFERENCES saga_units
) WITH (fillfactor = 70);

CREATE TABLE saga_log (
  tenant_id uuid NOT NULL,
  order_id  uuid NOT NULL,
  id        bigint GENERATED ALWAYS AS IDENTITY,
  unit_id   uuid NOT NULL,
  at        timestamptz NOT NULL,
  part      text NOT NULL,
  what      smallint NOT NULL CHECK (what BETWEEN 1 AND 4), -- intent answer compensate decision
  class     text NOT NULL,
  key       text NOT NULL,
  note      text NOT NULL, -- our own text, never the raw text of a provider
  took_ms   bigint NOT NULL,
  next_at   timestamptz,
  PRIMARY KEY (tenant_id, order_id, id),
  FOREIGN KEY (tenant_id, unit_id) REFERENCES saga_units
);

CREATE TABLE dead_letters (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  order_id        uuid NOT NULL,
  item_id         uuid,
  unit_id         uuid,
  source          text NOT NULL CHECK (source IN ('event', 'step', 'refund', 'mail')),
  class           text NOT NULL,
  error_code      text NOT NULL,
  detail          text NOT NULL,
  step            text NOT NULL,
  attempts        int NOT NULL,
  payload_sha256  bytea NOT NULL,
  state           smallint NOT NULL CHECK (state BETWEEN 0 AND 4), -- open parked redriven abandoned closed
  first_failed_at timestamptz NOT NULL,
  at              timestamptz NOT NULL,
  closed_at       timestamptz,
  reason          text NOT NULL,
  -- only for a parked event
  consumer        text,
  seq             int,
  event_id        uuid,
  topic_id        uuid,
  part            int,
  off             bigint,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders,
  FOREIGN KEY (tenant_id, item_id) REFERENCES order_items,
  FOREIGN KEY (tenant_id, unit_id) REFERENCES saga_units
);
CREATE INDEX dead_letters_order ON dead_letters (tenant_id, order_id);
CREATE INDEX dead_letters_open ON dead_letters (tenant_id, id DESC) WHERE state IN (0, 1);

RESET search_path;
RESET ROLE;
