-- The schema as all migrations leave it, for reading. It is written from the catalogue
-- of a migrated database by
--   go run ./internal/embedded/cmd/withpostgres -- go test -run TheSchemaIsWrittenDown ./internal/postgres -update
-- and compared with it by the same test. To change it, add a migration. The numbers of states and kinds are those
-- of the Go constants that names.go lists; migrations/0007_walls.sql says what each policy lets through.

CREATE TABLE allocations (
  tenant_id uuid NOT NULL,
  payment_id uuid NOT NULL,
  item_id uuid NOT NULL,
  cents bigint NOT NULL,
  CONSTRAINT allocations_pkey PRIMARY KEY (tenant_id, payment_id, item_id),
  CONSTRAINT allocations_tenant_id_item_id_fkey FOREIGN KEY (tenant_id, item_id) REFERENCES order_items(tenant_id, id),
  CONSTRAINT allocations_tenant_id_payment_id_fkey FOREIGN KEY (tenant_id, payment_id) REFERENCES payments(tenant_id, id),
  CONSTRAINT allocations_cents_check CHECK ((cents >= 0))
);
ALTER TABLE allocations ENABLE ROW LEVEL SECURITY;
ALTER TABLE allocations FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON allocations FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON allocations FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT ON allocations TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE api_keys (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  hash bytea NOT NULL,
  prefix text NOT NULL,
  scopes text[] NOT NULL,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  revoked_at timestamp with time zone,
  CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT api_keys_tenant_id_member_id_fkey FOREIGN KEY (tenant_id, member_id) REFERENCES members(tenant_id, id),
  CONSTRAINT api_keys_hash_check CHECK ((octet_length(hash) = 32))
);
CREATE INDEX api_keys_hash ON api_keys USING btree (hash);
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON api_keys FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON api_keys FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON api_keys FOR SELECT TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON api_keys TO platforma_api, platforma_portal;
GRANT SELECT ON api_keys TO platforma_system;

CREATE TABLE audit_finding (
  tenant_id uuid NOT NULL,
  kind text NOT NULL,
  topic_id uuid NOT NULL,
  part integer NOT NULL,
  off bigint NOT NULL,
  order_id uuid,
  seq integer,
  detail text NOT NULL,
  at timestamp with time zone NOT NULL,
  CONSTRAINT audit_finding_pkey PRIMARY KEY (tenant_id, kind, topic_id, part, off),
  CONSTRAINT audit_finding_kind_check CHECK ((kind = ANY (ARRAY['gap'::text, 'duplicate'::text, 'order'::text, 'conflict'::text, 'foreign'::text])))
);
ALTER TABLE audit_finding ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_finding FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON audit_finding FOR ALL TO platforma_audit;
GRANT INSERT, SELECT ON audit_finding TO platforma_audit;

CREATE TABLE audit_log (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  seq integer NOT NULL,
  event_id uuid NOT NULL,
  type text NOT NULL,
  at timestamp with time zone NOT NULL,
  seen_at timestamp with time zone NOT NULL,
  data_sha256 bytea NOT NULL,
  part integer NOT NULL,
  off bigint NOT NULL,
  n bigint NOT NULL,
  topic_id uuid NOT NULL,
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL,
  CONSTRAINT audit_log_pkey PRIMARY KEY (tenant_id, n),
  CONSTRAINT audit_log_event UNIQUE (tenant_id, order_id, seq)
);
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON audit_log FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON audit_log FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT ON audit_log TO platforma_audit;

CREATE TABLE billing_finding (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  seq integer NOT NULL,
  event_id uuid NOT NULL,
  left_cents bigint NOT NULL,
  at timestamp with time zone NOT NULL,
  CONSTRAINT billing_finding_pkey PRIMARY KEY (tenant_id, order_id, seq),
  CONSTRAINT billing_finding_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id)
);
ALTER TABLE billing_finding ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_finding FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON billing_finding FOR ALL TO platforma_worker;
GRANT INSERT, SELECT ON billing_finding TO platforma_worker;

CREATE TABLE billing_receipts (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  seq integer NOT NULL,
  event_id uuid NOT NULL,
  type text NOT NULL,
  at timestamp with time zone NOT NULL,
  heard_at timestamp with time zone NOT NULL,
  subject_id uuid,
  item_id uuid,
  cents bigint NOT NULL,
  moved_cents bigint NOT NULL,
  currency character(3) NOT NULL,
  CONSTRAINT billing_receipts_pkey PRIMARY KEY (tenant_id, order_id, seq),
  CONSTRAINT billing_receipts_tenant_id_event_id_key UNIQUE (tenant_id, event_id),
  CONSTRAINT billing_receipts_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT billing_receipts_check CHECK (((subject_id IS NOT NULL) OR (moved_cents = 0)))
);
ALTER TABLE billing_receipts ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_receipts FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON billing_receipts FOR ALL TO platforma_worker;
GRANT INSERT, SELECT ON billing_receipts TO platforma_worker;

CREATE TABLE catalog (
  entry text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  body json NOT NULL,
  valid_from timestamp with time zone NOT NULL,
  CONSTRAINT catalog_pkey PRIMARY KEY (entry, version)
);
GRANT INSERT, SELECT ON catalog TO platforma_api, platforma_portal;
GRANT SELECT ON catalog TO platforma_worker;

CREATE TABLE catalog_change (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at timestamp with time zone NOT NULL,
  actor text NOT NULL,
  summary text NOT NULL,
  CONSTRAINT catalog_change_pkey PRIMARY KEY (id)
);
GRANT INSERT, SELECT ON catalog_change TO platforma_api, platforma_portal;
GRANT SELECT ON catalog_change TO platforma_worker;

