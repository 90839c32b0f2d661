-- An account's snapshots in a range of time, oldest first, with their changes and summary. No row: no such account.
--
-- Parameters:
--   user_id     uuid             d3300000-0000-4000-8000-000000000001  the caller
--   account_id  uuid             d3300000-0000-4000-8000-00000000000a
--   start_date  timestamptz      2025-12-25T00:00:00Z                  inclusive
--   end_date    timestamptz      2025-12-31T23:59:59Z                  inclusive
--   source      snapshot_source  NULL                                  NULL: snapshots of every source
--   maximum     integer          10000                                 a range with more snapshots is too long
-- Columns:
--   is_owner     boolean  whether the account is the user's; no snapshot of another user's account is read
--   body         text     the response, in JSON; it has no snapshots if the range is too long
--   is_too_long  boolean  whether the range holds more than the maximum

WITH selected AS (
    -- The range and the row before it, over all sources or over one; docs/decisions/0003-plans.md explains the CASE.
    SELECT snapshot.*
    FROM (
        VALUES
        (%(start_date)s::timestamptz, %(end_date)s::timestamptz + interval '1 microsecond', %(maximum)s::integer + 1),
        ('-infinity', %(start_date)s::timestamptz, 1)
    ) AS part (starts_at, ends_at, maximum)
    CROSS JOIN LATERAL (
        (
            SELECT * FROM balance_snapshots
            WHERE user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid
                AND %(source)s::snapshot_source IS NULL AND captured_at >= part.starts_at AND captured_at < part.ends_at
            ORDER BY captured_at DESC, id DESC LIMIT part.maximum
        )
        UNION ALL
        (
            SELECT * FROM balance_snapshots
            WHERE CASE WHEN user_id = %(user_id)s::uuid THEN TRUE END AND routed_to(user_id, ARRAY[%(user_id)s::uuid])
                AND account_id = %(account_id)s::uuid AND source = %(source)s::snapshot_source
                AND captured_at >= part.starts_at AND captured_at < part.ends_at
            ORDER BY captured_at DESC LIMIT part.maximum
        )
    ) AS snapshot
),

counted AS (
    SELECT count(*) > %(maximum)s::integer AS is_too_long FROM selected
    WHERE captured_at >= %(start_date)s::timestamptz
),

compared AS (
    SELECT
        *,
        snapshot_members_json_v1(
            id, account_id, balance, available_balance, holdings_value, cash_value, currency, source, captured_at, created_at
        ) AS members,
        CASE currency WHEN lag(currency) OVER series THEN lag(balance) OVER series END AS previous_balance
    FROM selected
    WINDOW series AS (ORDER BY captured_at, id)
),

history AS (
    -- Aggregated before the join, after which the rows would need a second sort. A range that is too long is not formatted.
    SELECT
        history_json_v1(
            string_agg(snapshot_json_v1(members, balance, previous_balance), ',' ORDER BY captured_at, id),
            array_agg(balance ORDER BY captured_at, id),
            CASE min(currency) WHEN max(currency) THEN min(currency) END
        ) AS body
    FROM compared
    WHERE captured_at >= %(start_date)s::timestamptz AND NOT (SELECT counted.is_too_long FROM counted)
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    history.body,
    counted.is_too_long
FROM accounts
CROSS JOIN history
CROSS JOIN counted
WHERE accounts.id = %(account_id)s::uuid;
