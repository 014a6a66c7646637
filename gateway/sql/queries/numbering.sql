-- name: add_numbers
-- Notes the numbers of messages, a row for each client and boot: its part of all of them.
INSERT INTO numbered_batch (client, boot, seqs)
SELECT client, boot, (%(seqs)s::bigint[])[first:last]
FROM unnest(%(clients)s::text[], %(boots)s::text[], %(firsts)s::integer[], %(lasts)s::integer[])
    AS part (client, boot, first, last);

-- name: source_lock
-- Lets one at a time take the numbers; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('enms sources'));

-- name: take_numbers
-- Removes the noted numbers and answers them in the order they were noted.
WITH taken AS (DELETE FROM numbered_batch RETURNING id, client, boot, seqs)
SELECT client, boot, seqs FROM taken ORDER BY id;

-- name: numbers_to_take
-- The noted numbers, left where they are.
SELECT client, boot, seqs FROM numbered_batch ORDER BY id;

-- name: sources
-- What is known to be stored of each boot of these clients, or of all.
SELECT client, boot, seq, above, ts FROM source
WHERE %(clients)s::text[] IS NULL OR client = ANY(%(clients)s::text[])
ORDER BY client, ts, boot;

-- name: save_source
-- Writes down up to where a client's messages are stored.
INSERT INTO source (client, boot, seq, above, ts)
VALUES (%(client)s, %(boot)s, %(seq)s, %(above)s::bigint[], %(ts)s)
ON CONFLICT (client, boot) DO UPDATE SET seq = excluded.seq, above = excluded.above, ts = excluded.ts;

-- name: drop_old_sources
-- Forgets boots that have not been heard of since a time, but for the latest of each client.
DELETE FROM source WHERE ts < %(before)s
AND EXISTS (SELECT FROM source AS later WHERE later.client = source.client AND later.ts > source.ts);

-- name: add_redelivery
-- Remembers the packet ids of a batch, and forgets those that are too many messages behind.
WITH so_far AS (
    SELECT coalesce(max(messages), 0) + %(messages)s AS messages FROM redelivery WHERE session = %(session)s
), forgotten AS (
    DELETE FROM redelivery USING so_far
    WHERE session = %(session)s AND redelivery.messages <= so_far.messages - %(most)s
)
INSERT INTO redelivery (session, messages, mids, hashes)
SELECT %(session)s, so_far.messages, %(mids)s::integer[], %(hashes)s::bigint[] FROM so_far;

-- name: redeliveries
-- What is remembered of a session, in order.
SELECT mids, hashes FROM redelivery WHERE session = %(session)s ORDER BY messages, id;

-- name: forget_redeliveries
-- Forgets what is remembered of a session.
DELETE FROM redelivery WHERE session = %(session)s;
