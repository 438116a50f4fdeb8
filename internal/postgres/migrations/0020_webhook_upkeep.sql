-- The upkeep of webhooks: admins are notified of one that fails, the value of an expired secret is removed, and
-- deliveries that are older than promised are removed. The previous release runs on it, but sends no notice of a
-- failing webhook; the new release does.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- An incident is about an order or about a webhook. The result of the last call is stored here, because the
-- delivery continues.
ALTER TABLE operator_incident
  ALTER COLUMN order_id DROP NOT NULL,
  ADD COLUMN endpoint_id uuid,
  ADD COLUMN last_status smallint, -- HTTP status
  ADD COLUMN last_result text,
  ADD CONSTRAINT operator_incident_endpoint FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint,
  DROP CONSTRAINT operator_incident_cause_check,
  ADD CONSTRAINT operator_incident_cause_check CHECK (cause IN ('item-stuck', 'refund-failed', 'dead-letter', 'payment-overdue', 'books-differ', 'webhook-failing')),
  ADD CONSTRAINT operator_incident_about CHECK ((cause = 'webhook-failing') = (endpoint_id IS NOT NULL) AND (order_id IS NULL) = (endpoint_id IS NOT NULL)
    AND (last_result IS NULL) = (endpoint_id IS NULL));

CREATE INDEX webhook_secret_expired ON webhook_secret (expires_at) WHERE wrapped IS NOT NULL; -- purge_webhooks
CREATE INDEX webhook_delivery_done ON webhook_delivery (done_at) WHERE state <> 0;            -- purge_webhooks

-- The fifth and last of the sanctioned functions (0008). It removes the values of expired secrets, removes at most n
-- deliveries that ended before a time, with the log of their calls, and returns their number. A failed delivery
-- stays as long as its endpoint, because it may be replayed. The condition is checked again on the locked row, which
-- a replay may have changed. No event is posted a second time after a purge, because the inbox stays.
-- +goose StatementBegin
CREATE FUNCTION purge_webhooks(now timestamptz, before timestamptz, n int) RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
  UPDATE webhook_secret SET wrapped = NULL, sealed = NULL WHERE expires_at <= now AND wrapped IS NOT NULL;
  WITH gone AS (
    DELETE FROM webhook_delivery d
    USING (
      SELECT o.tenant_id, o.id FROM webhook_delivery o
      WHERE o.state <> 0 AND o.done_at < before
        AND (o.state <> 2 OR EXISTS (SELECT FROM webhook_endpoint e WHERE e.tenant_id = o.tenant_id AND e.id = o.endpoint_id AND e.deleted_at < before))
      LIMIT n) x
    WHERE d.tenant_id = x.tenant_id AND d.id = x.id AND d.state <> 0 AND d.done_at < before
    RETURNING d.tenant_id, d.id
  ), calls AS (
    DELETE FROM webhook_call c USING gone WHERE c.tenant_id = gone.tenant_id AND c.delivery_id = gone.id
  )
  SELECT count(*)::int FROM gone
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION purge_webhooks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_webhooks TO platforma_worker;

CREATE POLICY system ON webhook_endpoint FOR SELECT TO platforma_system USING (true);
CREATE POLICY system ON webhook_secret TO platforma_system USING (true);
CREATE POLICY system ON webhook_delivery TO platforma_system USING (state <> 0);
CREATE POLICY system ON webhook_call TO platforma_system USING (true);
GRANT SELECT (tenant_id, id, deleted_at) ON webhook_endpoint TO platforma_system;
GRANT SELECT (wrapped, expires_at), UPDATE (wrapped, sealed) ON webhook_secret TO platforma_system;
GRANT SELECT, DELETE ON webhook_delivery, webhook_call TO platforma_system;

RESET ROLE;
GRANT CREATE ON SCHEMA platforma TO platforma_system; -- to own a function in it
ALTER FUNCTION platforma.purge_webhooks OWNER TO platforma_system;
REVOKE CREATE ON SCHEMA platforma FROM platforma_system;
RESET search_path;
