-- The owner, the owner of the sanctioned functions and the six logins. Roles belong to the whole
-- cluster: another database of it may have made them, perhaps at this very moment, so every
-- statement takes what is there. In production the logins get their passwords from whoever runs the
-- cluster; nothing here weakens or sets one. The previous release: there is none.
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
        NULL; -- made by another database's migration just now
      END;
    END IF;
  END LOOP;
  -- Who migrates must be able to act as the owners; a superuser can already.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT platforma_owner, platforma_system TO %I', current_user);
  END IF;
END $$;
-- +goose StatementEnd

-- How long a login waits and works: a lock 2 s, a statement 5 s (30 s for work in the background),
-- an idle transaction 10 s (the relay's 30 s), after which dead outbox rows would pile up.
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
