-- Deletes all superseded snapshots of some accounts of a user.
--
-- Parameters:
--   user_id      uuid    d3300000-0000-4000-8000-0000000000ff
--   account_ids  uuid[]  {d3300000-0000-4000-8000-0000000000fa}  what lock_accounts returned
-- Columns:
--   deleted_count  bigint

WITH deleted AS (
    DELETE FROM superseded_snapshots
    WHERE user_id = %(user_id)s::uuid AND account_id = any(%(account_ids)s::uuid[])
    RETURNING 1
)

SELECT count(*) AS deleted_count
FROM deleted;
