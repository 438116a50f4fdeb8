-- Events that a consumer cannot apply: which one of an order it has set aside, and how many later ones wait
-- behind it. The previous release runs on it, but knows of no parked event and would go past it: redrive
-- or abandon what is parked before going back to it.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE inbox
  ADD COLUMN parked_seq int,                   -- the event that was set aside
  ADD COLUMN held_to    int,                   -- the last that was heard and waits behind it, or itself
  ADD COLUMN held       int NOT NULL DEFAULT 0, -- how many wait; they stand in order_event
  ADD COLUMN redo_seq   int,                   -- the one event that may be applied all the same: whoever redrives sets it
  ADD CONSTRAINT inbox_parked_whole CHECK ((parked_seq IS NULL) = (held_to IS NULL) AND held_to >= parked_seq
    AND held >= 0 AND (parked_seq IS NOT NULL OR held = 0 AND redo_seq IS NULL));
CREATE INDEX inbox_parked ON inbox (tenant_id, consumer) WHERE parked_seq IS NOT NULL;
GRANT SELECT ON inbox TO platforma_api, platforma_portal; -- the desk shows what waits

ALTER TABLE dead_letters
  ADD COLUMN event_type text,
  ADD COLUMN logged_at  timestamptz, -- when the broker took the record; null when it was not read from a topic
  ADD CONSTRAINT dead_letters_event CHECK ((source = 'event') = (consumer IS NOT NULL AND seq IS NOT NULL AND event_id IS NOT NULL AND event_type IS NOT NULL)),
  ADD CONSTRAINT dead_letters_place CHECK ((topic_id IS NULL) = (part IS NULL) AND (part IS NULL) = (off IS NULL));
-- A consumer stands behind one event of an order at a time.
CREATE UNIQUE INDEX dead_letters_parked ON dead_letters (tenant_id, order_id, consumer) WHERE state = 1;

RESET search_path;
RESET ROLE;
