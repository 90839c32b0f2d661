-- Removes a user's snapshots.
--
-- Parameters:
--   user_id  uuid  d3300000-0000-4000-8000-0000000000ff
-- Columns:
--   deleted_count  bigint

WITH deleted AS (
    DELETE FROM balance_snapshots
    WHERE user_id = %(user_id)s::uuid
    RETURNING 1
)

SELECT count(*) AS deleted_count
FROM deleted;
