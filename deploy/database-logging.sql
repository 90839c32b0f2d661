-- Optional: have PostgreSQL log slow statements and long waits of the service, without amounts. Only a superuser may
-- set these for a role; where a provider keeps that for itself, set them for the whole server in its console.
-- Run it after roles.sql; it may be run again.
--
--   psql "$SUPERUSER_URL" -f deploy/database-logging.sql

\set ON_ERROR_STOP on
BEGIN;

-- The service logs the process that served a request as db_pid: put %p into log_line_prefix to find its lines.
ALTER ROLE snapshots_service SET log_min_duration_statement = '500ms';
ALTER ROLE snapshots_service SET log_lock_waits = on;
-- Parameters hold amounts, and so do the rows that the detail of an error quotes.
ALTER ROLE snapshots_service SET log_parameter_max_length = 0;
ALTER ROLE snapshots_service SET log_error_verbosity = terse;

COMMIT;
