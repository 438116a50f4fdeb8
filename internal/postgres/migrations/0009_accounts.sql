-- What processes share about the providers' accounts: rate budget and circuit breaker. No tenant: an
-- account serves them all. The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE provider_accounts (
  provider    text COLLATE "C" NOT NULL,
  region      text COLLATE "C" NOT NULL, -- '' is the account as a whole
  tokens      double precision NOT NULL DEFAULT 0,
  taken       int NOT NULL DEFAULT 0,      -- of the last taking: an upsert can return no more than its row
  refilled_at timestamptz,
  open        boolean NOT NULL DEFAULT false,
  open_until  timestamptz,
  level       smallint NOT NULL DEFAULT 0, -- openings in a row
  moves       int NOT NULL DEFAULT 0,      -- of the breaker: who moves it says from which
  PRIMARY KEY (provider, region)
) WITH (fillfactor = 50);

-- The flow of a bucket: what is in it at a moment, at so many a second up to the burst.
-- +goose StatementBegin
CREATE FUNCTION bucket(tokens double precision, refilled_at timestamptz, now timestamptz, per_second double precision, burst double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE SET search_path = platforma, pg_temp AS $$
  SELECT CASE WHEN refilled_at IS NULL THEN burst ELSE least(burst, tokens + greatest(0, extract(epoch FROM now - refilled_at)) * per_second) END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION bucket FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bucket TO platforma_worker;
GRANT SELECT, INSERT, UPDATE ON provider_accounts TO platforma_worker;
RESET search_path;
RESET ROLE;
