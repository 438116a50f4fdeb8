-- One procedure that gives a table its tenant walls. The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- wall gives a table with a tenant_id the same policies as 0007: with the login of the API or the portal a statement
-- sees the rows of one tenant, with a login of background work those of a list of tenants. A policy grants nothing:
-- the GRANTs come after the call. Only the owner of the tables may call it:
--
--   CREATE TABLE note (tenant_id uuid NOT NULL, ...);
--   CALL wall('note');
--   GRANT SELECT, INSERT ON note TO platforma_worker;
--
-- (SELECT ...) is evaluated once for each statement. The column is never cast, because a cast would prevent the use
-- of its index. nullif is needed because a setting is '' and not null after its transaction has ended.
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
