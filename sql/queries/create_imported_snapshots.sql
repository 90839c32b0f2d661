-- Creates the table of the snapshots that an import is to store, in the order in which it stores them: of each natural key
-- the first line, unless other lines contradict it, it was superseded, or the account is another user's. A line with an id
-- and a time of creation keeps them. The table lasts until the transaction ends.
--
-- After: create_import

CREATE TEMPORARY TABLE imported_snapshots ON COMMIT DROP AS
SELECT
    row_number() OVER (ORDER BY user_id, account_id, source, captured_at) AS place,
    coalesce(id, uuid_v7(statement_timestamp(), line::integer)) AS id,
    user_id,
    account_id,
    in_currency(balance, currency) AS balance,
    in_currency(available_balance, currency) AS available_balance,
    in_currency(holdings_value, currency) AS holdings_value,
    in_currency(cash_value, currency) AS cash_value,
    currency,
    source,
    captured_at,
    coalesce(created_at, statement_timestamp()) AS created_at
FROM (
    SELECT DISTINCT ON (import.user_id, import.account_id, import.source, import.captured_at) import.*
    FROM import
    INNER JOIN accounts ON import.account_id = accounts.id AND import.user_id = accounts.user_id
    WHERE
        import.superseded_at IS NULL
        AND import.is_contradicted IS NOT TRUE
        AND import.is_repetition IS NOT TRUE
    ORDER BY import.user_id, import.account_id, import.source, import.captured_at, import.line
) AS first_line;
