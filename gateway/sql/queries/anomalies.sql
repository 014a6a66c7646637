-- name: add_anomaly_event
-- Keeps an event; the same one twice changes nothing.
INSERT INTO anomaly_event (anomaly_id, phase, ts, machine, body)
VALUES (%(anomaly_id)s, %(phase)s, %(ts)s, %(machine)s, %(body)s::jsonb)
ON CONFLICT (anomaly_id, phase, ts) DO NOTHING;

-- name: save_episode
-- Makes an event the latest of its episode, unless a later one is there.
INSERT INTO anomaly (anomaly_id, machine, started_at, last_at, phase_rank, body)
VALUES (%(anomaly_id)s, %(machine)s, %(started_at)s, %(ts)s, %(phase_rank)s, %(body)s::jsonb)
ON CONFLICT (anomaly_id) DO UPDATE SET
    started_at = excluded.started_at,
    last_at = excluded.last_at,
    phase_rank = excluded.phase_rank,
    body = excluded.body
WHERE (anomaly.last_at, anomaly.phase_rank) < (excluded.last_at, excluded.phase_rank);

-- name: episodes
-- Episodes that touch [start, end), the latest first, each as the latest of its events.
SELECT body::text FROM anomaly
WHERE (%(machine)s::text IS NULL OR machine = %(machine)s)
  AND (%(start)s::timestamptz IS NULL OR last_at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR started_at < %(end)s)
ORDER BY started_at DESC, anomaly_id
LIMIT %(limit)s;

-- name: episode_events
-- The events of one episode, in order.
SELECT body::text FROM anomaly_event
WHERE anomaly_id = %(anomaly_id)s
ORDER BY ts, array_position(ARRAY['opened', 'updated', 'closed'], phase);

-- name: rejected
-- What was refused, the latest first.
SELECT source, ts, topic, reason, text, field, head, size_bytes, count FROM rejected
WHERE (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(start)s::timestamptz IS NULL OR ts >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR ts < %(end)s)
ORDER BY ts DESC, id DESC
LIMIT %(limit)s;
