-- name: machines
-- All machines, or the one that is named; metrics are those that have a series and those announced.
SELECT machine.machine, name, type, place, rated_power_kw, parent, first_seen,
       coalesce(seen.metrics, '{}') || machine.metrics AS metrics
FROM machine
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(metric, jsonb_build_object('unit', unit)) AS metrics
    FROM series WHERE series.machine = machine.machine
) AS seen ON true
WHERE %(machine)s::text IS NULL OR machine.machine = %(machine)s
ORDER BY machine.machine;

-- name: save_machines
-- Writes down what is known of machines; the first time one was seen can only move back.
INSERT INTO machine (machine, name, type, place, metrics, rated_power_kw, parent, first_seen)
SELECT machine, name, type, place::jsonb, metrics::jsonb, rated_power_kw, parent, first_seen
FROM unnest(
    %(machines)s::text[], %(names)s::text[], %(types)s::text[], %(places)s::text[], %(metrics)s::text[],
    %(rated_power_kw)s::float8[], %(parents)s::text[], %(first_seen)s::timestamptz[]
) AS known (machine, name, type, place, metrics, rated_power_kw, parent, first_seen)
ORDER BY machine
ON CONFLICT (machine) DO UPDATE SET
    name = excluded.name,
    type = excluded.type,
    place = excluded.place,
    metrics = excluded.metrics,
    rated_power_kw = excluded.rated_power_kw,
    parent = excluded.parent,
    first_seen = least(machine.first_seen, excluded.first_seen);

-- name: slots
-- Where the numbers of all metrics of all machines go.
SELECT series.machine, series.metric, machine.id AS machine_id, series.slot
FROM series JOIN machine USING (machine);

-- name: newest_rows
-- The last row of each of these machines that is not from the future.
SELECT wanted.id AS machine_id, last.ts, last.arrived, last.values
FROM unnest(%(machine_ids)s::integer[]) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT ts, arrived, values FROM sample
    WHERE machine_id = wanted.id AND ts <= %(now)s
    ORDER BY ts DESC LIMIT 1
) AS last;

-- name: newest_in_slots
-- The last number in each of these slots of machines, not from the future, among so many of the last rows.
SELECT wanted.machine_id, wanted.slot, last.ts, last.value
FROM unnest(%(machine_ids)s::integer[], %(slots)s::smallint[]) AS wanted (machine_id, slot)
CROSS JOIN LATERAL (
    SELECT ts, value FROM (
        SELECT ts, values[wanted.slot] AS value FROM sample
        WHERE sample.machine_id = wanted.machine_id AND ts <= %(now)s
        ORDER BY ts DESC LIMIT %(rows)s
    ) AS newest
    WHERE value IS NOT NULL
    LIMIT 1
) AS last;

-- name: latest_texts
-- The last text of every field of every machine that is not from the future.
SELECT DISTINCT ON (machine, field) machine, field, ts, text
FROM state_change WHERE ts <= %(now)s
ORDER BY machine, field, ts DESC;
