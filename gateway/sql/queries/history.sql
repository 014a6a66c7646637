-- name: series_of
-- The series of a machine, each with its unit as announced or as its name tells, and where its readings are.
SELECT series.id, series.metric, coalesce(machine.metrics -> series.metric ->> 'unit', series.unit) AS unit,
       machine.id AS machine_id, series.slot
FROM series JOIN machine USING (machine)
WHERE series.machine = %(machine)s
ORDER BY series.metric;

-- name: unsettled
-- What of the rollups of some series of a machine must not be used in [start, end): dirty minutes, as 0, and stale
-- buckets by their minutes.
SELECT 0 AS minutes, lower(span) AS start, upper(span) AS "end"
FROM (
    SELECT unnest(range_agg(tstzrange(from_ts, to_ts))) AS span FROM rollup_dirty
    WHERE machine_id = %(machine_id)s AND from_ts < %(end)s AND to_ts > %(start)s
) AS dirty
UNION ALL
SELECT minutes, lower(span), upper(span)
FROM (
    SELECT minutes, unnest(range_agg(tstzrange(ts, ts + make_interval(mins => minutes)))) AS span FROM rollup_stale
    WHERE minutes = ANY(%(levels)s::integer[]) AND series_id = ANY(%(series_ids)s::integer[])
    AND ts < %(end)s AND ts > %(start)s::timestamptz - '1 day'::interval
    GROUP BY minutes
) AS stale
ORDER BY minutes, start;

-- name: history_of_rows
-- What the readings of some slots of a machine in some stretches come to in each bucket that has any. A reading
-- beyond 1e290 makes the sum infinite instead of an error.
SELECT wanted.id AS series_id, date_bin(%(width)s::interval, ts, %(origin)s::timestamptz) AS bucket,
       min(value), max(value), count(*)::integer,
       sum(CASE WHEN abs(value) <= 1e290 THEN value ELSE value * 'Infinity'::float8 END)
FROM unnest(%(series_ids)s::integer[], %(slots)s::integer[]) AS wanted (id, slot)
CROSS JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS stretch (start, "end")
CROSS JOIN LATERAL (
    SELECT ts, values[wanted.slot] AS value FROM sample
    WHERE machine_id = %(machine_id)s AND ts >= stretch.start AND ts < stretch."end"
    AND ts >= %(first)s AND ts < %(last)s
    OFFSET 0
) AS found
WHERE value IS NOT NULL
GROUP BY wanted.id, bucket;

-- name: history_of_level
-- The same from the buckets of a level.
SELECT wanted.id AS series_id, date_bin(%(width)s::interval, ts, %(origin)s::timestamptz) AS bucket,
       min(min), max(max), sum(count)::integer, sum(sum)
FROM unnest(%(series_ids)s::integer[]) AS wanted (id)
CROSS JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS stretch (start, "end")
CROSS JOIN LATERAL (
    SELECT ts, min, max, count, sum FROM rollup_level
    WHERE series_id = wanted.id AND ts >= stretch.start AND ts < stretch."end"
    AND ts >= %(first)s AND ts < %(last)s AND count > 0
    OFFSET 0
) AS found
GROUP BY wanted.id, bucket;

-- name: rows_of_stretches
-- The readings of some slots of a machine in some stretches.
SELECT wanted.id AS series_id, ts, value
FROM unnest(%(series_ids)s::integer[], %(slots)s::integer[]) AS wanted (id, slot)
CROSS JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS stretch (start, "end")
CROSS JOIN LATERAL (
    SELECT ts, values[wanted.slot] AS value FROM sample
    WHERE machine_id = %(machine_id)s AND ts >= stretch.start AND ts < stretch."end"
    AND ts >= %(first)s AND ts < %(last)s
    ORDER BY ts
    OFFSET 0
) AS found
WHERE value IS NOT NULL;

-- name: rows_of_hours
-- The readings of some slots of a machine in some stretches of whole hours that are rolled up. Of a metric that
-- comes once a day, among others that come every second, only the minutes are looked at that have it.
SELECT wanted.id AS series_id, found.ts, value
FROM unnest(%(series_ids)s::integer[], %(slots)s::integer[]) AS wanted (id, slot)
CROSS JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS stretch (start, "end")
CROSS JOIN LATERAL (
    SELECT ts FROM rollup_1h
    WHERE series_id = wanted.id AND ts >= stretch.start AND ts < stretch."end" AND count > 0
    ORDER BY ts
    OFFSET 0
) AS hour
CROSS JOIN LATERAL (
    SELECT ts FROM rollup_1m
    WHERE series_id = wanted.id AND ts >= hour.ts AND ts < hour.ts + '1 hour'::interval
    AND ts >= %(first)s AND ts < %(last)s AND count > 0
    ORDER BY ts
    OFFSET 0
) AS minute
CROSS JOIN LATERAL (
    SELECT ts, values[wanted.slot] AS value FROM sample
    WHERE machine_id = %(machine_id)s AND ts >= minute.ts AND ts < minute.ts + '1 minute'::interval
    AND ts >= %(first)s AND ts < %(last)s
    ORDER BY ts
    OFFSET 0
) AS found
WHERE value IS NOT NULL;