CREATE TABLE consumer_status (
  consumer text NOT NULL,
  at timestamp with time zone NOT NULL,
  age_ms bigint NOT NULL,
  applied bigint NOT NULL,
  duplicates bigint NOT NULL,
  retried bigint NOT NULL,
  refused bigint NOT NULL,
  stopped integer NOT NULL,
  instance text NOT NULL,
  name text NOT NULL,
  parked bigint NOT NULL,
  blocked bigint NOT NULL,
  behind bigint NOT NULL,
  CONSTRAINT consumer_status_pkey PRIMARY KEY (consumer, instance),
  CONSTRAINT consumer_status_behind_check CHECK ((behind >= 0))
);
GRANT DELETE, INSERT, SELECT, UPDATE ON consumer_status TO platforma_worker;
GRANT SELECT ON consumer_status TO platforma_api, platforma_portal;

CREATE TABLE credential_access (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  item_id uuid NOT NULL,
  generation integer NOT NULL,
  at timestamp with time zone NOT NULL,
  actor text NOT NULL,
  why text NOT NULL,
  recipient text NOT NULL,
  CONSTRAINT credential_access_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT credential_access_tenant_id_item_id_fkey FOREIGN KEY (tenant_id, item_id) REFERENCES order_items(tenant_id, id)
);
ALTER TABLE credential_access ENABLE ROW LEVEL SECURITY;
ALTER TABLE credential_access FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON credential_access FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON credential_access FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT ON credential_access TO platforma_delivery;
GRANT SELECT ON credential_access TO platforma_api, platforma_portal;

CREATE TABLE credentials (
  tenant_id uuid NOT NULL,
  item_id uuid NOT NULL,
  generation integer NOT NULL,
  sealed bytea,
  created_at timestamp with time zone NOT NULL,
  destroyed_at timestamp with time zone,
  CONSTRAINT credentials_pkey PRIMARY KEY (tenant_id, item_id, generation),
  CONSTRAINT credentials_tenant_id_item_id_fkey FOREIGN KEY (tenant_id, item_id) REFERENCES order_items(tenant_id, id)
);
CREATE TRIGGER credential_destroyed BEFORE UPDATE ON credentials FOR EACH ROW WHEN ((new.destroyed_at IS NOT NULL)) EXECUTE FUNCTION credential_destroyed();
ALTER TABLE credentials ENABLE ROW LEVEL SECURITY;
ALTER TABLE credentials FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON credentials FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON credentials FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT ON credentials TO platforma_worker;
GRANT SELECT ON credentials TO platforma_delivery;
GRANT SELECT (tenant_id, item_id, generation, created_at, destroyed_at) ON credentials TO platforma_api, platforma_portal, platforma_worker;
GRANT UPDATE (destroyed_at) ON credentials TO platforma_api, platforma_portal;
GRANT UPDATE (sealed, destroyed_at) ON credentials TO platforma_worker;

CREATE TABLE dead_letters (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  item_id uuid,
  task_id uuid,
  source text NOT NULL,
  class text NOT NULL,
  error_code text NOT NULL,
  detail text NOT NULL,
  step text NOT NULL,
  attempts integer NOT NULL,
  payload_sha256 bytea NOT NULL,
  state smallint NOT NULL,
  first_failed_at timestamp with time zone NOT NULL,
  at timestamp with time zone NOT NULL,
  closed_at timestamp with time zone,
  reason text NOT NULL,
  consumer text,
  seq integer,
  event_id uuid,
  topic_id uuid,
  part integer,
  off bigint,
  abandon_reason text NOT NULL DEFAULT ''::text,
  abandon_text text NOT NULL DEFAULT ''::text,
  proof text NOT NULL DEFAULT ''::text,
  first_by uuid,
  first_at timestamp with time zone,
  second_by uuid,
  event_type text,
  logged_at timestamp with time zone,
  CONSTRAINT dead_letters_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT dead_letters_first FOREIGN KEY (tenant_id, first_by) REFERENCES members(tenant_id, id),
  CONSTRAINT dead_letters_second FOREIGN KEY (tenant_id, second_by) REFERENCES members(tenant_id, id),
  CONSTRAINT dead_letters_tenant_id_item_id_fkey FOREIGN KEY (tenant_id, item_id) REFERENCES order_items(tenant_id, id),
  CONSTRAINT dead_letters_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT dead_letters_tenant_id_task_id_fkey FOREIGN KEY (tenant_id, task_id) REFERENCES saga_tasks(tenant_id, id),
  CONSTRAINT dead_letters_abandon_reason_check CHECK ((abandon_reason = ANY (ARRAY[''::text, 'verified_absent'::text, 'removed_by_hand'::text, 'account_closed'::text, 'refunded_by_hand'::text, 'other'::text]))),
  CONSTRAINT dead_letters_abandoned CHECK ((((state = 3) = (second_by IS NOT NULL)) AND ((first_by IS NULL) = (abandon_reason = ''::text)) AND ((state <> 3) OR ((first_by IS NOT NULL) AND (proof <> ''::text) AND (closed_at IS NOT NULL))))),
  CONSTRAINT dead_letters_event CHECK (((source = 'event'::text) = ((consumer IS NOT NULL) AND (seq IS NOT NULL) AND (event_id IS NOT NULL) AND (event_type IS NOT NULL)))),
  CONSTRAINT dead_letters_place CHECK ((((topic_id IS NULL) = (part IS NULL)) AND ((part IS NULL) = (off IS NULL)))),
  CONSTRAINT dead_letters_source_check CHECK ((source = ANY (ARRAY['event'::text, 'step'::text, 'refund'::text, 'mail'::text]))),
  CONSTRAINT dead_letters_state_check CHECK (((state >= 0) AND (state <= 4))),
  CONSTRAINT dead_letters_two_people CHECK ((second_by <> first_by))
);
CREATE INDEX dead_letters_cause ON dead_letters USING btree (tenant_id, error_code, id DESC) WHERE (state = ANY (ARRAY[0, 1]));
CREATE INDEX dead_letters_open ON dead_letters USING btree (tenant_id, id DESC) WHERE (state = ANY (ARRAY[0, 1]));
CREATE INDEX dead_letters_order ON dead_letters USING btree (tenant_id, order_id);
CREATE UNIQUE INDEX dead_letters_parked ON dead_letters USING btree (tenant_id, order_id, consumer) WHERE (state = 1);
ALTER TABLE dead_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE dead_letters FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON dead_letters FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON dead_letters FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY relay ON dead_letters FOR SELECT TO platforma_relay;
GRANT INSERT, SELECT, UPDATE ON dead_letters TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT ON dead_letters TO platforma_relay;

