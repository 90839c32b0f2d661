-- migrate:up
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid, disallowed-unique-constraint
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '30min';

-- The same key in another order: a read of one source names source and account by equality and leaves the primary key,
-- which begins with the user, no way in (docs/decisions/0004-keys.md). Captures wait while it is built.
ALTER TABLE balance_snapshots DROP CONSTRAINT balance_snapshots_natural_key;
ALTER TABLE balance_snapshots ADD CONSTRAINT balance_snapshots_natural_key
UNIQUE (source, account_id, captured_at, user_id);

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward'; END $$;
