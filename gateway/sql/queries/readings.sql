-- name: add_machines
-- Makes machines that are not there yet; called by their own name until they announce another.
INSERT INTO machine (machine, name, first_seen)
SELECT machine, machine, first_seen FROM unnest(%(machines)s::text[], %(first_seen)s::timestamptz[]) AS new (machine, first_seen)
ORDER BY machine
ON CONFLICT (machine) DO NOTHING
RETURNING machine;

-- name: lock_machines
-- Lets one writer at a time give out slots of these machines.
SELECT FROM machine WHERE machine = ANY(%(machines)s::text[]) ORDER BY machine FOR NO KEY UPDATE;

-- name: add_series
-- Makes series that are not there yet, in the order given; each gets the next slot of its machine.
INSERT INTO series (machine, metric, unit, slot)
SELECT new.machine, new.metric, new.unit,
       (SELECT coalesce(max(slot), 0) FROM series WHERE series.machine = new.machine)
       + row_number() OVER (PARTITION BY new.machine ORDER BY place)
FROM unnest(%(machines)s::text[], %(metrics)s::text[], %(units)s::text[])
    WITH ORDINALITY AS new (machine, metric, unit, place)
WHERE NOT EXISTS (SELECT FROM series WHERE series.machine = new.machine AND series.metric = new.metric)
RETURNING machine, metric, slot;

-- name: find_slots
-- Where the numbers of metrics go, by machine and metric.
SELECT series.machine, series.metric, machine.id AS machine_id, series.slot
FROM unnest(%(machines)s::text[], %(metrics)s::text[]) AS wanted (machine, metric)
JOIN series USING (machine, metric)
JOIN machine USING (machine);

-- name: copy_samples
-- Stores rows, which must all be new and sorted, so that two writers never wait for each other in a ring.
COPY sample (machine_id, ts, arrived, values) FROM STDIN (FORMAT binary);

-- name: make_pending
-- Where a connection puts the rows of a batch before they are compared with what is there.
CREATE TEMPORARY TABLE IF NOT EXISTS pending (LIKE sample) ON COMMIT DELETE ROWS;

-- name: copy_pending
-- Takes the rows of a batch.
COPY pending (machine_id, ts, arrived, values) FROM STDIN (FORMAT binary);

-- name: add_samples
-- Stores rows; what is there already under (machine_id, ts) stays as it is. Answers how many rows and
-- how many numbers that were.
-- Sorted, so that two writers never wait for each other in a ring.
WITH went_in AS (
    INSERT INTO sample (machine_id, ts, arrived, values)
    SELECT machine_id, ts, arrived, values FROM pending
    ORDER BY machine_id, ts
    ON CONFLICT (machine_id, ts) DO NOTHING
    RETURNING values
)
SELECT count(*), coalesce(sum(cardinality(array_remove(values, NULL))), 0)::bigint FROM went_in;

-- name: merge_samples
-- Adds to the rows that are there what they do not have yet; a slot that has a number keeps it.
-- Rows of `pending` that went in whole have nothing to add. Locked in order, as they are stored. Answers how many
-- numbers were added.
WITH found AS MATERIALIZED (
    SELECT sample.machine_id, sample.ts, sample.values AS had, pending.values AS given
    FROM pending JOIN sample ON sample.machine_id = pending.machine_id AND sample.ts = pending.ts
    WHERE sample.ts BETWEEN %(first)s::timestamptz AND %(last)s::timestamptz
    AND EXISTS (
        SELECT FROM unnest(sample.values, pending.values) AS cell (old, new) WHERE old IS NULL AND new IS NOT NULL
    )
    ORDER BY sample.machine_id, sample.ts
    FOR UPDATE OF sample
), merged AS MATERIALIZED (
    SELECT machine_id, ts, each.*
    FROM found CROSS JOIN LATERAL (
        SELECT array_agg(coalesce(old, new) ORDER BY slot) AS values,
               count(new) FILTER (WHERE old IS NULL) AS added
        FROM unnest(had, given) WITH ORDINALITY AS cell (old, new, slot)
    ) AS each
), changed AS (
    UPDATE sample SET values = merged.values FROM merged
    WHERE sample.machine_id = merged.machine_id AND sample.ts = merged.ts
    AND sample.ts BETWEEN %(first)s::timestamptz AND %(last)s::timestamptz
)
SELECT coalesce(sum(added), 0)::bigint FROM merged;

-- name: make_partition
-- Makes the partition of the week that begins on a Monday.
SELECT make_week_partition(%(parent)s, %(week)s::date);

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
