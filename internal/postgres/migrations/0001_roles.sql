-- The owner, the owner of the sanctioned functions and the six logins. Roles belong to the whole cluster.
-- Another of its databases may have created them, perhaps at this moment, so every statement accepts roles that
-- exist. In production, the operator of the cluster sets the passwords of the logins; nothing here sets or
-- weakens one. There is no previous release.
-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
  r text;
BEGIN
  FOREACH r IN ARRAY '{owner,system,api,portal,worker,delivery,relay,audit}'::text[] LOOP
    IF to_regrole('platforma_' || r) IS NULL THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I %s', 'platforma_' || r, CASE WHEN r IN ('owner', 'system') THEN 'NOLOGIN' ELSE 'LOGIN' END);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database's migration has just created it
      END;
    END IF;
  END LOOP;
  -- The login that migrates must be able to act as the owners. A superuser already is.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT platforma_owner, platforma_system TO %I', current_user);
  END IF;
END $$;
-- +goose StatementEnd

-- Timeouts: 2 s for a lock, 5 s for a statement (30 s for background work), and 10 s for an idle transaction
-- (30 s for the relay), which would keep dead outbox rows from being removed.
-- +goose StatementBegin
DO $$
DECLARE
  r text;
  s text;
BEGIN
  FOREACH r IN ARRAY '{api,portal,worker,delivery,relay,audit}'::text[] LOOP
    IF EXISTS (SELECT FROM pg_db_role_setting d WHERE d.setrole = to_regrole('platforma_' || r) AND d.setdatabase = 0) THEN
      CONTINUE; -- set before, or changed by hand since
    END IF;
    FOREACH s IN ARRAY ARRAY[
      'lock_timeout = ''2s''',
      'statement_timeout = ' || CASE WHEN r IN ('api', 'portal') THEN '''5s''' ELSE '''30s''' END,
      'idle_in_transaction_session_timeout = ' || CASE WHEN r = 'relay' THEN '''30s''' ELSE '''10s''' END] LOOP
      BEGIN
        EXECUTE format('ALTER ROLE %I SET %s', 'platforma_' || r, s);
      EXCEPTION WHEN internal_error THEN
        NULL; -- "tuple concurrently updated": another database's migration sets the same
      END;
    END LOOP;
  END LOOP;
END $$;
-- +goose StatementEnd

CREATE SCHEMA platforma AUTHORIZATION platforma_owner;
