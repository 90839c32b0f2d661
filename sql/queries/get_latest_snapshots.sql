-- The newest snapshot of each of a user's accounts, now or as of an instant, newest first, each with its change from the
-- previous one, regardless of source; and the totals of the balances by currency. Always one row.
--
-- Parameters:
--   user_id  uuid         d3300000-0000-4000-8000-000000000001  the caller
--   as_of    timestamptz  NULL                                  ignore snapshots captured later; NULL: ignore none
-- Columns:
--   body  text  the response, in JSON

WITH latest AS (
    SELECT snapshot.*
    FROM accounts
    CROSS JOIN LATERAL (
        -- Only two snapshots are read, because lead() needs no more than the next one.
        SELECT
            *,
            CASE currency WHEN lead(currency) OVER series THEN lead(balance) OVER series END AS previous_balance
        FROM formatted_snapshots_v1
        WHERE
            user_id = %(user_id)s::uuid AND account_id = accounts.id
            AND captured_at <= coalesce(%(as_of)s::timestamptz, 'infinity')
        WINDOW series AS (ORDER BY captured_at DESC, id DESC)
        ORDER BY captured_at DESC, id DESC
        LIMIT 1
    ) AS snapshot
    WHERE accounts.user_id = %(user_id)s::uuid
),

listing AS (
    SELECT
        string_agg(
            snapshot_json_v1(members, balance, previous_balance), ',' ORDER BY captured_at DESC, account_id ASC
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
