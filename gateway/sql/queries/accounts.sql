-- name: add_account
-- Makes an account; does nothing where the name is taken.
INSERT INTO account (name, role, password_hash, created_at)
VALUES (%(name)s, %(role)s, %(password_hash)s, %(created_at)s)
ON CONFLICT (name) DO NOTHING;

-- name: account
-- One account.
SELECT name, role, password_hash, created_at, disabled FROM account WHERE name = %(name)s;

-- name: accounts
-- All accounts by name.
SELECT name, role, password_hash, created_at, disabled FROM account ORDER BY name;

-- name: set_password_hash
-- Gives an account another password.
UPDATE account SET password_hash = %(password_hash)s WHERE name = %(name)s;

-- name: set_role
-- Gives an account another role.
UPDATE account SET role = %(role)s WHERE name = %(name)s;

-- name: set_disabled
-- Closes an account, or opens it again.
UPDATE account SET disabled = %(disabled)s WHERE name = %(name)s;

-- name: remove_account
-- Forgets an account and its sessions; its log-ins to the broker stay listed until they are removed.
DELETE FROM account WHERE name = %(name)s;

-- name: add_session
-- Notes a session by the hash of its token.
INSERT INTO session (token_hash, account, created_at, expires_at)
VALUES (%(token_hash)s, %(account)s, %(created_at)s, %(expires_at)s);

-- name: session
-- The session of a token that is still good, its account open.
SELECT session.token_hash, session.account, account.role, session.created_at, session.expires_at
FROM session JOIN account ON account.name = session.account
WHERE token_hash = %(token_hash)s AND expires_at > %(now)s AND NOT account.disabled;

-- name: remove_session
-- Ends a session.
DELETE FROM session WHERE token_hash = %(token_hash)s;

-- name: remove_sessions_of
-- Ends all sessions of an account.
DELETE FROM session WHERE account = %(account)s;

-- name: add_broker_login
-- Notes a log-in to the broker, or that it lasts longer.
INSERT INTO broker_login (username, account, token_hash, expires_at)
VALUES (%(username)s, %(account)s, %(token_hash)s, %(expires_at)s)
ON CONFLICT (username) DO UPDATE SET
    account = excluded.account, token_hash = excluded.token_hash, expires_at = excluded.expires_at;

-- name: broker_logins
-- Log-ins to the broker: all, or those of an account, of a session, or expired by a time.
SELECT username, account, token_hash, expires_at FROM broker_login
WHERE (%(account)s::text IS NULL OR account = %(account)s)
  AND (%(token_hash)s::bytea IS NULL OR token_hash = %(token_hash)s)
  AND (%(expired_by)s::timestamptz IS NULL OR expires_at <= %(expired_by)s)
ORDER BY username;

-- name: remove_broker_login
-- Forgets a log-in that the broker no longer knows.
DELETE FROM broker_login WHERE username = %(username)s;

-- name: add_audit
-- Adds to the audit trail.
INSERT INTO audit (ts, actor, action, subject, details)
VALUES (%(ts)s, %(actor)s, %(action)s, %(subject)s, %(details)s::jsonb);

-- name: audit
-- The audit trail, the latest first.
SELECT ts, actor, action, subject, details FROM audit
WHERE (%(start)s::timestamptz IS NULL OR ts >= %(start)s) AND (%(end)s::timestamptz IS NULL OR ts < %(end)s)
ORDER BY ts DESC, id DESC
LIMIT %(limit)s;
