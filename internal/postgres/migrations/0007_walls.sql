-- The tenant walls: row-level security on every table with a tenant, and the grants. Grants name the table and the
-- privilege, never ALL: TRUNCATE ignores policies and would remove the rows of all tenants.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- (SELECT …) is evaluated once for each statement. The column is never cast, because a cast would prevent the use
-- of its index. nullif is needed because a setting is '' and not null after its transaction has ended.
-- +goose StatementBegin
DO $$
DECLARE
  t regclass;
  one text := '(tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))';
  few text := '(tenant_id = ANY ((SELECT nullif(current_setting(''app.tenant_ids'', true), '''')::uuid[])::uuid[]))';
BEGIN
  FOR t IN
    SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'platforma'::regnamespace
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY one ON %s TO platforma_api, platforma_portal USING %s WITH CHECK %s', t, one, one);
    EXECUTE format('CREATE POLICY few ON %s TO platforma_worker, platforma_delivery, platforma_audit USING %s WITH CHECK %s', t, few, few);
  END LOOP;
END $$;
-- +goose StatementEnd
-- The relay publishes for all tenants; it reads no order, item or member.
CREATE POLICY relay ON order_event FOR SELECT TO platforma_relay USING (true);
CREATE POLICY relay ON dead_letters FOR SELECT TO platforma_relay USING (true);
CREATE POLICY relay ON outbox TO platforma_relay USING (true);
-- The owner of the sanctioned functions.
CREATE POLICY system ON api_keys FOR SELECT TO platforma_system USING (true);
CREATE POLICY system ON members FOR SELECT TO platforma_system USING (true);
CREATE POLICY system ON orders FOR SELECT TO platforma_system USING (true);
CREATE POLICY system ON saga_units FOR SELECT TO platforma_system USING (true);
CREATE POLICY system ON idempotency TO platforma_system USING (true);

GRANT USAGE ON SCHEMA platforma TO platforma_system, platforma_api, platforma_portal, platforma_worker, platforma_delivery, platforma_relay, platforma_audit;
-- tables without a tenant
GRANT SELECT ON tenants, catalog, catalog_change, exchange_rates, consumer_status TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT ON tenants TO platforma_system, platforma_audit;
GRANT INSERT ON catalog, catalog_change, exchange_rates TO platforma_api, platforma_portal;
GRANT INSERT ON payment_webhooks TO platforma_api, platforma_portal;
GRANT SELECT, INSERT, UPDATE ON payment_webhooks, consumer_status TO platforma_worker;
GRANT SELECT, INSERT ON refused_record TO platforma_worker;
-- the members of a tenant
GRANT SELECT, INSERT, UPDATE ON settings, members, api_keys TO platforma_api, platforma_portal;
GRANT SELECT ON settings, members TO platforma_worker;
-- the order; only the state of payments and refunds changes (D12)
GRANT SELECT, INSERT, UPDATE ON orders, order_items, saga_units, dead_letters, idempotency TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT, INSERT ON payments, allocations, refunds, saga_log TO platforma_api, platforma_portal, platforma_worker;
GRANT UPDATE (state) ON payments TO platforma_api, platforma_portal, platforma_worker;
GRANT UPDATE (state, reference, accepted_at) ON refunds TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT ON saga_parts TO platforma_api, platforma_portal;
GRANT SELECT, INSERT, UPDATE ON saga_parts TO platforma_worker;
-- events
GRANT SELECT, INSERT ON order_event TO platforma_api, platforma_portal, platforma_worker;
GRANT INSERT ON outbox TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT, INSERT, UPDATE ON inbox TO platforma_worker;
GRANT SELECT, DELETE ON outbox TO platforma_relay;
GRANT SELECT ON order_event, dead_letters TO platforma_relay;
GRANT SELECT, INSERT, UPDATE ON relays TO platforma_relay;
GRANT SELECT, INSERT ON audit_log TO platforma_audit;
-- secrets: the worker writes sealed credentials, and only the delivery login reads them;
-- the worker writes a passphrase, and only the portal reads it, once
GRANT SELECT (tenant_id, item_id, generation, created_at, destroyed_at) ON credentials TO platforma_api, platforma_portal, platforma_worker;
GRANT INSERT ON credentials TO platforma_worker;
GRANT UPDATE (sealed, destroyed_at) ON credentials TO platforma_worker;
GRANT SELECT ON credentials, keysets TO platforma_delivery;
GRANT INSERT ON credential_access TO platforma_delivery;
GRANT SELECT ON credential_access TO platforma_api, platforma_portal;
GRANT SELECT, INSERT, UPDATE ON keysets TO platforma_worker;
GRANT SELECT ON keysets TO platforma_portal;
GRANT SELECT (tenant_id, id, item_id, has_passphrase, message_id, recipient, state, at) ON deliveries TO platforma_api, platforma_portal, platforma_worker;
GRANT INSERT ON deliveries TO platforma_worker;
GRANT SELECT (passphrase_sealed), UPDATE (passphrase_sealed) ON deliveries TO platforma_portal;
-- the owner of the sanctioned functions
GRANT SELECT ON api_keys, members, orders, saga_units TO platforma_system;
GRANT SELECT, DELETE ON idempotency TO platforma_system;

RESET search_path;
RESET ROLE;