CREATE TABLE deliveries (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  item_id uuid NOT NULL,
  passphrase_sealed bytea,
  has_passphrase boolean GENERATED ALWAYS AS ((passphrase_sealed IS NOT NULL)) STORED,
  message_id text NOT NULL,
  recipient text NOT NULL,
  state smallint NOT NULL,
  at timestamp with time zone NOT NULL,
  CONSTRAINT deliveries_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT deliveries_tenant_id_item_id_fkey FOREIGN KEY (tenant_id, item_id) REFERENCES order_items(tenant_id, id),
  CONSTRAINT deliveries_state_check CHECK (((state >= 1) AND (state <= 3)))
);
CREATE INDEX deliveries_item ON deliveries USING btree (tenant_id, item_id);
ALTER TABLE deliveries ENABLE ROW LEVEL SECURITY;
ALTER TABLE deliveries FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON deliveries FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON deliveries FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT ON deliveries TO platforma_worker;
GRANT SELECT (tenant_id, id, item_id, has_passphrase, message_id, recipient, state, at) ON deliveries TO platforma_api, platforma_worker;
GRANT SELECT (tenant_id, id, item_id, passphrase_sealed, has_passphrase, message_id, recipient, state, at) ON deliveries TO platforma_portal;
GRANT UPDATE (passphrase_sealed) ON deliveries TO platforma_portal;

CREATE TABLE exchange_rates (
  currency character(3) NOT NULL,
  at timestamp with time zone NOT NULL,
  rate text NOT NULL,
  source text NOT NULL,
  CONSTRAINT exchange_rates_pkey PRIMARY KEY (currency, at)
);
GRANT INSERT, SELECT ON exchange_rates TO platforma_api, platforma_portal;
GRANT SELECT ON exchange_rates TO platforma_worker;

CREATE TABLE idempotency (
  tenant_id uuid NOT NULL,
  key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  status smallint NOT NULL,
  headers json NOT NULL,
  body bytea NOT NULL,
  created_at timestamp with time zone NOT NULL,
  CONSTRAINT idempotency_pkey PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_age ON idempotency USING brin (created_at);
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON idempotency FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON idempotency FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON idempotency FOR ALL TO platforma_system;
GRANT DELETE, SELECT ON idempotency TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON idempotency TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE inbox (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  consumer text NOT NULL,
  seq integer NOT NULL,
  parked_seq integer,
  blocked_to integer,
  blocked integer NOT NULL DEFAULT 0,
  redrive_seq integer,
  CONSTRAINT inbox_pkey PRIMARY KEY (tenant_id, order_id, consumer),
  CONSTRAINT inbox_parked_whole CHECK ((((parked_seq IS NULL) = (blocked_to IS NULL)) AND (blocked_to >= parked_seq) AND (blocked >= 0) AND ((parked_seq IS NOT NULL) OR ((blocked = 0) AND (redrive_seq IS NULL)))))
) WITH (fillfactor=60);
CREATE INDEX inbox_parked ON inbox USING btree (tenant_id, consumer) WHERE (parked_seq IS NOT NULL);
ALTER TABLE inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON inbox FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON inbox FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON inbox TO platforma_worker;
GRANT SELECT ON inbox TO platforma_api, platforma_portal;

CREATE TABLE keysets (
  tenant_id uuid NOT NULL,
  purpose text NOT NULL,
  wrapped bytea,
  kek text NOT NULL,
  created_at timestamp with time zone NOT NULL,
  destroyed_at timestamp with time zone,
  CONSTRAINT keysets_pkey PRIMARY KEY (tenant_id, purpose),
  CONSTRAINT keysets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id),
  CONSTRAINT keysets_purpose_check CHECK ((purpose = ANY (ARRAY['credential'::text, 'passphrase'::text])))
);
ALTER TABLE keysets ENABLE ROW LEVEL SECURITY;
ALTER TABLE keysets FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON keysets FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON keysets FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON keysets TO platforma_worker;
GRANT SELECT ON keysets TO platforma_delivery, platforma_portal;

CREATE TABLE members (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  role smallint NOT NULL,
  subject text COLLATE "C" NOT NULL,
  email text NOT NULL,
  delivery_key bytea,
  revoked_at timestamp with time zone,
  CONSTRAINT members_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT members_subject UNIQUE (tenant_id, subject),
  CONSTRAINT members_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id),
  CONSTRAINT members_role_check CHECK (((role >= 1) AND (role <= 4)))
);
ALTER TABLE members ENABLE ROW LEVEL SECURITY;
ALTER TABLE members FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON members FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON members FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON members FOR SELECT TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON members TO platforma_api, platforma_portal;
GRANT SELECT ON members TO platforma_system, platforma_worker;

