-- A page of an account's snapshots, newest first, with their changes and summary. No row: there is no such account.
--
-- Parameters:
--   user_id             uuid             d3300000-0000-4000-8000-000000000001  the caller
--   account_id          uuid             d3300000-0000-4000-8000-00000000000a
--   limit               integer          5                                     the maximum number of snapshots, 1 to 100
--   source              snapshot_source  NULL                                  NULL: snapshots of every source
--   before_captured_at  timestamptz      NULL                                  the last snapshot of the previous page;
--   before_id           uuid             NULL                                  NULL: this is the first page
-- Columns:
--   is_owner          boolean  whether the account is the user's; no snapshot of another user's account is read
--   body              text     the response, in JSON
--   last_captured_at  text     the last snapshot of the page, UTC, ISO 8601; NULL: this is the last page
--   last_id           text

WITH selected AS (
    -- The page and the row before it, over all sources or one: the parameter disables the other branch. CASE, which no
    -- index supports, keeps the planner from scanning the primary key for a rare source (docs/decisions/0003-plans.md).
    (
        SELECT * FROM balance_snapshots
        WHERE
            user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid
            AND %(source)s::snapshot_source IS NULL
            AND (captured_at, id) < (
                coalesce(%(before_captured_at)s::timestamptz, 'infinity'),
                coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            )
        ORDER BY captured_at DESC, id DESC
        LIMIT %(limit)s::integer + 1
    )
    UNION ALL
    (
        -- A source has one snapshot per instant (the natural key), so this order is total.
        SELECT * FROM balance_snapshots
        WHERE
            CASE WHEN user_id = %(user_id)s::uuid THEN TRUE END
            AND routed_to(user_id, ARRAY[%(user_id)s::uuid])
            AND account_id = %(account_id)s::uuid AND source = %(source)s::snapshot_source
            AND captured_at < coalesce(%(before_captured_at)s::timestamptz, 'infinity')
        ORDER BY captured_at DESC
        LIMIT %(limit)s::integer + 1
    )
),

compared AS (
    -- Newest first, which is the order of the index: the previous snapshot is the next row.
    SELECT
        *,
        CASE currency WHEN lead(currency) OVER newest_first THEN lead(balance) OVER newest_first END AS previous_balance,
        row_number() OVER newest_first AS recency,
        lead(id) OVER newest_first IS NOT NULL AS has_next
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
    history_json_v1(snapshots, total_count, balances[total_count], balances[1], summary.currency) AS body,
    utc_iso8601(last.captured_at) AS last_captured_at,
    last.id::text AS last_id
FROM accounts
CROSS JOIN summary
LEFT JOIN compared AS last ON last.recency = %(limit)s::integer AND last.has_next
WHERE accounts.id = %(account_id)s::uuid;
