-- Stores the snapshots of an import in a range of places, except those that are stored already.
--
-- After: create_imported_snapshots
-- Parameters:
--   first_place  bigint  1
--   last_place   bigint  10000
-- Columns:
--   id  uuid

INSERT INTO balance_snapshots
SELECT (snapshot).*
FROM imported_snapshots
WHERE place BETWEEN %(first_place)s::bigint AND %(last_place)s::bigint
ORDER BY place
ON CONFLICT DO NOTHING
RETURNING id;
