-- Create two roles: snapshots_owner owns the schema and migrates it; snapshots_service serves requests and can change
-- neither the schema nor stored rows. Its privileges are in sql/grants.sql, which every migration run applies.
--
-- Run this file in the service's database before the first migration, as a superuser or, where a provider offers none,
-- as the owner of the database with CREATEROLE. It may be run again. Then give both roles a password.
--
--   psql "$ADMIN_URL" -f deploy/roles.sql

\set ON_ERROR_STOP on
BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'snapshots_owner') THEN
        CREATE ROLE snapshots_owner LOGIN;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'snapshots_service') THEN
        CREATE ROLE snapshots_service LOGIN;
    END IF;
END;
$$;

REVOKE ALL ON SCHEMA public FROM public;
GRANT USAGE, CREATE ON SCHEMA public TO snapshots_owner;
GRANT USAGE ON SCHEMA public TO snapshots_service;

-- PostgreSQL only warns about a GRANT by a role that may not grant.
DO $$
BEGIN
    IF NOT has_schema_privilege('snapshots_owner', 'public', 'CREATE') THEN
        RAISE EXCEPTION 'No rights on schema public: run this as a superuser or as the owner of the database.';
    END IF;
END;
$$;

COMMIT;
