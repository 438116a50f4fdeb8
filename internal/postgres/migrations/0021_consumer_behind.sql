-- How many events a consumer has not handled yet, besides how old they are. The rows are valid for some seconds
-- only, so those from before the column are deleted.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

DELETE FROM consumer_status;
ALTER TABLE consumer_status ADD COLUMN behind bigint NOT NULL CHECK (behind >= 0);

RESET search_path;
RESET ROLE;
