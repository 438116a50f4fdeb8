-- The ledger of Billing: a receipt for every event that it handles, and its findings at the end of an order. The
-- notices for operators: incidents, and when each tenant was notified of each cause. Existing events get their
-- receipts here, so that the ledger is complete from its first day. The Billing consumer of the previous release
-- adds no receipts: those of the events that it handles after this migration are missing.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- moved_cents is what the event adds to the ledger: + for received, - for refunded. Its sum over a payment or
-- refund (subject_id) is the amount of that payment or refund now, and its sum over an order is what is left of the
-- payments.
CREATE TABLE billing_receipts (
  tenant_id   uuid NOT NULL,
  order_id    uuid NOT NULL,
  seq         int NOT NULL,
  event_id    uuid NOT NULL,
  type        text NOT NULL,
  at          timestamptz NOT NULL, -- of the event
  heard_at    timestamptz NOT NULL,
  subject_id  uuid, -- the payment or refund, if money moves
  item_id     uuid,
  cents       bigint NOT NULL, -- the amount of the event
  moved_cents bigint NOT NULL,
  currency    char(3) NOT NULL,
  PRIMARY KEY (tenant_id, order_id, seq),
  UNIQUE (tenant_id, event_id),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders,
  CHECK (subject_id IS NOT NULL OR moved_cents = 0)
);
CREATE TABLE billing_finding (
  tenant_id  uuid NOT NULL,
  order_id   uuid NOT NULL,
  seq        int NOT NULL, -- of the event that ended the order
  event_id   uuid NOT NULL,
  left_cents bigint NOT NULL,
  at         timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, order_id, seq),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders
);
-- The subject of an overdue order is made of its id and its deadline.
CREATE TABLE operator_incident (
  tenant_id uuid NOT NULL,
  cause     text COLLATE "C" NOT NULL CHECK (cause IN ('item-stuck', 'refund-failed', 'dead-letter', 'payment-overdue', 'books-differ')),
  subject   uuid NOT NULL,
  order_id  uuid NOT NULL,
  at        timestamptz NOT NULL,
  notice    int, -- the number of the notice with this incident, once it was begun
  told      boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, cause, subject),
  FOREIGN KEY (tenant_id, order_id) REFERENCES orders
) WITH (fillfactor = 70);
CREATE INDEX operator_incident_untold ON operator_incident (tenant_id, cause) WHERE NOT told;
CREATE TABLE operator_notice (
  tenant_id  uuid NOT NULL REFERENCES tenants,
  cause      text COLLATE "C" NOT NULL,
  n          int NOT NULL, -- notices that were sent
  told_at    timestamptz,  -- when the last one was sent
  holder     uuid,         -- the worker that sends the next one
  held_until timestamptz,
  PRIMARY KEY (tenant_id, cause),
  CHECK ((holder IS NULL) = (held_until IS NULL))
) WITH (fillfactor = 70);

-- The tenant walls also apply to the owner, which must see the rows of every tenant here.
ALTER TABLE order_event NO FORCE ROW LEVEL SECURITY;
WITH heard AS (
  SELECT e.tenant_id, e.order_id, e.seq, e.event_id, e.type, e.at,
    CASE WHEN e.type LIKE 'billing.%' THEN (e.data #>> '{refund,id}')::uuid
         WHEN e.type IN ('order.payment-confirmed', 'order.payment-reverted') THEN (e.data #>> '{payment,id}')::uuid END AS subject_id,
    coalesce(e.data #>> '{refund,item_id}', e.data #>> '{item,id}')::uuid AS item_id,
    coalesce(CASE WHEN e.type LIKE 'billing.%' THEN e.data #> '{refund,amount}'
                  WHEN e.type IN ('order.payment-confirmed', 'order.payment-reverted') THEN e.data #> '{payment,amount}'
                  WHEN e.type = 'order.service-delivered' THEN e.data #> '{item,billing,due}' END, e.data -> 'due_now') AS amount,
    CASE WHEN e.type = 'order.payment-confirmed' THEN 1 WHEN e.type IN ('billing.refund-accepted', 'billing.refund-completed') THEN -1 ELSE 0 END AS sign
  FROM order_event e
  WHERE e.type IN ('order.submitted', 'order.payment-confirmed', 'order.payment-reverted', 'order.fulfilled', 'order.cancelled', 'order.failed', 'order.service-delivered',
    'billing.refund-requested', 'billing.refund-accepted', 'billing.refund-completed', 'billing.refund-failed')
), priced AS (
  -- The decimal without its point is the amount in minor units.
  SELECT h.*, replace(h.amount ->> 'amount', '.', '')::bigint AS cents, h.amount ->> 'currency' AS currency FROM heard h
)
INSERT INTO billing_receipts (tenant_id, order_id, seq, event_id, type, at, heard_at, subject_id, item_id, cents, moved_cents, currency)
SELECT p.tenant_id, p.order_id, p.seq, p.event_id, p.type, p.at, now(), p.subject_id, p.item_id, p.cents,
  CASE WHEN p.subject_id IS NULL THEN 0
       ELSE p.sign * p.cents - coalesce(lag(p.sign * p.cents) OVER (PARTITION BY p.tenant_id, p.order_id, p.subject_id ORDER BY p.seq), 0) END, p.currency
FROM priced p;
ALTER TABLE order_event FORCE ROW LEVEL SECURITY;

-- The tenant walls, as in 0007.
-- +goose StatementBegin
DO $$
DECLARE
  t regclass;
  few text := '(tenant_id = ANY ((SELECT nullif(current_setting(''app.tenant_ids'', true), '''')::uuid[])::uuid[]))';
BEGIN
  FOREACH t IN ARRAY '{billing_receipts,billing_finding,operator_incident,operator_notice}'::regclass[] LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY few ON %s TO platforma_worker USING %s WITH CHECK %s', t, few, few);
  END LOOP;
END $$;
-- +goose StatementEnd

GRANT SELECT, INSERT ON billing_receipts, billing_finding, operator_incident, operator_notice TO platforma_worker;
GRANT UPDATE (notice, told) ON operator_incident TO platforma_worker;
GRANT UPDATE (n, told_at, holder, held_until) ON operator_notice TO platforma_worker;

RESET search_path;
RESET ROLE;
