-- Two roles: one that owns the schema and migrates it, one that serves and can neither change the schema nor what is stored.
-- Run once, by an administrator, in the service's database, before the first migration; give both a password or a certificate.
--
--   psql "$ADMIN_URL" -f deploy/roles.sql
--   DATABASE_URL=postgresql://snapshots_owner@... python -m tools.migrate
--   DATABASE_URL=postgresql://snapshots_service@... gunicorn ...

CREATE ROLE snapshots_owner LOGIN;
CREATE ROLE snapshots_service LOGIN;

REVOKE ALL ON SCHEMA public FROM public;
GRANT USAGE, CREATE ON SCHEMA public TO snapshots_owner;
GRANT USAGE ON SCHEMA public TO snapshots_service;

-- What the owner will make: rows are read and added, never changed or removed.
ALTER DEFAULT PRIVILEGES FOR ROLE snapshots_owner IN SCHEMA public
GRANT SELECT, INSERT ON TABLES TO snapshots_service;

-- The server's log tells of slow statements and long waits by the request's trace id, which is their application_name (put
-- %a into log_line_prefix), and holds no amounts: neither parameters nor the rows that a message's detail may quote.
ALTER ROLE snapshots_service SET log_min_duration_statement = '500ms';
ALTER ROLE snapshots_service SET log_lock_waits = on;
ALTER ROLE snapshots_service SET log_parameter_max_length = 0;
ALTER ROLE snapshots_service SET log_error_verbosity = terse;