CREATE TABLE operator_incident (
  tenant_id uuid NOT NULL,
  cause text COLLATE "C" NOT NULL,
  subject uuid NOT NULL,
  order_id uuid,
  at timestamp with time zone NOT NULL,
  notice integer,
  told boolean NOT NULL DEFAULT false,
  endpoint_id uuid,
  last_status smallint,
  last_result text,
  CONSTRAINT operator_incident_pkey PRIMARY KEY (tenant_id, cause, subject),
  CONSTRAINT operator_incident_endpoint FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint(tenant_id, id),
  CONSTRAINT operator_incident_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT operator_incident_about CHECK ((((cause = 'webhook-failing'::text) = (endpoint_id IS NOT NULL)) AND ((order_id IS NULL) = (endpoint_id IS NOT NULL)) AND ((last_result IS NULL) = (endpoint_id IS NULL)))),
  CONSTRAINT operator_incident_cause_check CHECK ((cause = ANY (ARRAY['item-stuck'::text, 'refund-failed'::text, 'dead-letter'::text, 'payment-overdue'::text, 'books-differ'::text, 'webhook-failing'::text])))
) WITH (fillfactor=70);
CREATE INDEX operator_incident_untold ON operator_incident USING btree (tenant_id, cause) WHERE (NOT told);
ALTER TABLE operator_incident ENABLE ROW LEVEL SECURITY;
ALTER TABLE operator_incident FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON operator_incident FOR ALL TO platforma_worker;
GRANT INSERT, SELECT ON operator_incident TO platforma_worker;
GRANT UPDATE (notice, told) ON operator_incident TO platforma_worker;

CREATE TABLE operator_notice (
  tenant_id uuid NOT NULL,
  cause text COLLATE "C" NOT NULL,
  n integer NOT NULL,
  told_at timestamp with time zone,
  holder uuid,
  held_until timestamp with time zone,
  CONSTRAINT operator_notice_pkey PRIMARY KEY (tenant_id, cause),
  CONSTRAINT operator_notice_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id),
  CONSTRAINT operator_notice_check CHECK (((holder IS NULL) = (held_until IS NULL)))
) WITH (fillfactor=70);
ALTER TABLE operator_notice ENABLE ROW LEVEL SECURITY;
ALTER TABLE operator_notice FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON operator_notice FOR ALL TO platforma_worker;
GRANT INSERT, SELECT ON operator_notice TO platforma_worker;
GRANT UPDATE (n, told_at, holder, held_until) ON operator_notice TO platforma_worker;

CREATE TABLE order_daily (
  tenant_id uuid NOT NULL,
  day date NOT NULL,
  state smallint NOT NULL,
  currency character(3) NOT NULL,
  orders bigint NOT NULL,
  paid bigint NOT NULL,
  paid_due_cents bigint NOT NULL,
  CONSTRAINT order_daily_pkey PRIMARY KEY (tenant_id, day, state, currency),
  CONSTRAINT order_daily_state_check CHECK (((state >= 1) AND (state <= 9)))
) WITH (fillfactor=50);
ALTER TABLE order_daily ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_daily FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON order_daily FOR ALL TO platforma_worker;
CREATE POLICY one ON order_daily FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON order_daily TO platforma_worker;
GRANT SELECT ON order_daily TO platforma_api, platforma_portal;

CREATE TABLE order_event (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  seq integer NOT NULL,
  event_id uuid NOT NULL,
  type text NOT NULL,
  actor text NOT NULL,
  at timestamp with time zone NOT NULL,
  causation_id uuid,
  correlation_id uuid,
  traceparent text NOT NULL,
  data json NOT NULL,
  CONSTRAINT order_event_pkey PRIMARY KEY (tenant_id, order_id, seq),
  CONSTRAINT order_event_data_check CHECK ((octet_length((data)::text) <= 65536))
);
ALTER TABLE order_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_event FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON order_event FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON order_event FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY relay ON order_event FOR SELECT TO platforma_relay;
GRANT INSERT, SELECT ON order_event TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT ON order_event TO platforma_relay;

CREATE TABLE order_items (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  line smallint NOT NULL,
  state smallint NOT NULL,
  product text COLLATE "C" NOT NULL,
  label text NOT NULL,
  label_key text COLLATE "C" GENERATED ALWAYS AS (lower(label)) STORED,
  generation integer NOT NULL,
  snapshot json NOT NULL,
  price_cents bigint NOT NULL,
  progress smallint NOT NULL,
  detail text NOT NULL,
  removed_at timestamp with time zone,
  CONSTRAINT order_items_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT order_items_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT order_items_progress_check CHECK (((progress >= 0) AND (progress <= 100))),
  CONSTRAINT order_items_state_check CHECK (((state >= 1) AND (state <= 11)))
) WITH (fillfactor=80);
CREATE INDEX order_items_label ON order_items USING btree (tenant_id, label_key);
CREATE UNIQUE INDEX order_items_line ON order_items USING btree (tenant_id, order_id, line);
CREATE TRIGGER item_move BEFORE UPDATE OF state ON order_items FOR EACH ROW WHEN ((old.state <> new.state)) EXECUTE FUNCTION item_move();
ALTER TABLE order_items ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_items FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON order_items FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON order_items FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON order_items TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE order_projection (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  created_at timestamp with time zone NOT NULL,
  state smallint NOT NULL,
  currency character(3) NOT NULL,
  due_cents bigint NOT NULL,
  payments integer NOT NULL,
  CONSTRAINT order_projection_pkey PRIMARY KEY (tenant_id, order_id),
  CONSTRAINT order_projection_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT order_projection_payments_check CHECK ((payments >= 0)),
  CONSTRAINT order_projection_state_check CHECK (((state >= 1) AND (state <= 9)))
) WITH (fillfactor=60);
ALTER TABLE order_projection ENABLE ROW LEVEL SECURITY;
ALTER TABLE order_projection FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON order_projection FOR ALL TO platforma_worker;
CREATE POLICY one ON order_projection FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON order_projection TO platforma_worker;

