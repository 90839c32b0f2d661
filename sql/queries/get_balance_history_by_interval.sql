-- An account's last snapshot in each calendar bucket of a range, oldest first, with the changes and the summary; the first
-- row is compared with the last snapshot before the range. No row: there is no such account.
--
-- Parameters:
--   user_id     uuid             d3300000-0000-4000-8000-000000000001  the caller
--   account_id  uuid             d3300000-0000-4000-8000-00000000000a
--   bounds      timestamptz[]    {2025-10-01T00:00:00Z,2025-11-01T00:00:00Z,2025-12-01T00:00:00Z,2026-01-01T00:00:00Z}  where each bucket starts, then where the last one ends
--   end_date    timestamptz      2025-12-31T23:59:59Z                  the last instant of the range, within the last bucket
--   source      snapshot_source  NULL                                  NULL: snapshots of every source
-- Columns:
--   is_owner  boolean  whether the account is the user's; no snapshot of another user's account is read
--   body      text     the response, in JSON

WITH bucket AS (
    -- The first bucket is all before the range; its end clips the last one. Binary bounds (b) save 1 ms for 365 buckets.
    SELECT
        number,
        coalesce(lag(bound) OVER (ORDER BY number), '-infinity') AS starts_at,
        least(bound, %(end_date)s::timestamptz + interval '1 microsecond') AS ends_at
    FROM unnest(%(bounds)b::timestamptz[]) WITH ORDINALITY AS calendar (bound, number)
),

thinned AS (
    -- Over all sources or over one; docs/decisions/0003-plans.md explains the CASE.
    SELECT
        bucket.number,
        snapshot.*,
        CASE currency WHEN lag(currency) OVER series THEN lag(balance) OVER series END AS previous_balance
    FROM bucket
    CROSS JOIN LATERAL (
        (
            SELECT * FROM formatted_snapshots_v1
            WHERE user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid AND %(source)s::snapshot_source IS NULL
                AND captured_at >= bucket.starts_at AND captured_at < bucket.ends_at
            ORDER BY captured_at DESC, id DESC LIMIT 1
        )
        UNION ALL
        (
            SELECT * FROM formatted_snapshots_v1
            WHERE CASE WHEN user_id = %(user_id)s::uuid THEN TRUE END AND routed_to(user_id, ARRAY[%(user_id)s::uuid])
                AND account_id = %(account_id)s::uuid AND source = %(source)s::snapshot_source
                AND captured_at >= bucket.starts_at AND captured_at < bucket.ends_at
            ORDER BY captured_at DESC LIMIT 1
        )
    ) AS snapshot
    WINDOW series AS (ORDER BY bucket.number)
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    history_json_v1(
        string_agg(snapshot_json_v1(members, balance, previous_balance), ',' ORDER BY number),
        array_agg(balance ORDER BY number) FILTER (WHERE number IS NOT NULL),
        CASE min(currency) WHEN max(currency) THEN min(currency) END
    ) AS body
FROM accounts
LEFT JOIN thinned ON number > 1
WHERE accounts.id = %(account_id)s::uuid
GROUP BY accounts.id;
