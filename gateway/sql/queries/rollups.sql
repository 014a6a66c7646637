-- name: hold_frontier
-- Answers before which time rows must be noted as dirty, and holds that still until the transaction ends.
SELECT hold_rollup_frontier();

-- name: note_dirty
-- Notes minutes of machines to be rolled up again.
INSERT INTO rollup_dirty (machine_id, from_ts, to_ts)
SELECT * FROM unnest(%(machine_ids)s::integer[], %(from_ts)s::timestamptz[], %(to_ts)s::timestamptz[]);

-- name: roller_lock
-- Whether this transaction is the one that may roll up.
SELECT pg_try_advisory_xact_lock(hashtext('enms roller'));

-- name: rollup_planning
-- What the statements of the roller are written for, until the transaction ends. A sum depends on the order of what
-- it sums: readings are read in the order of time and nothing may sort or share them out on the way.
SELECT set_config('statement_timeout', '0', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('work_mem', '128MB', true),
       set_config('enable_sort', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true);

-- name: wait_briefly
-- Gives up on a lock soon: whoever waits for all writers makes those wait that come after.
SET LOCAL lock_timeout = '2s';

-- name: lock_frontier
-- Waits until every writer that knows the frontier has ended, and lets none look at it.
SELECT pg_advisory_xact_lock(hashtext('enms rollup frontier'));

-- name: move_frontier
-- Moves the frontier forward.
UPDATE rollup_state SET frontier = %(frontier)s::timestamptz WHERE frontier < %(frontier)s::timestamptz;

-- name: rollup_state
-- How far rolling up has come.
SELECT frontier, done_1m, done_15m, done_1h, done_1d FROM rollup_state;

-- name: set_rollup_state
-- Notes how far rolling up has come; what is NULL stays.
UPDATE rollup_state SET
    done_1m = coalesce(%(done_1m)s::timestamptz, done_1m), done_15m = coalesce(%(done_15m)s::timestamptz, done_15m),
    done_1h = coalesce(%(done_1h)s::timestamptz, done_1h), done_1d = coalesce(%(done_1d)s::timestamptz, done_1d);

-- name: make_rollup_weeks
-- Makes the partitions of the weeks that begin on these Mondays.
SELECT make_week_partition('rollup_1m', week) FROM unnest(%(weeks)s::date[]) AS week;

-- name: note_all_dirty
-- Notes, for every machine or the one named, the minutes of [start, end) from its first row there on.
INSERT INTO rollup_dirty (machine_id, from_ts, to_ts)
SELECT machine.id, date_bin('1 min', first.ts, '2000-01-03Z'), %(end)s::timestamptz
FROM machine CROSS JOIN LATERAL (
    SELECT ts FROM sample WHERE machine_id = machine.id AND ts >= %(start)s AND ts < %(end)s ORDER BY ts LIMIT 1
) AS first
WHERE %(machine)s::text IS NULL OR machine.machine = %(machine)s::text;

-- name: machine_ids
-- The machines that may have rows.
SELECT id FROM machine ORDER BY id;

-- name: take_dirty
-- Takes all that is noted of the machines that wait longest; what touches or overlaps as one.
WITH chosen AS MATERIALIZED (
    SELECT DISTINCT machine_id FROM (SELECT machine_id FROM rollup_dirty ORDER BY id LIMIT %(limit)s) AS oldest
), taken AS (
    DELETE FROM rollup_dirty USING chosen WHERE rollup_dirty.machine_id = chosen.machine_id
    RETURNING rollup_dirty.machine_id, from_ts, to_ts
)
SELECT machine_id, lower(span) AS start, upper(span) AS "end"
FROM (SELECT machine_id, unnest(range_agg(tstzrange(from_ts, to_ts))) AS span FROM taken GROUP BY machine_id) AS merged;

-- name: next_row
-- The time of a machine's first row in [start, end), nothing where there is none.
SELECT ts FROM sample WHERE machine_id = %(machine_id)s AND ts >= %(start)s AND ts < %(end)s ORDER BY ts LIMIT 1;

-- name: widen_dirty
-- Widens ranges to the minute of the next reading of every series that has energy and a reading in the range: a
-- late reading changes the energy up to there. Before the range only energy changes, which rolling up the range
-- writes itself.
WITH work AS MATERIALIZED (
    SELECT * FROM unnest(%(machine_ids)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        AS work (machine_id, start, "end")
), widened AS MATERIALIZED (
    SELECT work.machine_id, work.start,
           least(%(done)s, greatest("end", date_bin('1 min', max(next.ts), '2000-01-03Z') + '1 min'::interval)) AS "end"
    FROM work
    JOIN machine ON machine.id = work.machine_id
    LEFT JOIN (
        series JOIN machine AS of ON of.machine = series.machine
        JOIN energy_unit ON energy_unit.unit = coalesce(of.metrics -> series.metric ->> 'unit', series.unit)
    ) ON series.machine = machine.machine
    LEFT JOIN LATERAL (
        SELECT ts FROM sample
        WHERE machine_id = work.machine_id AND ts >= work."end" AND ts < work."end" + energy_unit.reach
        AND ts >= %(first)s AND ts < %(last)s::timestamptz + '1 day'::interval AND values[series.slot] IS NOT NULL
        AND EXISTS (
            SELECT FROM sample WHERE machine_id = work.machine_id AND ts >= work.start AND ts < work."end"
            AND ts >= %(first)s AND ts < %(last)s AND values[series.slot] IS NOT NULL
        )
        ORDER BY ts LIMIT 1
    ) AS next ON true
    GROUP BY work.machine_id, work.start, work."end"
)
SELECT machine_id, lower(span) AS start, upper(span) AS "end"
FROM (
    SELECT machine_id, unnest(range_agg(tstzrange(start, "end"))) AS span
    FROM widened WHERE start < "end" GROUP BY machine_id
) AS merged;

-- name: roll_up_minutes
-- Rolls up ranges of whole minutes, each of one machine, from its rows. Ranges of a machine do not overlap.
--
-- Five metrics at a time are read from a row (`base` is how many slots were skipped). A value beyond 1e290, which no
-- meter gives, makes the sum infinite instead of an error; beyond 1e100 it is no energy, and below 1e-100 none.
--
-- Energy between two readings of a series that follow each other within its unit's reach:
--   power:   the mean of both times the time between them (the trapezoidal rule; Press et al., Numerical Recipes,
--            3rd ed., 4.1.1);
--   counter: what it has risen by. Where it fell, it was reset and has counted up from zero if it stands at less
--            than half of where it was; a smaller fall is noise and counts nothing.
-- It is shared out over the minutes between the two by the time each of them has of it.
-- `before` is what minutes have before their last reading, `beyond` what they have after it: of that also minutes
-- before the range get some, from their last reading to the first of the range.
WITH work AS MATERIALIZED (
    SELECT number, machine_id, start, "end"
    FROM unnest(%(machine_ids)s::integer[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
        WITH ORDINALITY AS work (machine_id, start, "end", number)
), metric AS MATERIALIZED (
    SELECT machine.id AS machine_id, series.slot, series.id AS series_id,
           energy_unit.power, energy_unit.kwh, energy_unit.reach
    FROM (SELECT DISTINCT machine_id FROM work) AS wanted
    JOIN machine ON machine.id = wanted.machine_id
    JOIN series USING (machine)
    LEFT JOIN energy_unit ON energy_unit.unit = coalesce(machine.metrics -> series.metric ->> 'unit', series.unit)
), pass AS MATERIALIZED (
    SELECT work.*, base
    FROM work JOIN (SELECT DISTINCT machine_id, (slot - 1) / 5 * 5 AS base FROM metric) AS bases USING (machine_id)
), wide AS MATERIALIZED (
    SELECT number, machine_id, base, date_bin('1 min', ts, '2000-01-03Z') AS minute,
           count(v1) AS n1, min(v1) AS min1, max(v1) AS max1, max(ts) FILTER (WHERE v1 IS NOT NULL) AS last1,
           count(v2) AS n2, min(v2) AS min2, max(v2) AS max2, max(ts) FILTER (WHERE v2 IS NOT NULL) AS last2,
           count(v3) AS n3, min(v3) AS min3, max(v3) AS max3, max(ts) FILTER (WHERE v3 IS NOT NULL) AS last3,
           count(v4) AS n4, min(v4) AS min4, max(v4) AS max4, max(ts) FILTER (WHERE v4 IS NOT NULL) AS last4,
           count(v5) AS n5, min(v5) AS min5, max(v5) AS max5, max(ts) FILTER (WHERE v5 IS NOT NULL) AS last5,
           sum(CASE WHEN abs(v1) <= 1e290 THEN v1 ELSE v1 * 'Infinity'::float8 END) AS sum1,
           sum(CASE WHEN abs(v2) <= 1e290 THEN v2 ELSE v2 * 'Infinity'::float8 END) AS sum2,
           sum(CASE WHEN abs(v3) <= 1e290 THEN v3 ELSE v3 * 'Infinity'::float8 END) AS sum3,
           sum(CASE WHEN abs(v4) <= 1e290 THEN v4 ELSE v4 * 'Infinity'::float8 END) AS sum4,
           sum(CASE WHEN abs(v5) <= 1e290 THEN v5 ELSE v5 * 'Infinity'::float8 END) AS sum5
    FROM (
        SELECT number, machine_id, base, ts, values[base + 1] AS v1, values[base + 2] AS v2,
               values[base + 3] AS v3, values[base + 4] AS v4, values[base + 5] AS v5
        FROM pass CROSS JOIN LATERAL (
            SELECT ts, values FROM sample
            WHERE sample.machine_id = pass.machine_id AND ts >= pass.start AND ts < pass."end"
            AND ts >= %(first)s AND ts < %(last)s
            ORDER BY ts OFFSET 0
        ) AS sorted
        OFFSET 0
    ) AS numbers
    GROUP BY number, machine_id, base, minute
), cell AS MATERIALIZED (
    SELECT wide.number, wide.machine_id, metric.slot, series_id, minute, power, kwh, reach,
           found.count, found.min, found.max, found.sum, found.last_ts, at_last.last
    FROM wide CROSS JOIN LATERAL (
        VALUES (base + 1, n1, min1, max1, sum1, last1), (base + 2, n2, min2, max2, sum2, last2),
               (base + 3, n3, min3, max3, sum3, last3), (base + 4, n4, min4, max4, sum4, last4),
               (base + 5, n5, min5, max5, sum5, last5)
    ) AS found (slot, count, min, max, sum, last_ts)
    JOIN metric ON metric.machine_id = wide.machine_id AND metric.slot = found.slot
    CROSS JOIN LATERAL (
        SELECT values[found.slot] AS last FROM sample
        WHERE sample.machine_id = wide.machine_id AND ts = found.last_ts AND ts >= %(first)s AND ts < %(last)s
        OFFSET 0
    ) AS at_last
    WHERE found.count > 0
), metered AS MATERIALIZED (
    SELECT number, machine_id, slot, series_id, power, kwh, reach, date_part('epoch', reach) AS reach_s,
           work.start, work."end"
    FROM (SELECT DISTINCT number, slot, series_id, power, kwh, reach FROM cell WHERE power IS NOT NULL) AS met
    JOIN work USING (number)
), before AS MATERIALIZED (
    SELECT series_id, start, "end", reach, sums.*
    FROM metered CROSS JOIN LATERAL (
        SELECT minute,
               sum(CASE
                   WHEN minute <= since THEN energy_kwh
                   ELSE energy_kwh * (date_part('epoch', ts - minute) / between_s)
               END) AS energy_kwh,
               min(ts) AS first_ts, min(since) AS since,
               (array_agg(energy_kwh) FILTER (WHERE since < minute))[1] AS since_kwh
        FROM (
            SELECT minute, ts, since, between_s, kwh * CASE
                WHEN power THEN (was + value) * 0.5 * between_s / 3600
                WHEN value >= was THEN value - was
                WHEN value >= 0 AND value < was * 0.5 THEN value
                ELSE 0
            END AS energy_kwh
            FROM (
                SELECT date_bin('1 min', ts, '2000-01-03Z') AS minute, ts, since,
                       date_part('epoch', ts - since) AS between_s,
                       CASE WHEN abs(was) >= 1e-100 THEN was ELSE 0 END AS was,
                       CASE WHEN abs(value) >= 1e-100 THEN value ELSE 0 END AS value
                FROM (
                    SELECT ts, value, lag(ts) OVER in_time AS since, lag(value) OVER in_time AS was
                    FROM (
                        (
                            SELECT ts, values[slot] FROM sample
                            WHERE sample.machine_id = metered.machine_id
                            AND ts < metered.start AND ts >= metered.start - reach
                            AND ts >= %(first)s::timestamptz - '1 day'::interval AND ts < %(last)s
                            AND abs(values[slot]) <= 1e100
                            ORDER BY ts DESC LIMIT 1
                        )
                        UNION ALL
                        (
                            SELECT ts, values[slot] FROM sample
                            WHERE sample.machine_id = metered.machine_id
                            AND ts >= metered.start AND ts < metered."end"
                            AND ts >= %(first)s AND ts < %(last)s AND abs(values[slot]) <= 1e100
                            ORDER BY ts OFFSET 0
                        )
                        UNION ALL
                        (
                            SELECT ts, values[slot] FROM sample
                            WHERE sample.machine_id = metered.machine_id
                            AND ts >= metered."end" AND ts < metered."end" + reach
                            AND ts >= %(first)s AND ts < %(last)s::timestamptz + '1 day'::interval
                            AND abs(values[slot]) <= 1e100
                            ORDER BY ts LIMIT 1
                        )
                    ) AS near (ts, value)
                    WINDOW in_time AS (ORDER BY ts)
                    OFFSET 0
                ) AS neighbours
                OFFSET 0
            ) AS pair
            WHERE between_s <= reach_s
            OFFSET 0
        ) AS counted
        GROUP BY minute
    ) AS sums
), beyond AS MATERIALIZED (
    SELECT series_id, part.minute, part.minute >= start AS within,
           since_kwh * (date_part('epoch', part.minute + '1 min'::interval - greatest(since, part.minute))
               / date_part('epoch', first_ts - since)) AS energy_kwh
    FROM before CROSS JOIN LATERAL generate_series(
        date_bin('1 min', since, '2000-01-03Z'), least(before.minute, "end") - '1 min'::interval, '1 min'
    ) AS part (minute)
    WHERE since < before.minute
), made AS (
    INSERT INTO rollup_1m AS had (series_id, ts, count, min, max, sum, last, last_ts, before_kwh, energy_kwh)
    SELECT series_id, minute, coalesce(count, 0), min, max, sum, last, last_ts,
           coalesce(before.energy_kwh, CASE WHEN power IS NOT NULL THEN 0 END),
           CASE WHEN power IS NOT NULL OR beyond.energy_kwh IS NOT NULL
               THEN coalesce(before.energy_kwh, 0) + coalesce(beyond.energy_kwh, 0) END
    FROM cell
    LEFT JOIN (SELECT series_id, minute, energy_kwh FROM before WHERE minute < "end") AS before USING (series_id, minute)
    FULL JOIN (SELECT * FROM beyond WHERE within) AS beyond USING (series_id, minute)
    ON CONFLICT (series_id, ts) DO UPDATE SET
        count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum, last = excluded.last,
        last_ts = excluded.last_ts, before_kwh = excluded.before_kwh, energy_kwh = excluded.energy_kwh
    WHERE (had.count, had.min, had.max, had.sum, had.last, had.last_ts, had.before_kwh, had.energy_kwh)
        IS DISTINCT FROM
        (excluded.count, excluded.min, excluded.max, excluded.sum, excluded.last, excluded.last_ts,
         excluded.before_kwh, excluded.energy_kwh)
    RETURNING series_id, ts
), mended AS (
    INSERT INTO rollup_1m AS had (series_id, ts, energy_kwh)
    SELECT series_id, minute, energy_kwh FROM beyond
    WHERE NOT within AND NOT EXISTS (
        SELECT FROM metered WHERE metered.series_id = beyond.series_id
        AND beyond.minute >= metered.start AND beyond.minute < metered."end"
    )
    ON CONFLICT (series_id, ts) DO UPDATE SET energy_kwh = coalesce(had.before_kwh, 0) + excluded.energy_kwh
    WHERE had.energy_kwh IS DISTINCT FROM coalesce(had.before_kwh, 0) + excluded.energy_kwh
    RETURNING series_id, ts
), stale AS (
    INSERT INTO rollup_stale (minutes, series_id, ts)
    SELECT DISTINCT 15, series_id, date_bin('15 min', ts, '2000-01-03Z')
    FROM (SELECT * FROM made UNION ALL SELECT * FROM mended) AS changed
    WHERE ts < (SELECT done_15m FROM rollup_state)
    ON CONFLICT DO NOTHING
)
SELECT coalesce(sum(count), 0)::bigint AS readings FROM cell;

-- name: roll_up_finished
-- Rolls the rows of a finer table in [start, end) up into buckets of a coarser one, for all series.
INSERT INTO rollup_coarse AS had (series_id, ts, count, min, max, sum, last, last_ts, energy_kwh)
SELECT series.id, found.*
FROM series CROSS JOIN LATERAL (
    SELECT date_bin(%(width)s::interval, ts, '2000-01-03Z') AS bucket, sum(count), min(min), max(max), sum(sum),
           (array_agg(last) FILTER (WHERE last_ts IS NOT NULL))[count(last_ts)], max(last_ts), sum(energy_kwh)
    FROM (
        SELECT * FROM rollup_fine
        WHERE series_id = series.id AND ts >= %(start)s::timestamptz AND ts < %(end)s::timestamptz
        ORDER BY ts OFFSET 0
    ) AS fine
    GROUP BY bucket
) AS found
ON CONFLICT (series_id, ts) DO UPDATE SET
    count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum, last = excluded.last,
    last_ts = excluded.last_ts, energy_kwh = excluded.energy_kwh;

-- name: roll_up_stale
-- Rolls some of the stale buckets of a table up again, and notes those of the next coarser table that are stale by
-- that. Answers how many buckets it took.
WITH taken AS MATERIALIZED (
    SELECT series_id, ts FROM rollup_stale WHERE minutes = %(minutes)s LIMIT %(limit)s
), gone AS (
    DELETE FROM rollup_stale USING taken
    WHERE minutes = %(minutes)s AND rollup_stale.series_id = taken.series_id AND rollup_stale.ts = taken.ts
), made AS (
    INSERT INTO rollup_coarse AS had (series_id, ts, count, min, max, sum, last, last_ts, energy_kwh)
    SELECT taken.series_id, taken.ts, found.*
    FROM taken CROSS JOIN LATERAL (
        SELECT sum(count), min(min), max(max), sum(sum),
               (array_agg(last) FILTER (WHERE last_ts IS NOT NULL))[count(last_ts)], max(last_ts), sum(energy_kwh)
        FROM (
            SELECT * FROM rollup_fine
            WHERE series_id = taken.series_id
            AND ts >= taken.ts AND ts < taken.ts + make_interval(mins => %(minutes)s)
            ORDER BY ts OFFSET 0
        ) AS fine
        HAVING count(*) > 0
    ) AS found
    ON CONFLICT (series_id, ts) DO UPDATE SET
        count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum, last = excluded.last,
        last_ts = excluded.last_ts, energy_kwh = excluded.energy_kwh
    RETURNING series_id, ts
), stale AS (
    INSERT INTO rollup_stale (minutes, series_id, ts)
    SELECT DISTINCT %(next_minutes)s::integer, series_id, bucket
    FROM (
        SELECT series_id, date_bin(make_interval(mins => %(next_minutes)s), ts, '2000-01-03Z') AS bucket FROM made
    ) AS changed
    WHERE bucket < %(next_done)s::timestamptz
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM taken;