CREATE TABLE orders (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  number text COLLATE "C" NOT NULL,
  external_id text COLLATE "C",
  customer_id uuid NOT NULL,
  state smallint NOT NULL,
  outcome smallint NOT NULL,
  settlement smallint NOT NULL,
  policy smallint NOT NULL,
  closing smallint NOT NULL,
  method text NOT NULL,
  version integer NOT NULL,
  last_seq integer NOT NULL,
  currency character(3) NOT NULL,
  due_cents bigint NOT NULL,
  fx_rate text,
  fx_source text,
  fx_at timestamp with time zone,
  faults json,
  held_at timestamp with time zone,
  expires_at timestamp with time zone,
  delivery_stuck boolean NOT NULL,
  created_at timestamp with time zone NOT NULL,
  updated_at timestamp with time zone NOT NULL,
  deleted_at timestamp with time zone,
  CONSTRAINT orders_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT orders_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id),
  CONSTRAINT orders_closing_check CHECK (((closing >= 0) AND (closing <= 2))),
  CONSTRAINT orders_fx_whole CHECK ((((fx_rate IS NULL) = (fx_at IS NULL)) AND ((fx_rate IS NULL) = (fx_source IS NULL)))),
  CONSTRAINT orders_outcome_check CHECK (((outcome >= 0) AND (outcome <= 2))),
  CONSTRAINT orders_policy_check CHECK (((policy >= 0) AND (policy <= 1))),
  CONSTRAINT orders_settlement_check CHECK (((settlement >= 0) AND (settlement <= 3))),
  CONSTRAINT orders_state_check CHECK (((state >= 1) AND (state <= 9)))
) WITH (fillfactor=85);
CREATE INDEX orders_customer ON orders USING btree (tenant_id, customer_id, id DESC);
CREATE INDEX orders_expiry ON orders USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE UNIQUE INDEX orders_external ON orders USING btree (tenant_id, external_id) WHERE (external_id IS NOT NULL);
CREATE UNIQUE INDEX orders_number ON orders USING btree (tenant_id, number);
CREATE INDEX orders_settlement ON orders USING btree (tenant_id, settlement, id DESC) WHERE (settlement = ANY (ARRAY[1, 3]));
CREATE INDEX orders_state ON orders USING btree (tenant_id, state, id DESC);
CREATE TRIGGER order_move BEFORE UPDATE OF state ON orders FOR EACH ROW WHEN ((old.state <> new.state)) EXECUTE FUNCTION order_move();
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON orders FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON orders FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON orders FOR SELECT TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON orders TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT ON orders TO platforma_system;

CREATE TABLE outbox (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  seq integer,
  dead_letter_id uuid,
  CONSTRAINT outbox_pkey PRIMARY KEY (id),
  CONSTRAINT outbox_check CHECK (((seq IS NULL) <> (dead_letter_id IS NULL)))
) WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=5000);
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON outbox FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON outbox FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY relay ON outbox FOR ALL TO platforma_relay;
GRANT DELETE, SELECT ON outbox TO platforma_relay;
GRANT INSERT ON outbox TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE payment_webhooks (
  provider text NOT NULL,
  event_id text NOT NULL,
  headers json NOT NULL,
  raw bytea NOT NULL,
  received_at timestamp with time zone NOT NULL,
  done_at timestamp with time zone,
  CONSTRAINT payment_webhooks_pkey PRIMARY KEY (provider, event_id)
);
CREATE INDEX payment_webhooks_open ON payment_webhooks USING btree (received_at) WHERE (done_at IS NULL);
GRANT INSERT ON payment_webhooks TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON payment_webhooks TO platforma_worker;

CREATE TABLE payments (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  state smallint NOT NULL,
  provider text NOT NULL,
  reference text NOT NULL,
  method text NOT NULL,
  due_cents bigint NOT NULL,
  paid_cents bigint NOT NULL,
  currency character(3) NOT NULL,
  paid_at timestamp with time zone NOT NULL,
  CONSTRAINT payments_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT payments_reference UNIQUE (tenant_id, reference, provider),
  CONSTRAINT payments_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT payments_state_check CHECK (((state >= 1) AND (state <= 3)))
);
CREATE UNIQUE INDEX payments_live ON payments USING btree (tenant_id, order_id) WHERE (state = 1);
CREATE INDEX payments_order ON payments USING btree (tenant_id, order_id);
ALTER TABLE payments ENABLE ROW LEVEL SECURITY;
ALTER TABLE payments FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON payments FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON payments FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT ON payments TO platforma_api, platforma_portal, platforma_worker;
GRANT UPDATE (state) ON payments TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE provider_accounts (
  provider text COLLATE "C" NOT NULL,
  region text COLLATE "C" NOT NULL,
  tokens double precision NOT NULL DEFAULT 0,
  taken integer NOT NULL DEFAULT 0,
  refilled_at timestamp with time zone,
  open boolean NOT NULL DEFAULT false,
  open_until timestamp with time zone,
  level smallint NOT NULL DEFAULT 0,
  moves integer NOT NULL DEFAULT 0,
  CONSTRAINT provider_accounts_pkey PRIMARY KEY (provider, region)
) WITH (fillfactor=50);
GRANT INSERT, SELECT, UPDATE ON provider_accounts TO platforma_worker;

CREATE TABLE reaper_findings (
  provider text COLLATE "C" NOT NULL,
  ref text COLLATE "C" NOT NULL,
  kind smallint NOT NULL,
  item uuid,
  step text NOT NULL,
  generation integer NOT NULL,
  first_seen timestamp with time zone NOT NULL,
  last_seen timestamp with time zone NOT NULL,
  settled_at timestamp with time zone,
  CONSTRAINT reaper_findings_pkey PRIMARY KEY (provider, ref, kind),
  CONSTRAINT reaper_findings_kind_check CHECK (((kind >= 1) AND (kind <= 3)))
);
GRANT INSERT, SELECT, UPDATE ON reaper_findings TO platforma_worker;

CREATE TABLE refund_projection (
  tenant_id uuid NOT NULL,
  refund_id uuid NOT NULL,
  accepted_at timestamp with time zone NOT NULL,
  counts boolean NOT NULL,
  CONSTRAINT refund_projection_pkey PRIMARY KEY (tenant_id, refund_id),
  CONSTRAINT refund_projection_tenant_id_refund_id_fkey FOREIGN KEY (tenant_id, refund_id) REFERENCES refunds(tenant_id, id)
);
ALTER TABLE refund_projection ENABLE ROW LEVEL SECURITY;
ALTER TABLE refund_projection FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON refund_projection FOR ALL TO platforma_worker;
CREATE POLICY one ON refund_projection FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON refund_projection TO platforma_worker;

