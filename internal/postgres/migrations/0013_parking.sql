-- Events that a consumer cannot apply: which event of an order is parked, and how many later ones are blocked
-- behind it. The previous release runs on it, but does not know parked events and would apply the later ones:
-- redrive or abandon what is parked before a return to it.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE inbox
  ADD COLUMN parked_seq int,                   -- the event that is parked
  ADD COLUMN held_to    int,                   -- the last blocked event, or the parked one
  ADD COLUMN held       int NOT NULL DEFAULT 0, -- the number of blocked events, which are in order_event
  ADD COLUMN redo_seq   int,                   -- the one event that may be applied meanwhile; a redrive sets it
  ADD CONSTRAINT inbox_parked_whole CHECK ((parked_seq IS NULL) = (held_to IS NULL) AND held_to >= parked_seq
    AND held >= 0 AND (parked_seq IS NOT NULL OR held = 0 AND redo_seq IS NULL));
CREATE INDEX inbox_parked ON inbox (tenant_id, consumer) WHERE parked_seq IS NOT NULL;
GRANT SELECT ON inbox TO platforma_api, platforma_portal; -- the fallout desk shows what is blocked

ALTER TABLE dead_letters
  ADD COLUMN event_type text,
  ADD COLUMN logged_at  timestamptz, -- when the broker took the record; null if it was not read from a topic
  ADD CONSTRAINT dead_letters_event CHECK ((source = 'event') = (consumer IS NOT NULL AND seq IS NOT NULL AND event_id IS NOT NULL AND event_type IS NOT NULL)),
  ADD CONSTRAINT dead_letters_place CHECK ((topic_id IS NULL) = (part IS NULL) AND (part IS NULL) = (off IS NULL));
-- A consumer has at most one parked event of an order at a time.
CREATE UNIQUE INDEX dead_letters_parked ON dead_letters (tenant_id, order_id, consumer) WHERE state = 1;

RESET search_path;
RESET ROLE;
