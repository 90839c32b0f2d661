-- Stores the new superseded snapshots of an import: the first line of each id, unless the account is another user's or
-- a current snapshot has this id and key.
--
-- After: create_import
-- Parameters:
--   users  uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the import; NULL: too many to list
-- Columns:
--   id  uuid

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

new AS (
    SELECT DISTINCT ON (import.user_id, import.account_id, import.source, import.captured_at, import.id)
        import.id,
        import.user_id,
        import.account_id,
        in_currency(import.balance, import.currency) AS balance,
        in_currency(import.available_balance, import.currency) AS available_balance,
        in_currency(import.holdings_value, import.currency) AS holdings_value,
        in_currency(import.cash_value, import.currency) AS cash_value,
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
        AND import.line NOT IN (SELECT current.line FROM current)
    ORDER BY import.user_id, import.account_id, import.source, import.captured_at, import.id, import.line
)

INSERT INTO superseded_snapshots (
    id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
    captured_at, created_at, reason, superseded_at, superseded_by, replaced_by
)
SELECT
    id,
    user_id,
    account_id,
    balance,
    available_balance,
    holdings_value,
    cash_value,
    currency,
    source,
    captured_at,
    created_at,
    reason,
    superseded_at,
    superseded_by,
    replaced_by
FROM new
ORDER BY user_id, account_id, source, captured_at, id
ON CONFLICT DO NOTHING
RETURNING id;