CREATE TABLE refunds (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  payment_id uuid NOT NULL,
  item_id uuid NOT NULL,
  state smallint NOT NULL,
  reference text NOT NULL,
  cents bigint NOT NULL,
  currency character(3) NOT NULL,
  accepted_at timestamp with time zone,
  CONSTRAINT refunds_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT refunds_once UNIQUE (tenant_id, payment_id, item_id),
  CONSTRAINT refunds_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT refunds_tenant_id_payment_id_item_id_fkey FOREIGN KEY (tenant_id, payment_id, item_id) REFERENCES allocations(tenant_id, payment_id, item_id),
  CONSTRAINT refunds_cents_check CHECK ((cents >= 0)),
  CONSTRAINT refunds_state_check CHECK (((state >= 1) AND (state <= 4)))
);
CREATE INDEX refunds_accepted ON refunds USING btree (tenant_id, id) WHERE (state = 2);
CREATE INDEX refunds_order ON refunds USING btree (tenant_id, order_id);
ALTER TABLE refunds ENABLE ROW LEVEL SECURITY;
ALTER TABLE refunds FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON refunds FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON refunds FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT ON refunds TO platforma_api, platforma_portal, platforma_worker;
GRANT UPDATE (state, reference, accepted_at) ON refunds TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE refused_record (
  consumer text NOT NULL,
  topic_id uuid NOT NULL,
  part integer NOT NULL,
  off bigint NOT NULL,
  code text NOT NULL,
  headers json NOT NULL,
  data_sha256 bytea NOT NULL,
  at timestamp with time zone NOT NULL,
  CONSTRAINT refused_record_pkey PRIMARY KEY (consumer, topic_id, part, off)
);
GRANT INSERT, SELECT ON refused_record TO platforma_worker;

CREATE TABLE relays (
  shard smallint NOT NULL,
  epoch bigint NOT NULL,
  batch bigint NOT NULL,
  rebuilding boolean NOT NULL DEFAULT false,
  CONSTRAINT relays_pkey PRIMARY KEY (shard)
);
GRANT INSERT, SELECT, UPDATE ON relays TO platforma_relay;

CREATE TABLE revenue_daily (
  tenant_id uuid NOT NULL,
  day date NOT NULL,
  currency character(3) NOT NULL,
  captured_cents bigint NOT NULL,
  refunded_cents bigint NOT NULL,
  CONSTRAINT revenue_daily_pkey PRIMARY KEY (tenant_id, day, currency)
) WITH (fillfactor=50);
ALTER TABLE revenue_daily ENABLE ROW LEVEL SECURITY;
ALTER TABLE revenue_daily FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON revenue_daily FOR ALL TO platforma_worker;
CREATE POLICY one ON revenue_daily FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON revenue_daily TO platforma_worker;
GRANT SELECT ON revenue_daily TO platforma_api, platforma_portal;

CREATE TABLE rollup (
  tenant_id uuid NOT NULL,
  asked_zone text NOT NULL,
  time_zone text NOT NULL,
  counted_at timestamp with time zone NOT NULL,
  CONSTRAINT rollup_pkey PRIMARY KEY (tenant_id),
  CONSTRAINT rollup_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id)
);
ALTER TABLE rollup ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON rollup FOR ALL TO platforma_worker;
CREATE POLICY one ON rollup FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON rollup TO platforma_worker;
GRANT SELECT ON rollup TO platforma_api, platforma_portal;

CREATE TABLE saga_log (
  tenant_id uuid NOT NULL,
  order_id uuid NOT NULL,
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  task_id uuid NOT NULL,
  at timestamp with time zone NOT NULL,
  step text NOT NULL,
  what smallint NOT NULL,
  class text NOT NULL,
  key text NOT NULL,
  note text NOT NULL,
  took_ms bigint NOT NULL,
  next_at timestamp with time zone,
  CONSTRAINT saga_log_pkey PRIMARY KEY (tenant_id, order_id, id),
  CONSTRAINT saga_log_tenant_id_task_id_fkey FOREIGN KEY (tenant_id, task_id) REFERENCES saga_tasks(tenant_id, id),
  CONSTRAINT saga_log_what_check CHECK (((what >= 1) AND (what <= 4)))
);
ALTER TABLE saga_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE saga_log FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON saga_log FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON saga_log FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT ON saga_log TO platforma_api, platforma_portal, platforma_worker;

CREATE TABLE saga_resources (
  tenant_id uuid NOT NULL,
  task_id uuid NOT NULL,
  step text NOT NULL,
  generation integer NOT NULL,
  key text NOT NULL,
  phase smallint NOT NULL,
  refs text[] NOT NULL,
  called_at timestamp with time zone,
  settle_until timestamp with time zone,
  absent_since timestamp with time zone,
  CONSTRAINT saga_resources_pkey PRIMARY KEY (tenant_id, task_id, step, generation),
  CONSTRAINT saga_resources_tenant_id_task_id_fkey FOREIGN KEY (tenant_id, task_id) REFERENCES saga_tasks(tenant_id, id),
  CONSTRAINT saga_resources_phase_check CHECK (((phase >= 1) AND (phase <= 5)))
) WITH (fillfactor=70);
ALTER TABLE saga_resources ENABLE ROW LEVEL SECURITY;
ALTER TABLE saga_resources FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON saga_resources FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON saga_resources FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON saga_resources TO platforma_worker;
GRANT SELECT ON saga_resources TO platforma_api, platforma_portal;

