-- The resource that a person asserts to be at the provider, by the provider's id, until a worker has checked it. The
-- previous release runs on it unchanged and ignores an assertion.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE saga_units
  ADD COLUMN claim_part text NOT NULL DEFAULT '',
  ADD COLUMN claim_ref  text NOT NULL DEFAULT '',
  ADD CONSTRAINT saga_units_claim CHECK ((claim_part = '') = (claim_ref = '') AND (claim_ref = '' OR kind = 2));

RESET search_path;
RESET ROLE;
