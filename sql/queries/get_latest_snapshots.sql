-- The newest snapshot of each of a user's accounts, now or as of an instant, newest first, each with its change from the
-- previous one, regardless of source; and the totals of the balances by currency. Always one row.
--
-- Parameters:
--   user_id  uuid         d3300000-0000-4000-8000-000000000001  the caller
--   as_of    timestamptz  NULL                                  ignore snapshots captured later; NULL: ignore none
-- Columns:
--   body  text  the response, in JSON

WITH compared AS (
    SELECT
        snapshot.*,
        CASE snapshot.currency WHEN lag(snapshot.currency) OVER series THEN lag(snapshot.balance) OVER series END
            AS previous_balance,
        row_number() OVER (PARTITION BY snapshot.account_id ORDER BY snapshot.captured_at DESC, snapshot.id DESC) AS recency
    FROM accounts
    CROSS JOIN LATERAL (
        SELECT * FROM balance_snapshots
        WHERE
            user_id = %(user_id)s::uuid AND account_id = accounts.id
            AND captured_at <= coalesce(%(as_of)s::timestamptz, 'infinity')
        ORDER BY captured_at DESC, id DESC
        LIMIT 2
    ) AS snapshot
    WHERE accounts.user_id = %(user_id)s::uuid
    WINDOW series AS (PARTITION BY snapshot.account_id ORDER BY snapshot.captured_at, snapshot.id)
),

latest AS (
    SELECT * FROM compared
    WHERE recency = 1
),

listing AS (
    SELECT
        string_agg(
            snapshot_json_v1(
                id, account_id, balance, available_balance, holdings_value, cash_value,
                currency, source, captured_at, created_at, previous_balance
            ),
            ',' ORDER BY captured_at DESC, account_id ASC
        ) AS snapshots,
        count(*) AS total_count
    FROM latest
),

totals AS (
    SELECT string_agg('"' || currency || '":"' || balance || '"', ',' ORDER BY currency) AS balances
    FROM (
        SELECT
            currency,
            sum(balance) AS balance
        FROM latest
        GROUP BY currency
    ) AS total
)

SELECT
    '{"snapshots":[' || coalesce(listing.snapshots, '') || '],"total_count":' || listing.total_count
    || ',"total_balance_by_currency":{' || coalesce(totals.balances, '') || '}}' AS body
FROM listing
CROSS JOIN totals;
