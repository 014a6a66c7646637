-- name: bench_count
-- How many rows of readings there are.
SELECT count(*) FROM sample;

-- name: bench_there
-- Whether a machine has a row of a time.
SELECT EXISTS (
    SELECT FROM sample JOIN machine ON machine.id = machine_id
    WHERE machine = %(machine)s AND ts = %(ts)s::timestamptz
);

-- name: bench_machine_ids
-- The numbers of machines by their names.
SELECT machine, id FROM machine WHERE machine = ANY(%(machines)s::text[]);

-- name: bench_newer
-- The times of rows of some machines, each after a time of its own.
SELECT machine_id, row.ts
FROM unnest(%(machine_ids)s::integer[], %(since)s::timestamptz[]) AS wanted (machine_id, since)
CROSS JOIN LATERAL (
    SELECT ts FROM sample WHERE sample.machine_id = wanted.machine_id AND ts > since ORDER BY ts
) AS row;

-- name: bench_held
-- Readings and checksum of each metric of each machine: whole hundredths, times 1 + tick % modulus.
SELECT machine, metric, readings, checksum
FROM (
    SELECT
        machine_id, slot, count(value) AS readings,
        sum(round(value * 100)::bigint * (1 + tick %% %(modulus)s))::bigint AS checksum
    FROM (
        SELECT
            machine_id, values,
            ((date_part('epoch', ts) * 1000)::bigint - %(base_ms)s) / %(spacing_ms)s AS tick
        FROM sample
    ) AS timed
    CROSS JOIN LATERAL unnest(values) WITH ORDINALITY AS each (value, slot)
    GROUP BY machine_id, slot
) AS held
JOIN machine ON machine.id = machine_id
JOIN series USING (machine, slot)
WHERE readings > 0;

-- name: bench_fill
-- Fills a span of one metric at a reading a second: a daily wave with a little noise, and a spike of one second.
INSERT INTO sample (machine_id, ts, arrived, values)
SELECT
    machine.id, ts, ts,
    ARRAY[CASE
        WHEN ts = %(spike_at)s::timestamptz THEN %(spike)s::float8
        ELSE round(
            4000 + 2000 * sin(date_part('epoch', ts) / 86400 * 2 * pi())
            + (date_part('epoch', ts)::bigint * 7919 %% 1000) * 0.4::float8
        ) / 100
    END]
FROM machine CROSS JOIN generate_series(
    %(start)s::timestamptz, %(end)s::timestamptz - interval '1 second', interval '1 second'
) AS ts
WHERE machine = %(machine)s;

-- name: bench_week
-- Makes the partition of a week of readings.
SELECT make_week_partition('sample', %(week)s::date);

-- name: bench_without_disk
-- Lets a commit not wait for the disk, in this transaction.
SET LOCAL synchronous_commit = off;

-- name: bench_analyze
-- Tells the planner what there is now.
ANALYZE sample;

-- name: bench_bytes
-- What readings, and everything, take on the disk.
SELECT
    (
        SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
        WHERE inhparent = 'sample'::regclass
    ) AS samples,
    pg_database_size(current_database()) AS all;

-- name: bench_flow_table
-- Where the rival flow keeps its readings: the form of ours, without partitions.
CREATE TABLE flow_sample (
    machine_id integer     NOT NULL,
    ts         timestamptz NOT NULL,
    arrived    timestamptz NOT NULL,
    values     float8[]    NOT NULL,
    PRIMARY KEY (machine_id, ts)
);

-- name: bench_flow_count
-- How many rows the rival flow has stored.
SELECT count(*) FROM flow_sample;

-- name: bench_flow_there
-- Whether the rival flow has stored a row.
SELECT EXISTS (SELECT FROM flow_sample WHERE machine_id = %(machine_id)s AND ts = %(ts)s::timestamptz);

-- name: bench_flow_total
-- The sum of all readings of the rival flow, in hundredths.
SELECT coalesce(sum(round(value * 100)), 0)::bigint FROM flow_sample CROSS JOIN LATERAL unnest(values) AS value;
