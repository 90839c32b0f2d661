-- Creates the table of the snapshots that an import is to store, numbered in the order in which it stores them: the
-- first line of each natural key, unless other lines contradict it, it repeats a superseded snapshot, or the account is
-- another user's. An id or a creation time in the file is kept. The table lasts until the transaction ends.
--
-- After: create_import

CREATE TEMPORARY TABLE imported_snapshots ON COMMIT DROP AS
SELECT
    row_number() OVER (ORDER BY user_id, account_id, source, captured_at) AS place,
    -- In the order of the table's columns.
    row(
        coalesce(id, uuid_v7(statement_timestamp(), line::integer)),
        user_id,
        account_id,
        in_currency(balance, currency),
        in_currency(available_balance, currency),
        in_currency(holdings_value, currency),
        in_currency(cash_value, currency),
        currency,
        source,
        captured_at,
        coalesce(created_at, statement_timestamp())
    )::balance_snapshots AS snapshot
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
