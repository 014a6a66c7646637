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
-- only: plain
PARTITION BY RANGE (ts)
-- end
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
