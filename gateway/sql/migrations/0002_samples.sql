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
-- only: plain
PARTITION BY RANGE (ts)
-- end
;
COMMENT ON COLUMN sample.values IS 'by series.slot; NULL, or beyond the end: no reading';

-- only: plain
-- Every table of ours that is kept by week has its time in "ts" and is made PARTITION BY RANGE (ts); here it is
-- told by what its rows belong together, which only matters to the other capabilities.
CREATE FUNCTION make_weekly(parent text, segment text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
END $$;

-- Makes the partition of one week, given its Monday; does nothing where it is there.
-- Attaching, unlike CREATE TABLE … PARTITION OF, does not wait for those who read and write.
CREATE FUNCTION make_week_partition(parent text, week date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    partition_name text := parent || '_' || to_char(week, 'YYYYMMDD');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('enms partitions of ' || parent));
    IF to_regclass(partition_name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition_name, parent);
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, partition_name, week::timestamp AT TIME ZONE 'UTC', (week + 7)::timestamp AT TIME ZONE 'UTC'
    );
END $$;

-- Keeps what is to be kept: drops the weeks that ended keep_days ago (NULL: keeps all) and answers their tables.
-- A week that somebody reads is left for the next time: waiting for him would make all writers wait as well.
CREATE FUNCTION keep_weeks(parent text, now timestamptz, keep_days integer, compress_after_days integer)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    old text;
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR old IN
        SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
        WHERE inhparent = to_regclass(parent)
        AND (to_date(right(child.relname, 8), 'YYYYMMDD') + 7)::timestamp AT TIME ZONE 'UTC'
            <= now - make_interval(days => keep_days)
        ORDER BY child.relname
    LOOP
        BEGIN
            EXECUTE format('DROP TABLE %I', old);
            RETURN NEXT old;
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
    END LOOP;
END $$;
-- end
-- only: apache, timescale
-- Makes a table with its time in "ts" one that is kept by week. Rows of one "segment" belong together.
CREATE FUNCTION make_weekly(parent text, segment text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM create_hypertable(
        parent::regclass, 'ts', chunk_time_interval => interval '7 days', create_default_indexes => false
    );
    -- only: timescale
    EXECUTE format(
        'ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L, timescaledb.compress_orderby = %L)',
        parent, segment, 'ts'
    );
    -- end
END $$;

-- Does nothing: a hypertable makes its own.
CREATE FUNCTION make_week_partition(parent text, week date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
END $$;
-- end
-- only: apache
-- Keeps what is to be kept: drops the chunks that ended keep_days ago (NULL: keeps all) and answers their names.
CREATE FUNCTION keep_weeks(parent text, now timestamptz, keep_days integer, compress_after_days integer)
RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    IF keep_days IS NOT NULL THEN
        RETURN QUERY SELECT drop_chunks(parent::regclass, older_than => now - make_interval(days => keep_days))::text;
    END IF;
END $$;
-- end
-- only: timescale
-- Gives a table one policy of a kind, exactly as wished (NULL: none), and leaves it alone where it has that already.
CREATE FUNCTION set_policy(parent text, kind text, setting text, days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wished interval := make_interval(days => days);
    found  interval;
BEGIN
    SELECT (config ->> setting)::interval INTO found FROM timescaledb_information.jobs
    WHERE hypertable_name = parent AND proc_name = 'policy_' || kind;
    IF found IS NOT DISTINCT FROM wished THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT remove_%s_policy(%L::regclass, if_exists => true)', kind, parent);
    IF wished IS NOT NULL THEN
        EXECUTE format('SELECT add_%s_policy(%L::regclass, %L::interval)', kind, parent, wished);
    END IF;
END $$;

-- Keeps what is to be kept, by policies that the database itself carries out; so it answers nothing.
CREATE FUNCTION keep_weeks(parent text, now timestamptz, keep_days integer, compress_after_days integer)
RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_policy(parent, 'retention', 'drop_after', keep_days);
    PERFORM set_policy(parent, 'compression', 'compress_after', compress_after_days);
END $$;
-- end

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
