-- The sanctioned functions are the only statements that cross tenants. There are at most five (a test counts them).
-- They return ids only, and the caller then opens a transaction for the tenant. Their owner is platforma_system:
-- with FORCE, a function of the tables' owner would see no rows.
-- +goose Up
SET ROLE platforma_owner;
SET search_path = platforma, pg_temp;

-- +goose StatementBegin
CREATE FUNCTION find_actor(h bytea, now timestamptz) RETURNS TABLE (tenant_id uuid, member_id uuid, key_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
  SELECT k.tenant_id, k.member_id, k.id
  FROM api_keys k JOIN members m ON m.tenant_id = k.tenant_id AND m.id = k.member_id
  WHERE k.hash = h AND k.revoked_at IS NULL AND k.expires_at > now AND m.revoked_at IS NULL
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION expired_orders(now timestamptz, n int) RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
  SELECT o.tenant_id, o.id FROM orders o WHERE o.expires_at <= now ORDER BY o.expires_at LIMIT n
$$;
-- +goose StatementEnd
-- s is 0 (queued) for the feeder and 1 (open) for the sweeper. The feeder gets each tenant's tasks that compensate,
-- and as many others as keep the tenant at per_tenant open ones in the queue at most, so that many tasks of one
-- tenant do not hide the single task of another.
-- +goose StatementBegin
CREATE FUNCTION due_units(queue text, s smallint, now timestamptz, per_tenant int) RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
  SELECT u.tenant_id, u.id
  FROM tenants t
  CROSS JOIN LATERAL (SELECT * FROM (
    (SELECT x.tenant_id, x.id, true AS back FROM saga_units x
     WHERE x.provider = queue AND x.tenant_id = t.id AND x.state = s AND x.state IN (0, 1) AND x.next_at <= now AND x.undoing
     ORDER BY x.id LIMIT per_tenant)
    UNION ALL
    (SELECT x.tenant_id, x.id, false FROM saga_units x
     WHERE x.provider = queue AND x.tenant_id = t.id AND x.state = s AND x.state IN (0, 1) AND x.next_at <= now AND NOT x.undoing
     ORDER BY x.id LIMIT CASE WHEN s = 1 THEN per_tenant ELSE greatest(0, per_tenant - (
       SELECT count(*) FROM saga_units o WHERE o.provider = queue AND o.tenant_id = t.id AND o.state = 1 AND o.state IN (0, 1) AND NOT o.undoing)) END)
  ) v ORDER BY v.back DESC, v.id LIMIT per_tenant) u
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION purge_expired(before timestamptz, n int) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = platforma, pg_temp AS $$
  DELETE FROM idempotency i
  USING (SELECT d.tenant_id, d.key FROM idempotency d WHERE d.created_at < before LIMIT n) x
  WHERE i.tenant_id = x.tenant_id AND i.key = x.key
$$;
-- +goose StatementEnd

-- must aborts a pipelined transaction, whose commit was already sent, when a guarded update did not match its rows.
-- PF001 is a SQLSTATE of this product.
-- +goose StatementBegin
CREATE FUNCTION must(ok boolean, what text) RETURNS void
LANGUAGE plpgsql SET search_path = platforma, pg_temp AS $$
BEGIN
  IF ok IS NOT TRUE THEN
    RAISE EXCEPTION '%', what USING ERRCODE = 'PF001';
  END IF;
END $$;
-- +goose StatementEnd
-- After every migration, migrate.go replaces these two functions with the lists of order.Moves and order.ItemMoves;
-- a test compares them. Until then every move is refused.
-- +goose StatementBegin
CREATE FUNCTION order_move() RETURNS trigger LANGUAGE plpgsql SET search_path = platforma, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'order moves are not installed' USING ERRCODE = '23514';
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION item_move() RETURNS trigger LANGUAGE plpgsql SET search_path = platforma, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'item moves are not installed' USING ERRCODE = '23514';
END $$;
-- +goose StatementEnd
CREATE TRIGGER order_move BEFORE UPDATE OF state ON orders FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION order_move();
CREATE TRIGGER item_move BEFORE UPDATE OF state ON order_items FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION item_move();

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA platforma FROM PUBLIC; -- otherwise every login may call them
GRANT EXECUTE ON FUNCTION find_actor TO platforma_api, platforma_portal;
GRANT EXECUTE ON FUNCTION expired_orders, due_units, purge_expired TO platforma_worker;
GRANT EXECUTE ON FUNCTION must TO platforma_api, platforma_portal, platforma_worker, platforma_relay;
RESET search_path;
RESET ROLE;

GRANT CREATE ON SCHEMA platforma TO platforma_system; -- to own a function in it
ALTER FUNCTION platforma.find_actor OWNER TO platforma_system;
ALTER FUNCTION platforma.expired_orders OWNER TO platforma_system;
ALTER FUNCTION platforma.due_units OWNER TO platforma_system;
ALTER FUNCTION platforma.purge_expired OWNER TO platforma_system;
REVOKE CREATE ON SCHEMA platforma FROM platforma_system;