CREATE TABLE saga_tasks (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  order_id uuid NOT NULL,
  item_id uuid,
  payment_id uuid,
  subject_id uuid,
  kind smallint NOT NULL,
  provider text COLLATE "C" NOT NULL,
  state smallint NOT NULL,
  step smallint NOT NULL,
  try smallint NOT NULL,
  compensating boolean NOT NULL,
  sent boolean NOT NULL,
  epoch bigint NOT NULL,
  next_at timestamp with time zone,
  deadline_at timestamp with time zone,
  waited_ms bigint NOT NULL,
  cause uuid,
  progress smallint NOT NULL,
  detail text NOT NULL,
  asserted_step text NOT NULL DEFAULT ''::text,
  asserted_ref text NOT NULL DEFAULT ''::text,
  CONSTRAINT saga_tasks_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT saga_tasks_tenant_id_item_id_fkey FOREIGN KEY (tenant_id, item_id) REFERENCES order_items(tenant_id, id),
  CONSTRAINT saga_tasks_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT saga_tasks_tenant_id_payment_id_fkey FOREIGN KEY (tenant_id, payment_id) REFERENCES payments(tenant_id, id),
  CONSTRAINT saga_tasks_assertion CHECK ((((asserted_step = ''::text) = (asserted_ref = ''::text)) AND ((asserted_ref = ''::text) OR (kind = 2)))),
  CONSTRAINT saga_tasks_kind_check CHECK (((kind >= 1) AND (kind <= 8))),
  CONSTRAINT saga_tasks_state_check CHECK (((state >= 0) AND (state <= 3)))
) WITH (fillfactor=70);
CREATE INDEX saga_tasks_due ON saga_tasks USING btree (provider, tenant_id, id) WHERE (state = ANY (ARRAY[0, 1]));
CREATE UNIQUE INDEX saga_tasks_live ON saga_tasks USING btree (tenant_id, order_id, kind, item_id, payment_id, subject_id) NULLS NOT DISTINCT WHERE (state <> 3);
CREATE INDEX saga_tasks_order ON saga_tasks USING btree (tenant_id, order_id);
ALTER TABLE saga_tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE saga_tasks FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON saga_tasks FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON saga_tasks FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON saga_tasks FOR SELECT TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON saga_tasks TO platforma_api, platforma_portal, platforma_worker;
GRANT SELECT ON saga_tasks TO platforma_system;

CREATE TABLE settings (
  tenant_id uuid NOT NULL,
  body json NOT NULL,
  version integer NOT NULL,
  CONSTRAINT settings_pkey PRIMARY KEY (tenant_id),
  CONSTRAINT settings_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id)
);
ALTER TABLE settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE settings FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON settings FOR ALL TO platforma_audit, platforma_delivery, platforma_worker;
CREATE POLICY one ON settings FOR ALL TO platforma_api, platforma_portal;
GRANT INSERT, SELECT, UPDATE ON settings TO platforma_api, platforma_portal;
GRANT SELECT ON settings TO platforma_worker;

CREATE TABLE tenants (
  id uuid NOT NULL,
  slug text COLLATE "C" NOT NULL,
  created_at timestamp with time zone NOT NULL,
  CONSTRAINT tenants_pkey PRIMARY KEY (id),
  CONSTRAINT tenants_slug_key UNIQUE (slug)
);
GRANT SELECT ON tenants TO platforma_api, platforma_audit, platforma_portal, platforma_system, platforma_worker;

CREATE TABLE webhook_call (
  tenant_id uuid NOT NULL,
  delivery_id uuid NOT NULL,
  n integer NOT NULL,
  at timestamp with time zone NOT NULL,
  status smallint,
  result text NOT NULL,
  took_ms bigint NOT NULL,
  excerpt text NOT NULL,
  CONSTRAINT webhook_call_pkey PRIMARY KEY (tenant_id, delivery_id, n),
  CONSTRAINT webhook_call_tenant_id_delivery_id_fkey FOREIGN KEY (tenant_id, delivery_id) REFERENCES webhook_delivery(tenant_id, id),
  CONSTRAINT webhook_call_excerpt_check CHECK ((octet_length(excerpt) <= 4096))
);
ALTER TABLE webhook_call ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_call FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON webhook_call FOR ALL TO platforma_worker;
CREATE POLICY one ON webhook_call FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON webhook_call FOR ALL TO platforma_system;
GRANT DELETE, SELECT ON webhook_call TO platforma_system;
GRANT INSERT, SELECT ON webhook_call TO platforma_worker;
GRANT SELECT ON webhook_call TO platforma_api, platforma_portal;

CREATE TABLE webhook_delivery (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  order_id uuid NOT NULL,
  seq integer NOT NULL,
  event_id uuid NOT NULL,
  type text NOT NULL,
  state smallint NOT NULL,
  calls integer NOT NULL,
  last_status smallint,
  last_result text NOT NULL,
  created_at timestamp with time zone NOT NULL,
  next_at timestamp with time zone,
  done_at timestamp with time zone,
  CONSTRAINT webhook_delivery_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT webhook_delivery_tenant_id_endpoint_id_event_id_key UNIQUE (tenant_id, endpoint_id, event_id),
  CONSTRAINT webhook_delivery_tenant_id_endpoint_id_fkey FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint(tenant_id, id),
  CONSTRAINT webhook_delivery_tenant_id_order_id_fkey FOREIGN KEY (tenant_id, order_id) REFERENCES orders(tenant_id, id),
  CONSTRAINT webhook_delivery_state_check CHECK (((state >= 0) AND (state <= 3)))
) WITH (fillfactor=70);
CREATE INDEX webhook_delivery_done ON webhook_delivery USING btree (done_at) WHERE (state <> 0);
CREATE INDEX webhook_delivery_log ON webhook_delivery USING btree (tenant_id, endpoint_id, id DESC);
CREATE INDEX webhook_delivery_pending ON webhook_delivery USING btree (tenant_id, endpoint_id) WHERE (state = 0);
ALTER TABLE webhook_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON webhook_delivery FOR ALL TO platforma_worker;
CREATE POLICY one ON webhook_delivery FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON webhook_delivery FOR ALL TO platforma_system;
GRANT DELETE, SELECT ON webhook_delivery TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON webhook_delivery TO platforma_worker;
GRANT SELECT, UPDATE ON webhook_delivery TO platforma_api, platforma_portal;

