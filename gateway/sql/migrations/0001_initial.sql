-- Machines, their series, readings in weekly partitions, states, anomalies, refusals, accounts, audit.

CREATE TABLE machine (
    machine        text PRIMARY KEY,
    name           text NOT NULL,
    type           text,
    place          jsonb,
    metrics        jsonb NOT NULL DEFAULT '{}',
    rated_power_kw float8,
    parent         text,
    first_seen     timestamptz NOT NULL
);
COMMENT ON COLUMN machine.metrics IS 'what was announced of metrics; units of the others follow from their names';

CREATE TABLE series (
    id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine text NOT NULL REFERENCES machine,
    metric  text NOT NULL,
    unit    text NOT NULL,
    UNIQUE (machine, metric)
);

-- No foreign key to series: it would be looked up for every reading, and series are never deleted.
CREATE TABLE reading (
    series_id integer     NOT NULL,
    ts        timestamptz NOT NULL,
    value     float8      NOT NULL,
    arrived   timestamptz NOT NULL,
    PRIMARY KEY (series_id, ts)
) PARTITION BY RANGE (ts);

-- Makes the partition of one week, given its Monday; does nothing where it is there.
-- Attaching, unlike CREATE TABLE … PARTITION OF, does not wait for those who read and write.
CREATE FUNCTION make_reading_partition(week date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition_name text := 'reading_' || to_char(week, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('enms reading partitions'));
    IF to_regclass(partition_name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE reading INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition_name);
    EXECUTE format(
        'ALTER TABLE reading ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        partition_name, week::timestamp AT TIME ZONE 'UTC', (week + 7)::timestamp AT TIME ZONE 'UTC'
    );
END $$;

-- Drops the partition of one week, given its Monday; answers whether there was one.
CREATE FUNCTION drop_reading_partition(week date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    partition_name text := 'reading_' || to_char(week, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('enms reading partitions'));
    IF to_regclass(partition_name) IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE %I', partition_name);
    RETURN true;
END $$;

CREATE TABLE state_change (
    machine text        NOT NULL REFERENCES machine,
    field   text        NOT NULL,
    ts      timestamptz NOT NULL,
    text    text        NOT NULL,
    PRIMARY KEY (machine, field, ts)
);
COMMENT ON TABLE state_change IS 'a text of a machine, kept when it differs from the one before it';

CREATE TABLE anomaly_event (
    anomaly_id text        NOT NULL,
    phase      text        NOT NULL CHECK (phase IN ('opened', 'updated', 'closed')),
    ts         timestamptz NOT NULL,
    machine    text        NOT NULL,
    body       jsonb       NOT NULL,
    PRIMARY KEY (anomaly_id, phase, ts)
);

CREATE TABLE anomaly (
    anomaly_id text PRIMARY KEY,
    machine    text        NOT NULL,
    started_at timestamptz NOT NULL,
    last_at    timestamptz NOT NULL,
    phase_rank smallint    NOT NULL,
    body       jsonb       NOT NULL
);
COMMENT ON TABLE anomaly IS 'each episode with the latest of its events';
CREATE INDEX anomaly_by_machine ON anomaly (machine, started_at DESC);
CREATE INDEX anomaly_by_start ON anomaly (started_at DESC);

CREATE TABLE rejected (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ts         timestamptz NOT NULL,
    source     text        NOT NULL,
    topic      text        NOT NULL,
    reason     text        NOT NULL,
    text       text        NOT NULL,
    field      text,
    head       text        NOT NULL,
    size_bytes integer     NOT NULL,
    count      integer     NOT NULL
);
CREATE INDEX rejected_by_time ON rejected (ts);
CREATE INDEX rejected_by_source ON rejected (source, ts);

CREATE TABLE account (
    name          text PRIMARY KEY,
    role          text        NOT NULL,
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL,
    disabled      boolean     NOT NULL DEFAULT false
);

CREATE TABLE session (
    token_hash bytea PRIMARY KEY,
    account    text        NOT NULL REFERENCES account ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_by_expiry ON session (expires_at);
CREATE INDEX session_by_account ON session (account);

-- Outlives its session and its account: until it is removed here, the broker may still know it.
CREATE TABLE broker_login (
    username   text PRIMARY KEY,
    account    text        NOT NULL,
    token_hash bytea,
    expires_at timestamptz NOT NULL
);
CREATE INDEX broker_login_by_expiry ON broker_login (expires_at);

CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ts      timestamptz NOT NULL,
    actor   text        NOT NULL,
    action  text        NOT NULL,
    subject text        NOT NULL,
    details jsonb       NOT NULL
);
CREATE INDEX audit_by_time ON audit (ts);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only added to: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
