-- The abandonment of a dead letter: for what reason, with which proof, and by which two members. A constraint
-- requires that they are two. The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

ALTER TABLE dead_letters
  ADD COLUMN grounds   text NOT NULL DEFAULT '' CHECK (grounds IN ('', 'verified_absent', 'removed_by_hand', 'account_closed', 'refunded_by_hand', 'other')),
  ADD COLUMN words     text NOT NULL DEFAULT '', -- of the member who signed first
  ADD COLUMN proof     text NOT NULL DEFAULT '',
  ADD COLUMN first_by  uuid,
  ADD COLUMN first_at  timestamptz,
  ADD COLUMN second_by uuid,
  ADD CONSTRAINT dead_letters_first FOREIGN KEY (tenant_id, first_by) REFERENCES members,
  ADD CONSTRAINT dead_letters_second FOREIGN KEY (tenant_id, second_by) REFERENCES members,
  ADD CONSTRAINT dead_letters_two_people CHECK (second_by <> first_by),
  ADD CONSTRAINT dead_letters_abandoned CHECK ((state = 3) = (second_by IS NOT NULL) AND (first_by IS NULL) = (grounds = '')
    AND (state <> 3 OR first_by IS NOT NULL AND proof <> '' AND closed_at IS NOT NULL));
-- By cause, for the groups of the fallout desk and for the redrive of many dead letters at once.
CREATE INDEX dead_letters_cause ON dead_letters (tenant_id, error_code, id DESC) WHERE state IN (0, 1);

RESET search_path;
RESET ROLE;
