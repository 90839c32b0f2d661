-- The newest snapshot of each of a user's accounts, newest first, each with its change from the one before it,
-- whatever their sources; and the balances' totals by currency. Always one row.
--
-- Parameters:
--   user_id   uuid  d3300000-0000-4000-8000-000000000001  who asks
--   trace_id  text  0af7651916cd43dd8448eb211c80319c      the request's
-- Columns:
--   body  text  the response, in JSON

WITH request AS MATERIALIZED (
    -- By this name the server's log and pg_stat_activity know whose statement it is, until the transaction ends.
    SELECT set_config('application_name', %(trace_id)s::text, TRUE)
),

selected AS (
    SELECT snapshot.*
    FROM accounts
    CROSS JOIN LATERAL (
        SELECT * FROM balance_snapshots
        WHERE user_id = %(user_id)s::uuid AND account_id = accounts.id
        ORDER BY captured_at DESC, id DESC
        LIMIT 2
    ) AS snapshot
    WHERE accounts.user_id = %(user_id)s::uuid
),

compared AS (
    SELECT
        *,
        CASE currency WHEN lag(currency) OVER series THEN lag(balance) OVER series END AS previous_balance,
        row_number() OVER (PARTITION BY account_id ORDER BY captured_at DESC, id DESC) AS newness
    FROM selected
    WINDOW series AS (PARTITION BY account_id ORDER BY captured_at, id)
),

latest AS (
    SELECT * FROM compared
    WHERE newness = 1
),

listing AS (
    SELECT
        string_agg(row_to_json(snapshot)::text, ',' ORDER BY latest.captured_at DESC, latest.account_id ASC) AS snapshots,
        count(*) AS total_count
    FROM latest
    CROSS JOIN LATERAL (
        SELECT
            latest.id,
            latest.account_id,
            latest.balance::text AS balance,
            latest.available_balance::text AS available_balance,
            latest.holdings_value::text AS holdings_value,
            latest.cash_value::text AS cash_value,
            latest.currency,
            latest.source,
            utc_iso8601(latest.captured_at) AS captured_at,
            utc_iso8601(latest.created_at) AS created_at,
            (latest.balance - latest.previous_balance)::text AS change_amount,
            change_percent(latest.previous_balance, latest.balance) AS change_percent
    ) AS snapshot
),

totals AS (
    SELECT string_agg(to_json(currency) || ':' || to_json(balance::text), ',' ORDER BY currency) AS balances
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
FROM request
CROSS JOIN listing
CROSS JOIN totals;
