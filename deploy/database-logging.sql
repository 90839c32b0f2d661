-- Optional: make PostgreSQL log the service's slow statements and long lock waits, without amounts. Only a superuser
-- may set these for a role; where a provider offers none, set them for the whole server in its console.
-- Run this file after roles.sql. It may be run again.
--
--   psql "$SUPERUSER_URL" -f deploy/database-logging.sql

\set ON_ERROR_STOP on
BEGIN;

-- The service logs the PostgreSQL process of each request as db_pid: put %p into log_line_prefix to find its lines.
ALTER ROLE snapshots_service SET log_min_duration_statement = '500ms';
ALTER ROLE snapshots_service SET log_lock_waits = on;
-- Parameters contain amounts, and so do the rows quoted in the details of errors.
ALTER ROLE snapshots_service SET log_parameter_max_length = 0;
ALTER ROLE snapshots_service SET log_error_verbosity = terse;

COMMIT;
