-- Whoever settles an item for good destroys its sealed credentials in the same transaction; where two
-- people abandon a stuck clean-up that is the API. It may only destroy: it says when, and the value goes with
-- it. Reading or writing a sealed value stays closed to it. The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- +goose StatementBegin
CREATE FUNCTION credential_destroyed() RETURNS trigger LANGUAGE plpgsql SET search_path = platforma, pg_temp AS $$
BEGIN
  NEW.sealed := NULL;
  RETURN NEW;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION credential_destroyed FROM PUBLIC;
CREATE TRIGGER credential_destroyed BEFORE UPDATE ON credentials FOR EACH ROW WHEN (NEW.destroyed_at IS NOT NULL) EXECUTE FUNCTION credential_destroyed();
GRANT UPDATE (destroyed_at) ON credentials TO platforma_api, platforma_portal;

RESET search_path;
RESET ROLE;
