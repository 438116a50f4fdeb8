-- The findings of the reaper: differences between what a provider lists and our inventory, by the provider's own
-- id. There is no tenant, because a finding may name no item of the product. The previous release runs on it
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
