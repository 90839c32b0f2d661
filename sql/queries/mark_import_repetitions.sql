-- Marks the lines of an import that repeat a superseded snapshot, stored or in the import itself (rule 33). A line with the
-- id of a replacement is not a repetition, whatever its values.
--
-- After: create_import
-- Parameters:
--   users  uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the import; NULL: too many to list

WITH superseded AS (
    SELECT
        stored.user_id,
        stored.account_id,
        stored.source,
        stored.captured_at,
        stored.currency,
        stored.amounts,
        stored.replaced_by
    FROM (
        SELECT DISTINCT
            import.user_id,
            import.account_id
        FROM import
    ) AS account
    INNER JOIN comparable_superseded_snapshots AS stored
        ON account.user_id = stored.user_id AND account.account_id = stored.account_id
    WHERE routed_to(stored.user_id, %(users)s::uuid[])
    UNION ALL
    SELECT
        user_id,
        account_id,
        source,
        captured_at,
        currency,
        amounts,
        replaced_by
    FROM import
    WHERE superseded_at IS NOT NULL
)

UPDATE import SET is_repetition = TRUE
FROM superseded
WHERE
    import.superseded_at IS NULL
    AND import.user_id = superseded.user_id AND import.account_id = superseded.account_id
    AND import.source = superseded.source AND import.captured_at = superseded.captured_at
    AND import.currency = superseded.currency AND import.amounts = superseded.amounts
    AND NOT EXISTS (
        SELECT FROM superseded AS correction
        WHERE correction.replaced_by = import.id
    );
