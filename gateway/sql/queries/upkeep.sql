-- name: migration_lock
-- Lets one process at a time change the tables; held until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('enms migrations'));

-- name: no_statement_limit
-- Lifts the limit on one statement until the transaction ends: a migration takes as long as it takes.
SET LOCAL statement_timeout = 0;

-- name: make_migration_table
-- Where migrations are noted.
CREATE TABLE IF NOT EXISTS migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied_migrations
-- The migrations that were applied, in order.
SELECT number, name, checksum FROM migration ORDER BY number;

-- name: note_migration
-- Notes that a migration was applied.
INSERT INTO migration (number, name, checksum) VALUES (%(number)s, %(name)s, %(checksum)s);

-- name: drop_partition
-- Forgets the readings of one week.
SELECT drop_reading_partition(%(week)s::date);

-- name: drop_old_rejected
-- Forgets refusals older than a time, and all but the latest few.
DELETE FROM rejected
WHERE ts < %(before)s OR id <= (SELECT max(id) FROM rejected) - %(most)s;

-- name: drop_expired_sessions
-- Forgets sessions that have ended.
DELETE FROM session WHERE expires_at <= %(now)s;

-- name: ping
-- Answers.
SELECT 1;
