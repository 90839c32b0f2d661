-- Stores the new snapshots of an import: the first line of each natural key, unless other lines contradict it, it was
-- superseded, or the account is another user's. A line with an id and a time of creation keeps them.
--
-- After: create_import
-- Columns:
--   created_count  bigint

WITH created AS (
    INSERT INTO balance_snapshots (
        id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
        captured_at, created_at
    )
    SELECT DISTINCT ON (import.user_id, import.account_id, import.source, import.captured_at)
        coalesce(import.id, uuid_v7(statement_timestamp(), import.line::integer)),
        import.user_id,
        import.account_id,
        in_currency(import.balance, import.currency),
        in_currency(import.available_balance, import.currency),
        in_currency(import.holdings_value, import.currency),
        in_currency(import.cash_value, import.currency),
        import.currency,
        import.source,
        import.captured_at,
        coalesce(import.created_at, statement_timestamp())
    FROM import
    INNER JOIN accounts ON import.account_id = accounts.id AND import.user_id = accounts.user_id
    WHERE
        import.superseded_at IS NULL
        AND import.is_contradicted IS NOT TRUE
        AND import.is_repetition IS NOT TRUE
    ORDER BY import.user_id, import.account_id, import.source, import.captured_at, import.line
    ON CONFLICT DO NOTHING
    RETURNING id
)

SELECT count(*) AS created_count
FROM created;
