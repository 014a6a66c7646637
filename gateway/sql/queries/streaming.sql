-- name: export_series
-- The series of some machines (NULL: all) that have one of some names (NULL: all), by machine and metric.
SELECT series.id AS series_id, machine.id AS machine_id, series.slot, series.machine, series.metric,
       coalesce(machine.metrics -> series.metric ->> 'unit', series.unit) AS unit
FROM series JOIN machine USING (machine)
WHERE (%(machines)s::text[] IS NULL OR series.machine = ANY (%(machines)s))
  AND (%(metrics)s::text[] IS NULL OR series.metric = ANY (%(metrics)s))
ORDER BY series.machine COLLATE "C", series.metric COLLATE "C";

-- name: known_machines
-- Which of these machines there are.
SELECT machine FROM machine WHERE machine = ANY (%(machines)s::text[]);

-- name: raw_chunk
-- The readings of some slots in the first few rows of a machine in [start, end), as columns; and where those
-- rows end. `place` counts the slots as they were asked for, from 1.
WITH chunk AS MATERIALIZED (
    SELECT ts, arrived, values FROM sample
    WHERE machine_id = %(machine_id)s AND ts >= %(start)s AND ts < %(end)s
    ORDER BY ts
    LIMIT %(rows)s
)
SELECT (SELECT count(*) FROM chunk), (SELECT max(ts) FROM chunk),
       array_agg(ts), array_agg(arrived), array_agg(place), array_agg(value)
FROM (
    SELECT ts, arrived, place::integer, values[slot] AS value
    FROM chunk CROSS JOIN unnest(%(slots)s::smallint[]) WITH ORDINALITY AS wanted (slot, place)
) AS found
WHERE value IS NOT NULL;

-- name: rolled_chunk
-- The first few buckets of a series in [start, end) that are whole and rolled up, as columns; and where they end.
-- A bucket with energy and no reading has count 0; NaN stands for what there is none of.
WITH chunk AS MATERIALIZED (
    SELECT * FROM rollup_1m
    WHERE series_id = %(series_id)s AND ts >= %(start)s
      AND ts < least(%(end)s::timestamptz, (SELECT done_1m FROM rollup_state))
    ORDER BY ts
    LIMIT %(rows)s
)
SELECT count(*), max(ts), array_agg(ts), array_agg(count), array_agg(coalesce(min, 'NaN')),
       array_agg(coalesce(least(max, greatest(min, sum / nullif(count, 0))), 'NaN')), array_agg(coalesce(max, 'NaN')),
       array_agg(coalesce(last, 'NaN')), array_agg(coalesce(energy_kwh, 'NaN'))
FROM (SELECT * FROM chunk ORDER BY ts) AS ordered;