CREATE TABLE webhook_endpoint (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  version integer NOT NULL,
  url text NOT NULL,
  description text NOT NULL,
  types text[] NOT NULL,
  state smallint NOT NULL,
  why text NOT NULL,
  since timestamp with time zone NOT NULL,
  failures integer NOT NULL,
  resting_until timestamp with time zone,
  created_at timestamp with time zone NOT NULL,
  updated_at timestamp with time zone NOT NULL,
  deleted_at timestamp with time zone,
  CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT webhook_endpoint_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES tenants(id),
  CONSTRAINT webhook_endpoint_check CHECK (((state = 1) = (why = ''::text))),
  CONSTRAINT webhook_endpoint_state_check CHECK (((state >= 1) AND (state <= 3))),
  CONSTRAINT webhook_endpoint_url_check CHECK ((octet_length(url) <= 8192)),
  CONSTRAINT webhook_endpoint_why_check CHECK ((why = ANY (ARRAY[''::text, 'exhausted'::text, 'gone'::text, 'by-hand'::text])))
) WITH (fillfactor=70);
ALTER TABLE webhook_endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoint FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON webhook_endpoint FOR ALL TO platforma_worker;
CREATE POLICY one ON webhook_endpoint FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON webhook_endpoint FOR SELECT TO platforma_system;
GRANT INSERT, SELECT, UPDATE ON webhook_endpoint TO platforma_api, platforma_portal;
GRANT SELECT ON webhook_endpoint TO platforma_worker;
GRANT SELECT (tenant_id, id, deleted_at) ON webhook_endpoint TO platforma_system;
GRANT UPDATE (version, state, why, since, failures, resting_until, updated_at) ON webhook_endpoint TO platforma_worker;

CREATE TABLE webhook_secret (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  wrapped bytea,
  sealed bytea,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone,
  CONSTRAINT webhook_secret_pkey PRIMARY KEY (tenant_id, id),
  CONSTRAINT webhook_secret_tenant_id_endpoint_id_fkey FOREIGN KEY (tenant_id, endpoint_id) REFERENCES webhook_endpoint(tenant_id, id),
  CONSTRAINT webhook_secret_check CHECK ((((wrapped IS NULL) = (sealed IS NULL)) AND ((sealed IS NOT NULL) OR (expires_at IS NOT NULL))))
);
CREATE INDEX webhook_secret_endpoint ON webhook_secret USING btree (tenant_id, endpoint_id, id DESC);
CREATE INDEX webhook_secret_expired ON webhook_secret USING btree (expires_at) WHERE (wrapped IS NOT NULL);
CREATE UNIQUE INDEX webhook_secret_present ON webhook_secret USING btree (tenant_id, endpoint_id) WHERE (expires_at IS NULL);
ALTER TABLE webhook_secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_secret FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON webhook_secret FOR ALL TO platforma_worker;
CREATE POLICY one ON webhook_secret FOR ALL TO platforma_api, platforma_portal;
CREATE POLICY system ON webhook_secret FOR ALL TO platforma_system;
GRANT INSERT ON webhook_secret TO platforma_api, platforma_portal;
GRANT SELECT ON webhook_secret TO platforma_worker;
GRANT SELECT (tenant_id, id, endpoint_id, created_at, expires_at) ON webhook_secret TO platforma_api, platforma_portal;
GRANT SELECT (wrapped, expires_at) ON webhook_secret TO platforma_system;
GRANT UPDATE (wrapped, sealed) ON webhook_secret TO platforma_system;
GRANT UPDATE (wrapped, sealed, expires_at) ON webhook_secret TO platforma_api, platforma_portal;

-- function bucket(tokens double precision, refilled_at timestamp with time zone, now timestamp with time zone, per_second double precision, burst double precision) returns double precision, language sql, owner platforma_owner
GRANT EXECUTE ON FUNCTION bucket TO platforma_worker;

-- function credential_destroyed() returns trigger, language plpgsql, owner platforma_owner

-- function due_tasks(queue text, s smallint, now timestamp with time zone, per_tenant integer) returns TABLE(tenant_id uuid, id uuid), language sql, with the rights of its owner, owner platforma_system
GRANT EXECUTE ON FUNCTION due_tasks TO platforma_worker;

-- function expired_orders(now timestamp with time zone, n integer) returns TABLE(tenant_id uuid, id uuid), language sql, with the rights of its owner, owner platforma_system
GRANT EXECUTE ON FUNCTION expired_orders TO platforma_worker;

-- function find_actor(h bytea, now timestamp with time zone) returns TABLE(tenant_id uuid, member_id uuid, key_id uuid), language sql, with the rights of its owner, owner platforma_system
GRANT EXECUTE ON FUNCTION find_actor TO platforma_api, platforma_portal;

-- function item_move() returns trigger, language plpgsql, owner platforma_owner

-- function must(ok boolean, what text) returns void, language plpgsql, owner platforma_owner
GRANT EXECUTE ON FUNCTION must TO platforma_api, platforma_portal, platforma_relay, platforma_worker;

-- function order_move() returns trigger, language plpgsql, owner platforma_owner

-- function purge_expired(before timestamp with time zone, n integer) returns void, language sql, with the rights of its owner, owner platforma_system
GRANT EXECUTE ON FUNCTION purge_expired TO platforma_worker;

-- function purge_webhooks(now timestamp with time zone, before timestamp with time zone, n integer) returns integer, language sql, with the rights of its owner, owner platforma_system
GRANT EXECUTE ON FUNCTION purge_webhooks TO platforma_worker;

-- procedure wall(IN walled regclass), language plpgsql, owner platforma_owner
