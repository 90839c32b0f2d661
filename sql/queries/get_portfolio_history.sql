-- The value of a user's accounts over time (rule 28): a series per currency, a point per bucket. No row if it is too large.
--
-- Parameters:
--   user_id    uuid           d3300000-0000-4000-8000-000000000001  the caller
--   bounds     timestamptz[]  {2025-10-01T00:00:00Z,2025-11-01T00:00:00Z,2025-12-01T00:00:00Z,2026-01-01T00:00:00Z}  where each bucket starts, then where the last one ends
--   end_date   timestamptz    2025-12-31T23:59:59Z                  the last instant of the range, within the last bucket
--   interval   text           month                                 named in the response
--   time_zone  text           UTC                                   named in the response
--   maximum    integer        100000                                a portfolio with more balances, one per account and bucket, is too large
-- Columns:
--   body  text  the response, in JSON

WITH bucket AS (
    -- The first bucket is all before the range; future ones are left out. Binary bounds (b) save 1 ms for a year of days.
    SELECT * FROM unnest('{-infinity}' || %(bounds)b::timestamptz[], %(bounds)b::timestamptz[]) AS calendar (starts_at, ends_at)
    WHERE starts_at <= statement_timestamp() AND ends_at IS NOT NULL
),

carried AS (
    -- Each account's last snapshot before a bucket ends, however old; its balance again if it enters its currency here or leaves it next.
    SELECT
        bucket.starts_at,
        snapshot.balance,
        snapshot.currency,
        snapshot.captured_at,
        CASE WHEN lag(snapshot.currency, 1, '') OVER account <> snapshot.currency THEN snapshot.balance END AS entering,
        CASE WHEN lead(snapshot.currency) OVER account <> snapshot.currency THEN snapshot.balance END AS leaving
    FROM accounts CROSS JOIN bucket
    CROSS JOIN LATERAL (
        SELECT * FROM balance_snapshots
        WHERE user_id = %(user_id)s::uuid AND account_id = accounts.id
            AND captured_at < bucket.ends_at AND captured_at <= %(end_date)s::timestamptz
        ORDER BY captured_at DESC, id DESC LIMIT 1
    ) AS snapshot
    WHERE accounts.user_id = %(user_id)s::uuid
    WINDOW account AS (PARTITION BY accounts.id ORDER BY bucket.starts_at)
),

point AS (
    SELECT
        series.currency,
        bucket.starts_at,
        sum(carried.balance) AS balance,
        portfolio_point_json_v1(
            bucket.starts_at, bucket.ends_at,
            is_complete => bucket.ends_at <= least(%(end_date)s::timestamptz + interval '1 second', statement_timestamp()),
            balance => sum(carried.balance), previous_balance => lag(sum(carried.balance)) OVER calendar,
            entered_amount => in_currency(0, series.currency)
            + coalesce(sum(carried.entering), 0) - coalesce(lag(sum(carried.leaving)) OVER calendar, 0),
            account_count => count(carried.balance), oldest_captured_at => min(carried.captured_at),
            observed_count => count(*) FILTER (WHERE carried.captured_at >= bucket.starts_at)
        ) AS json
    FROM (SELECT DISTINCT currency FROM carried AS held) AS series CROSS JOIN bucket
    LEFT JOIN carried ON series.currency = carried.currency AND bucket.starts_at = carried.starts_at
    GROUP BY series.currency, bucket.starts_at, bucket.ends_at
    WINDOW calendar AS (PARTITION BY series.currency ORDER BY bucket.starts_at)
),

series AS (
    SELECT
        currency,
        string_agg(json, ',' ORDER BY starts_at) AS points,
        count(*) AS point_count,
        (array_agg(balance ORDER BY starts_at) FILTER (WHERE balance IS NOT NULL))[1] AS start_balance,
        (array_agg(balance ORDER BY starts_at DESC))[1] AS end_balance
    FROM point
    WHERE starts_at > '-infinity'
    GROUP BY currency
    HAVING count(balance) > 0
)

SELECT
    '{"interval":"' || %(interval)s::text || '","time_zone":"' || %(time_zone)s::text || '","series":['
    || coalesce(string_agg(portfolio_series_json_v1(currency, points, start_balance, end_balance), ',' ORDER BY currency), '')
    || '],"total_count":' || coalesce(max(point_count), 0) || '}' AS body
FROM series
HAVING (
    SELECT count(*) FROM accounts
    WHERE user_id = %(user_id)s::uuid
) * (SELECT count(*) - 1 FROM bucket) <= %(maximum)s::integer;
