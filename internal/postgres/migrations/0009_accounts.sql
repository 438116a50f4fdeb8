-- The rate limiter and the circuit breaker of each provider account, which all processes share. There is no tenant:
-- an account serves all of them. The previous release runs on it unchanged.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

CREATE TABLE provider_accounts (
  provider    text COLLATE "C" NOT NULL,
  region      text COLLATE "C" NOT NULL, -- '' is the account as a whole
  tokens      double precision NOT NULL DEFAULT 0,
  taken       int NOT NULL DEFAULT 0,      -- by the last call: an upsert can return only columns of its row
  refilled_at timestamptz,
  open        boolean NOT NULL DEFAULT false,
  open_until  timestamptz,
  level       smallint NOT NULL DEFAULT 0, -- openings in a row
  moves       int NOT NULL DEFAULT 0,      -- of the breaker, counted: each move names the one before
  PRIMARY KEY (provider, region)
) WITH (fillfactor = 50);

-- bucket returns the tokens in a token bucket at a time, with a rate per second and a burst.
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
