-- The superseded snapshots of an import that contradict stored snapshots, one another, or the owner of their account,
-- in line order.
--
-- After: create_import
-- Parameters:
--   users  uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the import; NULL: too many to list
-- Columns:
--   line    bigint
--   status  text    contradicts_superseded, still_current, other_owner or erased

WITH current AS (
    SELECT import.line
    FROM import
    INNER JOIN balance_snapshots AS current
        ON
            import.user_id = current.user_id AND import.account_id = current.account_id
            AND import.source = current.source AND import.captured_at = current.captured_at
            AND import.id = current.id
    WHERE routed_to(current.user_id, %(users)s::uuid[])
),

stored AS (
    SELECT
        import.line,
        stored.*
    FROM import
    INNER JOIN comparable_superseded_snapshots AS stored
        ON
            import.user_id = stored.user_id AND import.account_id = stored.account_id
            AND import.source = stored.source AND import.captured_at = stored.captured_at
            AND import.id = stored.id
    WHERE routed_to(stored.user_id, %(users)s::uuid[])
)

SELECT
    import.line,
    CASE
        WHEN accounts.user_id <> import.user_id THEN 'other_owner'
        WHEN current.line IS NOT NULL THEN 'still_current'
        WHEN stored.line IS NOT NULL THEN 'contradicts_superseded'
        ELSE 'erased'
    END AS status
FROM import
LEFT JOIN accounts ON import.account_id = accounts.id
FULL JOIN current ON import.line = current.line
FULL JOIN stored ON import.line = stored.line
WHERE
    import.superseded_at IS NOT NULL
    AND (
        accounts.user_id IS DISTINCT FROM import.user_id
        OR current.line IS NOT NULL
        OR row(
            import.currency,
            import.amounts,
            import.created_at, import.reason, import.superseded_at, import.superseded_by, import.replaced_by
        )
        IS DISTINCT FROM row(
            stored.currency,
            stored.amounts,
            stored.created_at, stored.reason, stored.superseded_at, stored.superseded_by, stored.replaced_by
        )
    )
ORDER BY import.line;
