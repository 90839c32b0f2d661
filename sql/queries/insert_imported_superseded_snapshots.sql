-- Stores the new superseded snapshots of an import: the first line of each id, unless the account is another user's or
-- the snapshot stands.
--
-- After: create_import
-- Columns:
--   created_count  bigint

WITH created AS (
    INSERT INTO superseded_snapshots (
        id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
        captured_at, created_at, reason, superseded_at, superseded_by, replaced_by
    )
    SELECT DISTINCT ON (import.user_id, import.account_id, import.source, import.captured_at, import.id)
        import.id,
        import.user_id,
        import.account_id,
        in_currency(import.balance, import.currency),
        in_currency(import.available_balance, import.currency),
        in_currency(import.holdings_value, import.currency),
        in_currency(import.cash_value, import.currency),
        import.currency,
        import.source,
        import.captured_at,
        import.created_at,
        import.reason,
        import.superseded_at,
        import.superseded_by,
        import.replaced_by
    FROM import
    INNER JOIN accounts ON import.account_id = accounts.id AND import.user_id = accounts.user_id
    WHERE
        import.superseded_at IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM balance_snapshots AS standing
            WHERE
                standing.user_id = import.user_id AND standing.account_id = import.account_id
                AND standing.source = import.source AND standing.captured_at = import.captured_at
                AND standing.id = import.id
        )
    ORDER BY import.user_id, import.account_id, import.source, import.captured_at, import.id, import.line
    ON CONFLICT DO NOTHING
    RETURNING id
)

SELECT count(*) AS created_count
FROM created;
