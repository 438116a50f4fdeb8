-- How many events a consumer has not done with yet, besides how old they are. The rows are a few seconds'
-- news: what was said before the column was there is forgotten.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

DELETE FROM consumer_status;
ALTER TABLE consumer_status ADD COLUMN behind bigint NOT NULL CHECK (behind >= 0);

RESET search_path;
RESET ROLE;
