-- name: add_machines
-- Makes machines that are not there yet; called by their own name until they announce another.
INSERT INTO machine (machine, name, first_seen)
SELECT machine, machine, first_seen FROM unnest(%(machines)s::text[], %(first_seen)s::timestamptz[]) AS new (machine, first_seen)
ORDER BY machine
ON CONFLICT (machine) DO NOTHING
RETURNING machine;

-- name: add_series
-- Makes series that are not there yet.
INSERT INTO series (machine, metric, unit)
SELECT machine, metric, unit
FROM unnest(%(machines)s::text[], %(metrics)s::text[], %(units)s::text[]) AS new (machine, metric, unit)
ORDER BY machine, metric
ON CONFLICT (machine, metric) DO NOTHING
RETURNING machine, metric;

-- name: find_series
-- The ids of series, by machine and metric.
SELECT series.id, series.machine, series.metric
FROM unnest(%(machines)s::text[], %(metrics)s::text[]) AS wanted (machine, metric)
JOIN series USING (machine, metric);

-- name: add_readings
-- Stores readings; what is there already under (series, ts) stays as it is.
INSERT INTO reading (series_id, ts, value, arrived)
SELECT * FROM unnest(%(series_ids)s::integer[], %(ts)s::timestamptz[], %(values)s::float8[], %(arrived)s::timestamptz[])
ON CONFLICT (series_id, ts) DO NOTHING;

-- name: make_partition
-- Makes the partition of the week that begins on a Monday.
SELECT make_reading_partition(%(week)s::date);

-- name: partition_weeks
-- The Mondays of the weeks that have a partition.
SELECT to_date(right(child.relname, 8), 'YYYYMMDD') AS week
FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'reading'::regclass
ORDER BY week;

-- name: latest_states
-- The last text of each of these fields.
SELECT wanted.machine, wanted.field, last.ts, last.text
FROM unnest(%(machines)s::text[], %(fields)s::text[]) AS wanted (machine, field)
CROSS JOIN LATERAL (
    SELECT ts, text FROM state_change
    WHERE state_change.machine = wanted.machine AND state_change.field = wanted.field
    ORDER BY ts DESC LIMIT 1
) AS last;

-- name: add_state
-- Keeps a text that differs from the one before it.
INSERT INTO state_change (machine, field, ts, text)
SELECT %(machine)s, %(field)s, %(ts)s::timestamptz, %(text)s
WHERE %(text)s::text IS DISTINCT FROM (
    SELECT text FROM state_change
    WHERE machine = %(machine)s AND field = %(field)s AND ts < %(ts)s::timestamptz
    ORDER BY ts DESC LIMIT 1
)
ON CONFLICT (machine, field, ts) DO NOTHING;

-- name: add_rejected
-- Keeps what was refused.
INSERT INTO rejected (ts, source, topic, reason, text, field, head, size_bytes, count)
VALUES (%(ts)s, %(source)s, %(topic)s, %(reason)s, %(text)s, %(field)s, %(head)s, %(size_bytes)s, %(count)s);
