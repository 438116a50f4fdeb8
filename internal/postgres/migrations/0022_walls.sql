-- One way to put a table behind the walls of row-level security. The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- wall puts a table that has a tenant_id behind the same policies as 0007: under a login of the API or the
-- portal a statement sees one tenant's rows, under a login of background work those of a list of tenants.
-- A policy grants nothing: who may do what is said by GRANT, after the call. Only the tables' owner may call it:
--
--   CREATE TABLE note (tenant_id uuid NOT NULL, ...);
--   CALL wall('note');
--   GRANT SELECT, INSERT ON note TO platforma_worker;
--
-- (SELECT ...) is evaluated once per statement; the column is never cast, or its index is lost; nullif is
-- needed because a setting whose transaction has ended reads '' and not null.
-- +goose StatementBegin
CREATE PROCEDURE wall(walled regclass) LANGUAGE plpgsql SET search_path = platforma, pg_temp AS $$
DECLARE
  one text := '(tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))';
  few text := '(tenant_id = ANY ((SELECT nullif(current_setting(''app.tenant_ids'', true), '''')::uuid[])::uuid[]))';
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', walled);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', walled);
  EXECUTE format('CREATE POLICY one ON %s TO platforma_api, platforma_portal USING %s WITH CHECK %s', walled, one, one);
  EXECUTE format('CREATE POLICY few ON %s TO platforma_worker, platforma_delivery, platforma_audit USING %s WITH CHECK %s', walled, few, few);
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON PROCEDURE wall FROM PUBLIC;

RESET search_path;
RESET ROLE;
