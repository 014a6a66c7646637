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

-- name: make_capability_table
-- Where it is noted how this database keeps readings.
CREATE TABLE IF NOT EXISTS capability (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    capability text NOT NULL
);

-- name: noted_capability
-- How this database keeps readings.
SELECT capability FROM capability;

-- name: note_capability
-- Notes how this database keeps readings, for good.
INSERT INTO capability (capability) VALUES (%(capability)s);

-- name: timescaledb_usable
-- Whether TimescaleDB is installed and loaded: without being loaded it would end the connection.
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
    AND strpos(current_setting('shared_preload_libraries'), 'timescaledb') > 0;

-- name: use_timescaledb
-- Switches TimescaleDB on in this database.
CREATE EXTENSION IF NOT EXISTS timescaledb;

-- name: timescaledb_edition
-- Which edition of TimescaleDB this is: apache or timescale.
SELECT current_setting('timescaledb.license', true);

-- name: keep_weeks
-- Forgets the weeks of a table that are older than what is kept; the tables or chunks that went.
SELECT keep_weeks(%(parent)s, %(now)s, %(keep_days)s::integer, %(compress_after_days)s::integer);

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
