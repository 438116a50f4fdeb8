-- The audit log becomes a chain per tenant: n counts its rows from 1 without a gap, and the hash of each row covers
-- the row before it (package auditlog says how). Existing rows are chained in the order in which they were seen,
-- with the zero topic. They are protected from this migration on, and a record that is read again is compared with
-- them by its hash only. The previous release runs on it except for its Audit consumer, which stops; the consumer
-- of the new release continues from the same position.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE audit_log
  ADD COLUMN n         bigint,
  ADD COLUMN topic_id  uuid,
  ADD COLUMN prev_hash bytea,
  ADD COLUMN hash      bytea;

ALTER TABLE audit_log NO FORCE ROW LEVEL SECURITY; -- the tenant walls also apply to the owner, which must see every row here
-- +goose StatementBegin
DO $$
DECLARE
  r       audit_log;
  org     uuid;
  place   bigint;
  before  bytea;
  present bytea;
  nowhere uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
  FOR r IN SELECT * FROM audit_log ORDER BY tenant_id, seen_at, part, off LOOP
    IF r.tenant_id IS DISTINCT FROM org THEN
      org := r.tenant_id;
      place := 0;
      present := decode(repeat('00', 32), 'hex');
    END IF;
    place := place + 1;
    before := present;
    present := sha256(before
      || int4send(16) || uuid_send(r.tenant_id) || int4send(8) || int8send(place)
      || int4send(16) || uuid_send(r.order_id) || int4send(4) || int4send(r.seq)
      || int4send(16) || uuid_send(r.event_id) || int4send(octet_length(r.type)) || convert_to(r.type, 'UTF8')
      || int4send(8) || int8send((extract(epoch FROM r.at) * 1000000)::bigint)
      || int4send(8) || int8send((extract(epoch FROM r.seen_at) * 1000000)::bigint)
      || int4send(octet_length(r.data_sha256)) || r.data_sha256
      || int4send(16) || uuid_send(nowhere) || int4send(4) || int4send(r.part) || int4send(8) || int8send(r.off));
    UPDATE audit_log a SET n = place, topic_id = nowhere, prev_hash = before, hash = present
      WHERE a.tenant_id = r.tenant_id AND a.order_id = r.order_id AND a.seq = r.seq;
  END LOOP;
END $$;
-- +goose StatementEnd
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;

ALTER TABLE audit_log
  ALTER COLUMN n SET NOT NULL,
  ALTER COLUMN topic_id SET NOT NULL,
  ALTER COLUMN prev_hash SET NOT NULL,
  ALTER COLUMN hash SET NOT NULL,
  DROP CONSTRAINT audit_log_pkey,
  ADD PRIMARY KEY (tenant_id, n), -- prevents a fork
  ADD CONSTRAINT audit_log_event UNIQUE (tenant_id, order_id, seq); -- the inbox of the Audit consumer

-- What is wrong with the topic. Kind and place are the key, so that a record that is read again adds nothing. A
-- finding without a known tenant belongs to the zero tenant, which does not exist.
CREATE TABLE audit_finding (
  tenant_id uuid NOT NULL,
  kind      text NOT NULL CHECK (kind IN ('gap', 'duplicate', 'order', 'conflict', 'foreign')),
  topic_id  uuid NOT NULL,
  part      int NOT NULL,
  off       bigint NOT NULL,
  order_id  uuid, -- null for a foreign record, whose order is not known
  seq       int,
  detail    text NOT NULL,
  at        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, kind, topic_id, part, off)
);
ALTER TABLE audit_finding ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_finding FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON audit_finding TO platforma_audit
  USING (tenant_id = ANY ((SELECT nullif(current_setting('app.tenant_ids', true), '')::uuid[])::uuid[]))
  WITH CHECK (tenant_id = ANY ((SELECT nullif(current_setting('app.tenant_ids', true), '')::uuid[])::uuid[]));
GRANT SELECT, INSERT ON audit_finding TO platforma_audit;

RESET search_path;
RESET ROLE;
