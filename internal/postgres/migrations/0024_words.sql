-- Renames tables, columns and one function to the terms of the glossary (docs/ARCHITECTURE.md): saga_units to
-- saga_tasks, saga_parts to saga_resources with their steps, held to blocked. The previous release does not run on
-- it; nothing has been released yet.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE saga_units RENAME TO saga_tasks;
ALTER TABLE saga_tasks RENAME COLUMN undoing TO compensating;
ALTER TABLE saga_tasks RENAME COLUMN claim_part TO asserted_step;
ALTER TABLE saga_tasks RENAME COLUMN claim_ref TO asserted_ref;
ALTER TABLE saga_parts RENAME TO saga_resources;
ALTER TABLE saga_resources RENAME COLUMN unit_id TO task_id;
ALTER TABLE saga_resources RENAME COLUMN part TO step;
ALTER TABLE saga_log RENAME COLUMN unit_id TO task_id;
ALTER TABLE saga_log RENAME COLUMN part TO step;
ALTER TABLE reaper_findings RENAME COLUMN part TO step;
ALTER TABLE dead_letters RENAME COLUMN unit_id TO task_id;
ALTER TABLE dead_letters RENAME COLUMN grounds TO abandon_reason;
ALTER TABLE dead_letters RENAME COLUMN words TO abandon_text;
ALTER TABLE inbox RENAME COLUMN held_to TO blocked_to;
ALTER TABLE inbox RENAME COLUMN held TO blocked;
ALTER TABLE inbox RENAME COLUMN redo_seq TO redrive_seq;
ALTER TABLE consumer_status RENAME COLUMN held TO blocked;
ALTER TABLE order_fold RENAME TO order_projection;
ALTER TABLE refund_fold RENAME TO refund_projection;

-- Renames the constraints and the other indexes like their tables and columns.
-- +goose StatementBegin
DO $$
DECLARE
  word record;
  r    record;
BEGIN
  FOR word IN SELECT * FROM (VALUES ('saga_units', 'saga_tasks'), ('saga_parts', 'saga_resources'),
    ('order_fold', 'order_projection'), ('refund_fold', 'refund_projection'), ('unit_id', 'task_id'),
    ('grounds', 'abandon_reason'), ('saga_tasks_claim', 'saga_tasks_assertion')) v (old, new)
  LOOP
    FOR r IN SELECT conrelid::regclass AS place, conname FROM pg_constraint
      WHERE connamespace = 'platforma'::regnamespace AND strpos(conname, word.old) > 0
    LOOP
      EXECUTE format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', r.place, r.conname, replace(r.conname, word.old, word.new));
    END LOOP;
    FOR r IN SELECT relname FROM pg_class
      WHERE relnamespace = 'platforma'::regnamespace AND relkind = 'i' AND strpos(relname, word.old) > 0
    LOOP
      EXECUTE format('ALTER INDEX %I RENAME TO %I', r.relname, replace(r.relname, word.old, word.new));
    END LOOP;
  END LOOP;
END $$;
-- +goose StatementEnd

-- Terms that are stored as text. With FORCE, the owner would see no rows.
ALTER TABLE saga_log NO FORCE ROW LEVEL SECURITY;
ALTER TABLE dead_letters NO FORCE ROW LEVEL SECURITY;
UPDATE saga_log SET class = 'suspended' WHERE class = 'parked';
UPDATE dead_letters SET class = 'suspended' WHERE class = 'parked';
UPDATE dead_letters SET error_code = 'compensation-exhausted' WHERE error_code = 'undo-exhausted';
ALTER TABLE saga_log FORCE ROW LEVEL SECURITY;
ALTER TABLE dead_letters FORCE ROW LEVEL SECURITY;

-- due_tasks replaces due_units. s is 0 (queued) for the feeder and 1 (open) for the sweeper. The feeder gets each
-- tenant's tasks that compensate, and as many others as keep the tenant at per_tenant open ones in the queue at most,
-- so that many tasks of one tenant do not hide the single task of another.
-- +goose StatementBegin
CREATE FUNCTION due_tasks(queue text, s smallint, now timestamptz, per_tenant int) RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
  SELECT u.tenant_id, u.id
  FROM tenants t
  CROSS JOIN LATERAL (SELECT * FROM (
    (SELECT x.tenant_id, x.id, true AS compensating FROM saga_tasks x
     WHERE x.provider = queue AND x.tenant_id = t.id AND x.state = s AND x.state IN (0, 1) AND x.next_at <= now AND x.compensating
     ORDER BY x.id LIMIT per_tenant)
    UNION ALL
    (SELECT x.tenant_id, x.id, false FROM saga_tasks x
     WHERE x.provider = queue AND x.tenant_id = t.id AND x.state = s AND x.state IN (0, 1) AND x.next_at <= now AND NOT x.compensating
     ORDER BY x.id LIMIT CASE WHEN s = 1 THEN per_tenant ELSE greatest(0, per_tenant - (
       SELECT count(*) FROM saga_tasks o WHERE o.provider = queue AND o.tenant_id = t.id AND o.state = 1 AND o.state IN (0, 1) AND NOT o.compensating)) END)
  ) v ORDER BY v.compensating DESC, v.id LIMIT per_tenant) u
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION due_tasks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_tasks TO platforma_worker;

RESET ROLE;
GRANT CREATE ON SCHEMA platforma TO platforma_system; -- to own a function in it
ALTER FUNCTION platforma.due_tasks OWNER TO platforma_system;
DROP FUNCTION platforma.due_units;
REVOKE CREATE ON SCHEMA platforma FROM platforma_system;
RESET search_path;
