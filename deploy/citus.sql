-- Distribute a migrated database over the nodes of a Citus cluster, by user (docs/scaling.md).
--
-- Run this file as the owner of the tables, on the coordinator, once after the first migration and again after any
-- migration that changes one of the functions below. Running it again at any time is safe.
--
--   psql "$OWNER_URL" -f deploy/citus.sql

\set ON_ERROR_STOP on
-- Citus calls a trigger unsafe because it could query other nodes. Ours only refuse updates
-- (docs/decisions/0004-keys.md).
SET citus.enable_unsafe_triggers = on;
BEGIN;

-- Whether this node plans callers' statements. The result never changes, so the planner may replace the call with it.
CREATE OR REPLACE FUNCTION is_coordinator() RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_catalog.pg_dist_local_group WHERE groupid = 0);
END;
$$;

-- On the coordinator, this condition determines the users' shards; NULL stands for all users. On the shards it would be
-- true of all rows that the other conditions select, and could lead the planner to the wrong index, so there it is TRUE.
CREATE OR REPLACE FUNCTION routed_to(user_id uuid, users uuid[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN is_coordinator() AND users IS NOT NULL THEN user_id = any(users) ELSE TRUE END;

-- A lock on a row of a reference table locks the whole table, on every node. So accounts are locked on the coordinator,
-- by one of 256 numbers, because a server has room for a limited number of locks. Locks are taken in the order of the
-- numbers, so that transactions do not deadlock.
CREATE OR REPLACE FUNCTION account_locks(ids uuid[]) RETURNS SETOF integer
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT DISTINCT hashtext(id::text) & 255 AS number
    FROM unnest(ids) AS account (id)
    ORDER BY number;
END;

CREATE OR REPLACE FUNCTION hold_accounts(ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('accounts'), number) FROM account_locks(ids) AS number;
    RETURN (SELECT count(*) FROM accounts WHERE id = any(ids));
END;
$$;

CREATE OR REPLACE FUNCTION lock_accounts(ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('accounts'), number) FROM account_locks(ids) AS number;
    RETURN QUERY SELECT id FROM accounts WHERE id = any(ids);
END;
$$;

SELECT create_reference_table('accounts')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'accounts'::regclass);

SELECT create_distributed_table('balance_snapshots', 'user_id')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'balance_snapshots'::regclass AND partmethod = 'h');

SELECT create_distributed_table('superseded_snapshots', 'user_id', colocate_with => 'balance_snapshots')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'superseded_snapshots'::regclass AND partmethod = 'h');

-- Citus creates the views of a table anew when it distributes the table, without their privileges.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'snapshots_service') AS has_service_role \gset
\if :has_service_role
\ir ../sql/grants.sql
\endif

COMMIT;
