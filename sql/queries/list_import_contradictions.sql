-- The lines of an import that contradict stored snapshots, one another, or the owner of their account, in line order.
-- Runs after the snapshots are stored, because only a later statement sees what others have stored meanwhile.
--
-- After: create_import
-- Parameters:
--   users  uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the import; NULL: too many to list
-- Columns:
--   line    bigint
--   status  text    contradicts_stored, contradicts_batch, other_owner or erased

WITH stored AS (
    SELECT
        import.line,
        stored.currency,
        stored.amounts
    FROM import
    INNER JOIN comparable_snapshots AS stored
        ON
            import.user_id = stored.user_id
            AND import.account_id = stored.account_id
            AND import.source = stored.source
            AND import.captured_at = stored.captured_at
    WHERE routed_to(stored.user_id, %(users)s::uuid[])
)

SELECT
    import.line,
    CASE
        WHEN accounts.user_id <> import.user_id THEN 'other_owner'
        WHEN stored.line IS NOT NULL AND import.is_contradicted IS NOT TRUE THEN 'contradicts_stored'
        WHEN import.is_contradicted THEN 'contradicts_batch'
        ELSE 'erased'
    END AS status
FROM import
LEFT JOIN accounts ON import.account_id = accounts.id
FULL JOIN stored ON import.line = stored.line
WHERE
    import.superseded_at IS NULL
    AND import.is_repetition IS NOT TRUE
    AND (
        import.is_contradicted
        OR accounts.user_id IS DISTINCT FROM import.user_id
        OR import.currency IS DISTINCT FROM stored.currency
        OR import.amounts <> stored.amounts
    )
ORDER BY import.line;
