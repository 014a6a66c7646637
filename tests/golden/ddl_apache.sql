-- 0001 initial

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

-- 0002 samples

-- Readings in the wide form: a row for each time of a machine, its numbers in an array by slot.
--
-- What stands between "-- only: …" and "-- end" is applied where the database can do that, and nowhere else:
-- plain (declarative partitions), apache (TimescaleDB's free edition: hypertables), timescale (compression and
-- policies too). The functions by week are called alike in all three.

ALTER TABLE machine ADD COLUMN id integer GENERATED ALWAYS AS IDENTITY UNIQUE;

ALTER TABLE series ADD COLUMN slot smallint CHECK (slot > 0);
UPDATE series SET slot = place FROM (
    SELECT id, row_number() OVER (PARTITION BY machine ORDER BY id) AS place FROM series
) AS numbered WHERE numbered.id = series.id;
ALTER TABLE series ALTER COLUMN slot SET NOT NULL, ADD UNIQUE (machine, slot);
COMMENT ON COLUMN series.slot IS 'where this metric''s number stands in sample.values; never changed, never given to another';

-- No foreign key to machine: it would be looked up for every row, and machines are never deleted.
CREATE TABLE sample (
    machine_id integer     NOT NULL,
    ts         timestamptz NOT NULL,
    arrived    timestamptz NOT NULL,
    values     float8[]    NOT NULL,
    PRIMARY KEY (machine_id, ts)
)
;
COMMENT ON COLUMN sample.values IS 'by series.slot; NULL, or beyond the end: no reading';

