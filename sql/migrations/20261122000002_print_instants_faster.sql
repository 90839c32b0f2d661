-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- An instant as the API prints it: UTC with Z, six fraction digits or none (ruling 8). As JSON a timestamp is ISO 8601
-- whatever DateStyle says, and is printed in half the time that to_char takes; but it loses zeros at the end of a
-- fraction, which whole seconds, as nearly all instants are, do not have.
CREATE OR REPLACE FUNCTION utc_iso8601(instant timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN instant = date_trunc('second', instant) THEN substr(to_json(instant AT TIME ZONE 'UTC')::text, 2, 19) || 'Z'
    ELSE to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
END;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward'; END $$;
