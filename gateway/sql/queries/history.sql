-- name: series_of
-- The series of a machine, each with its unit as announced or as its name tells.
SELECT series.id, series.metric, coalesce(machine.metrics -> series.metric ->> 'unit', series.unit) AS unit
FROM series JOIN machine USING (machine)
WHERE series.machine = %(machine)s
ORDER BY series.metric;

-- name: count_up_to
-- How many readings each series has in [start, end), counted no further than a limit.
SELECT wanted.id AS series_id, counted.readings
FROM unnest(%(series_ids)s::integer[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS readings FROM (
        SELECT 1 FROM reading
        WHERE series_id = wanted.id AND ts >= %(start)s AND ts < %(end)s
        LIMIT %(limit)s
    ) AS few
) AS counted;

-- name: raw_history
-- The readings of series in [start, end), in the order of time.
SELECT wanted.id AS series_id, found.ts, found.value
FROM unnest(%(series_ids)s::integer[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT ts, value FROM reading
    WHERE series_id = wanted.id AND ts >= %(start)s AND ts < %(end)s
    ORDER BY ts
) AS found;

-- name: bucketed_history
-- Smallest, mean, largest and number of the readings of a series in each bucket of [start, end) that has any.
-- The mean is sum / count: avg() also sums squares, which overflow long before the readings do. It is held
-- between smallest and largest, which the last digit of a sum may leave.
SELECT date_bin(%(width)s::interval, ts, %(origin)s::timestamptz) AS bucket,
       min(value),
       least(max(value), greatest(min(value), sum(value) / count(*))) AS mean,
       max(value),
       count(*)
FROM reading
WHERE series_id = %(series_id)s AND ts >= %(start)s AND ts < %(end)s
GROUP BY bucket
ORDER BY bucket;
