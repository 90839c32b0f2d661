-- Create two roles: snapshots_owner owns the schema and migrates it; snapshots_service serves requests and can
-- neither change the schema nor what is stored. What snapshots_service may do is in sql/grants.sql, which every
-- migration run applies.
--
-- Run it in the service's database, before the first migration, as a superuser or, where a provider keeps that for
-- itself, as the owner of the database with CREATEROLE. It may be run again. Then give both roles a password.
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

-- A GRANT by somebody who may not grant is only a warning.
DO $$
BEGIN
    IF NOT has_schema_privilege('snapshots_owner', 'public', 'CREATE') THEN
        RAISE EXCEPTION 'Schema public is not yours: run this as a superuser or as the owner of the database.';
    END IF;
END;
$$;

COMMIT;
