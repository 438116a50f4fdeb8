-- The status of a consumer in each process that runs it, so that every process can show the sum. The rows are
-- valid for some seconds only, so the old ones are deleted.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

DELETE FROM consumer_status;
ALTER TABLE consumer_status
  DROP CONSTRAINT consumer_status_pkey,
  ADD COLUMN instance text NOT NULL,
  ADD COLUMN name     text NOT NULL, -- the name in the inbox and on dead letters
  ADD COLUMN parked   bigint NOT NULL,
  ADD COLUMN held     bigint NOT NULL,
  ADD PRIMARY KEY (consumer, instance);
GRANT DELETE ON consumer_status TO platforma_worker;

RESET search_path;
RESET ROLE;