-- Makes a table with its time in "ts" one that is kept by week. Rows of one "segment" belong together.
CREATE FUNCTION make_weekly(parent text, segment text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM create_hypertable(
        parent::regclass, 'ts', chunk_time_interval => interval '7 days', create_default_indexes => false
    );
END $$;

-- Does nothing: a hypertable makes its own.
CREATE FUNCTION make_week_partition(parent text, week date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
END $$;
-- Keeps what is to be kept: drops the chunks that ended keep_days ago (NULL: keeps all) and answers their names.
CREATE FUNCTION keep_weeks(parent text, now timestamptz, keep_days integer, compress_after_days integer)
RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    IF keep_days IS NOT NULL THEN
        RETURN QUERY SELECT drop_chunks(parent::regclass, older_than => now - make_interval(days => keep_days))::text;
    END IF;
END $$;

SELECT make_weekly('sample', 'machine_id');

-- Readings of the narrow form become rows of the wide one. Of the times of arrival of a row the first is kept.
CREATE FUNCTION by_slot(slots smallint[], numbers float8[]) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
    found float8[] := array_fill(NULL::float8, ARRAY[(SELECT max(slot) FROM unnest(slots) AS slot)]);
BEGIN
    FOR place IN 1 .. cardinality(slots) LOOP
        found[slots[place]] := numbers[place];
    END LOOP;
    RETURN found;
END $$;

DO $$
DECLARE
    week date;
BEGIN
    FOR week IN
        SELECT to_date(right(child.relname, 8), 'YYYYMMDD')
        FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = 'reading'::regclass
        ORDER BY 1
    LOOP
        PERFORM make_week_partition('sample', week);
        INSERT INTO sample (machine_id, ts, arrived, values)
        SELECT machine.id, ts, min(arrived), by_slot(array_agg(slot), array_agg(value))
        FROM reading JOIN series ON series.id = series_id JOIN machine USING (machine)
        WHERE ts >= week::timestamp AT TIME ZONE 'UTC' AND ts < (week + 7)::timestamp AT TIME ZONE 'UTC'
        GROUP BY machine.id, ts
        ORDER BY machine.id, ts;
    END LOOP;
END $$;

DROP FUNCTION by_slot;
DROP FUNCTION make_reading_partition;
DROP FUNCTION drop_reading_partition;
DROP TABLE reading;

-- Numbers of messages that are in the database, noted with the batch they came in; merged into source and removed.
CREATE TABLE numbered_batch (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client text     NOT NULL,
    boot   text     NOT NULL,
    seqs   bigint[] NOT NULL
);

CREATE TABLE source (
    client text        NOT NULL,
    boot   text        NOT NULL,
    seq    bigint      NOT NULL,
    above  bigint[]    NOT NULL DEFAULT '{}',
    ts     timestamptz NOT NULL,
    PRIMARY KEY (client, boot)
);
COMMENT ON TABLE source IS 'up to which number everything a client sent is in the database';
COMMENT ON COLUMN source.above IS 'what is there beyond a hole: first and last number of each stretch, in order';

-- What makes an untimed message known again that the broker delivers twice.
CREATE TABLE redelivery (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session  text      NOT NULL,
    messages bigint    NOT NULL,
    mids     integer[] NOT NULL,
    hashes   bigint[]  NOT NULL
);
COMMENT ON COLUMN redelivery.messages IS 'how many messages of the session had come by then: older rows go by this';
CREATE INDEX redelivery_by_session ON redelivery (session, messages);

-- 0003 rollups

-- Readings rolled up by the minute, quarter of an hour, hour and day (UTC), and how far that has come.

CREATE TABLE rollup_1m (
    series_id  integer     NOT NULL,
    ts         timestamptz NOT NULL,
    last_ts    timestamptz,
    min        float8,
    max        float8,
    sum        float8,
    last       float8,
    energy_kwh float8,
    before_kwh float8,
    count      integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (series_id, ts)
)
;
COMMENT ON TABLE rollup_1m IS 'the readings of a series in a minute; a minute with energy but no reading has count 0';
COMMENT ON COLUMN rollup_1m.energy_kwh IS 'NULL where the series is neither a power nor an energy counter';
COMMENT ON COLUMN rollup_1m.before_kwh IS 'that part of the energy which lies before the last reading of the minute';

SELECT make_weekly('rollup_1m', 'series_id');

CREATE TABLE rollup_15m (
    series_id  integer     NOT NULL,
    ts         timestamptz NOT NULL,
    last_ts    timestamptz,
    min        float8,
    max        float8,
    sum        float8,
    last       float8,
    energy_kwh float8,
    count      integer     NOT NULL,
    PRIMARY KEY (series_id, ts)
);
CREATE TABLE rollup_1h (LIKE rollup_15m INCLUDING ALL);
CREATE TABLE rollup_1d (LIKE rollup_15m INCLUDING ALL);

-- How far it has come. Everything before the frontier is rolled up, or about to be, or noted as dirty; what is
-- before done_… is in that table, but for what is dirty or stale.
CREATE TABLE rollup_state (
    the_only boolean     PRIMARY KEY DEFAULT true CHECK (the_only),
    frontier timestamptz NOT NULL,
    done_1m  timestamptz NOT NULL,
    done_15m timestamptz NOT NULL,
    done_1h  timestamptz NOT NULL,
    done_1d  timestamptz NOT NULL
);
INSERT INTO rollup_state VALUES (true, '2000-01-01Z', '2000-01-01Z', '2000-01-01Z', '2000-01-01Z', '2000-01-01Z');

CREATE TABLE rollup_dirty (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id integer     NOT NULL,
    from_ts    timestamptz NOT NULL,
    to_ts      timestamptz NOT NULL,
    CHECK (from_ts < to_ts)
);
COMMENT ON TABLE rollup_dirty IS 'whole minutes of a machine to be rolled up again: readings came later than the roller';
CREATE INDEX rollup_dirty_by_machine ON rollup_dirty (machine_id);

CREATE TABLE rollup_stale (
    minutes   integer     NOT NULL,
    series_id integer     NOT NULL,
    ts        timestamptz NOT NULL,
    PRIMARY KEY (minutes, series_id, ts)
);
COMMENT ON TABLE rollup_stale IS 'buckets, as wide as their minutes, in which a finer bucket has changed since';

-- How many kWh a unit is: of a power, what one of it comes to in an hour; of a counter, one of it. Two readings of
-- a series are taken together when they lie no farther apart than its reach: a power says nothing of the hours
-- nobody measured it, a counter has gone on counting.
CREATE TABLE energy_unit (
    unit  text     PRIMARY KEY,
    power boolean  NOT NULL,
    kwh   float8   NOT NULL,
    reach interval NOT NULL
);
INSERT INTO energy_unit VALUES
    ('W', true, 0.001, '1 hour'), ('kW', true, 1, '1 hour'), ('MW', true, 1000, '1 hour'),
    ('Wh', false, 0.001, '1 day'), ('kWh', false, 1, '1 day'), ('MWh', false, 1000, '1 day');

-- Answers the frontier and holds it still until the transaction ends. In steps, so that the frontier is read after
-- the lock was waited for.
CREATE FUNCTION hold_rollup_frontier() RETURNS timestamptz LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('enms rollup frontier'));
    RETURN (SELECT frontier FROM rollup_state);
END $$;
