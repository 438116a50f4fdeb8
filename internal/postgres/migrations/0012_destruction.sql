-- The transaction that settles an item for good also destroys its sealed credentials. When two members abandon a
-- stuck compensation, that is a transaction of the API. Its login may only destroy: it sets the time, and a trigger
-- removes the value. It may not read or write a sealed value. The previous release runs on it unchanged.
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
