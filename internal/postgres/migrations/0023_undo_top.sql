-- A column that was written and read but decided nothing goes. The previous release does not run on it, since
-- it writes the column; nothing has been released yet, so it is dropped at once and not after a release that
-- leaves it alone.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE saga_units DROP COLUMN undo_top;

RESET search_path;
RESET ROLE;
