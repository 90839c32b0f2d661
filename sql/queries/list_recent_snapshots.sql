-- An account's newest snapshots, newest first, each with its change from the one before it in its series; and their
-- summary, from the oldest to the newest of them. No row: there is no such account.
--
-- Parameters:
--   user_id     uuid             d3300000-0000-4000-8000-000000000001  the caller
--   account_id  uuid             d3300000-0000-4000-8000-00000000000a
--   limit       integer          5                                     1 to 100 snapshots at most
--   source      snapshot_source  NULL                                  NULL: snapshots of every source
-- Columns:
--   is_owner  boolean  whether the account is the user's; no snapshot of another user's account is read
--   body      text     the response, in JSON

WITH selected AS (
    -- The newest and the row before them, of every source or of one: the parameter closes the other branch. IS NOT
    -- DISTINCT FROM, which no index serves, keeps the primary key from a rare source (docs/decisions/0003-plans.md).
    (
        SELECT * FROM balance_snapshots
        WHERE
            user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid
            AND %(source)s::snapshot_source IS NULL
        ORDER BY captured_at DESC, id DESC
        LIMIT %(limit)s::integer + 1
    )
    UNION ALL
    (
        -- A source has one snapshot an instant (the natural key), so this order is total.
        SELECT * FROM balance_snapshots
        WHERE
            user_id IS NOT DISTINCT FROM %(user_id)s::uuid AND account_id = %(account_id)s::uuid
            AND source = %(source)s::snapshot_source
        ORDER BY captured_at DESC
        LIMIT %(limit)s::integer + 1
    )
),

compared AS (
    -- Newest first, in the order of the index: the previous snapshot is the next row.
    SELECT
        *,
        CASE currency WHEN lead(currency) OVER newest_first THEN lead(balance) OVER newest_first END AS previous_balance,
        row_number() OVER newest_first AS recency
    FROM selected
    WINDOW newest_first AS (ORDER BY captured_at DESC, id DESC)
),

summary AS (
    SELECT
        string_agg(
            snapshot_json_v1(
                id, account_id, balance, available_balance, holdings_value, cash_value,
                currency, source, captured_at, created_at, previous_balance
            ),
            ',' ORDER BY recency
        ) AS snapshots,
        array_agg(balance ORDER BY recency) AS balances,
        count(*) AS total_count,
        CASE min(currency) WHEN max(currency) THEN min(currency) END AS currency
    FROM compared
    WHERE recency <= %(limit)s::integer
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    history_json_v1(snapshots, total_count, balances[total_count], balances[1], currency) AS body
FROM accounts
CROSS JOIN summary
WHERE accounts.id = %(account_id)s::uuid;
