-- Drops a column that was written and read but had no effect. The previous release does not run on it, because it
-- writes the column. Nothing has been released yet, so there is no release in between that only ignores the column.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE saga_units DROP COLUMN undo_top;

RESET search_path;
RESET ROLE;
