-- What the reaper found: differences between a provider's inventory and our books, by the provider's
-- own id. No tenant: what names no item of ours belongs to nobody. The previous release runs on it
-- unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE reaper_findings (
  provider   text COLLATE "C" NOT NULL,
  ref        text COLLATE "C" NOT NULL,
  kind       smallint NOT NULL CHECK (kind BETWEEN 1 AND 3), -- leftover unknown vanished
  item       uuid,
  part       text NOT NULL,
  generation int NOT NULL,
  first_seen timestamptz NOT NULL,
  last_seen  timestamptz NOT NULL,
  settled_at timestamptz,
  PRIMARY KEY (provider, ref, kind)
);
GRANT SELECT, INSERT, UPDATE ON reaper_findings TO platforma_worker;
RESET search_path;
RESET ROLE;
