-- The value of a user's accounts over time (rule 28): a series per currency, a point per bucket. Always one row.
--
-- Parameters:
--   user_id    uuid           d3300000-0000-4000-8000-000000000001  the caller
--   bounds     timestamptz[]  {2025-10-01T00:00:00Z,2025-11-01T00:00:00Z,2025-12-01T00:00:00Z,2026-01-01T00:00:00Z}  where each bucket starts, then where the last one ends
--   end_date   timestamptz    2025-12-31T23:59:59Z                  the last instant of the range, within the last bucket
--   interval   text           month                                 named in the response
--   time_zone  text           UTC                                   named in the response
--   maximum    integer        30000                                 a portfolio with more accounts is too large
-- Columns:
--   body          text     the response, in JSON; it has no series if the portfolio is too large
--   is_too_large  boolean  whether the user has more accounts than the maximum

WITH bucket AS (
    -- The first bucket is all before the range; future ones are left out. Binary bounds (b) save 1 ms for a year of days.
    SELECT
        number,
        coalesce((%(bounds)b::timestamptz[])[number - 1], '-infinity') AS starts_at,
        bound AS ends_at
    FROM unnest(%(bounds)b::timestamptz[]) WITH ORDINALITY AS calendar (bound, number)
    WHERE number = 1 OR (%(bounds)b::timestamptz[])[number - 1] <= statement_timestamp()
),

counted AS (
    SELECT count(*) > %(maximum)s::integer AS is_too_large FROM accounts
    WHERE user_id = %(user_id)s::uuid
),

carried AS (
    -- Each account's last snapshot before the end of each bucket, however old. The end of the range clips the last bucket.
    SELECT
        bucket.number,
        snapshot.*,
        lag(snapshot.balance) OVER account AS previous_balance,
        lag(snapshot.currency) OVER account AS previous_currency
    FROM accounts
    CROSS JOIN bucket
    CROSS JOIN LATERAL (
        SELECT * FROM balance_snapshots
        WHERE
            user_id = %(user_id)s::uuid AND account_id = accounts.id
            AND captured_at < least(bucket.ends_at, %(end_date)s::timestamptz + interval '1 microsecond')
        ORDER BY captured_at DESC, id DESC
        LIMIT 1
    ) AS snapshot
    WHERE accounts.user_id = %(user_id)s::uuid AND NOT (SELECT counted.is_too_large FROM counted)
    WINDOW account AS (PARTITION BY accounts.id ORDER BY bucket.number)
),

point AS (
    -- An account that changed its currency counts in the series that it left too: its previous balance left with it.
    SELECT
        bucket.number,
        bucket.starts_at,
        bucket.ends_at,
        series.currency,
        sum(carried.balance) FILTER (WHERE carried.currency = series.currency) AS balance,
        lag(sum(carried.balance) FILTER (WHERE carried.currency = series.currency)) OVER calendar AS previous_balance,
        in_currency(0, series.currency) + coalesce(sum(CASE
            WHEN carried.previous_currency IS NOT DISTINCT FROM carried.currency THEN NULL
            WHEN carried.currency = series.currency THEN carried.balance
            ELSE -carried.previous_balance
        END), 0) AS entered_amount,
        count(*) FILTER (WHERE carried.currency = series.currency) AS account_count,
        count(*) FILTER (WHERE carried.currency = series.currency AND carried.captured_at >= bucket.starts_at)
            AS observed_count,
        min(carried.captured_at) FILTER (WHERE carried.currency = series.currency) AS oldest_captured_at
    FROM (
        SELECT DISTINCT currency FROM carried AS shown
        WHERE number > 1
    ) AS series
    CROSS JOIN bucket
    LEFT JOIN carried
        ON bucket.number = carried.number AND series.currency IN (carried.currency, carried.previous_currency)
    GROUP BY bucket.number, bucket.starts_at, bucket.ends_at, series.currency
    WINDOW calendar AS (PARTITION BY series.currency ORDER BY bucket.number)
),

series AS (
    SELECT
        currency,
        string_agg(
            portfolio_point_json_v1(
                starts_at, ends_at,
                ends_at <= least(%(end_date)s::timestamptz + interval '1 second', statement_timestamp()),
                balance, previous_balance, entered_amount, account_count, observed_count, oldest_captured_at
            ),
            ',' ORDER BY number
        ) AS points,
        count(*) AS point_count,
        (array_agg(balance ORDER BY number) FILTER (WHERE balance IS NOT NULL))[1] AS start_balance,
        (array_agg(balance ORDER BY number DESC))[1] AS end_balance
    FROM point
    WHERE number > 1
    GROUP BY currency
)

SELECT
    '{"interval":"' || %(interval)s::text || '","time_zone":"' || %(time_zone)s::text || '","series":['
    || coalesce(string_agg(portfolio_series_json_v1(currency, points, start_balance, end_balance), ',' ORDER BY currency), '')
    || '],"total_count":' || coalesce(max(point_count), 0) || '}' AS body,
    (SELECT counted.is_too_large FROM counted) AS is_too_large
FROM series;
