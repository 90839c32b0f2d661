-- Creates the staging table of an import, which lasts until the transaction ends. `line` is a row's place in the file;
-- `is_contradicted` is true of a row whose key another row has with other values.
--

CREATE TEMPORARY TABLE import ON COMMIT DROP AS
SELECT
    NULL::bigint AS line,
    NULL::boolean AS is_contradicted,
    balance_snapshots.*
FROM balance_snapshots
WITH NO DATA;
