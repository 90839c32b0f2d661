-- Creates the staging table of an import, which lasts until the transaction ends. `line` is a row's place in the file.
-- `is_contradicted` marks a row that another row with the same key contradicts, `is_repetition` one that repeats a
-- superseded snapshot (rule 33). A row with `superseded_at` is a superseded snapshot, any other a current one.
-- `amounts` holds the amounts of the row as an array, as in comparable_snapshots.
--

CREATE TEMPORARY TABLE import ON COMMIT DROP AS
SELECT
    NULL::bigint AS line,
    NULL::boolean AS is_contradicted,
    NULL::boolean AS is_repetition,
    NULL::numeric[] AS amounts,
    (NULL::superseded_snapshots).*
WITH NO DATA;
