-- An account's newest snapshots, newest first, each with its change from the one before it in its series; and
-- their summary, from the oldest to the newest of them. No row: there is no such account.
--
-- Parameters:
--   user_id     uuid             d3300000-0000-4000-8000-000000000001  who asks
--   account_id  uuid             d3300000-0000-4000-8000-00000000000a
--   limit       integer          5                                     1 to 100 snapshots at most
--   source      snapshot_source  NULL                                  NULL: snapshots of every source
--   trace_id    text             0af7651916cd43dd8448eb211c80319c      the request's
-- Columns:
--   is_owner  boolean  whether the account is the user's; no snapshot of another's is read
--   body      text     the response, in JSON

WITH request AS MATERIALIZED (
    -- By this name the server's log and pg_stat_activity know whose statement it is, until the transaction ends.
    SELECT set_config('application_name', %(trace_id)s::text, TRUE)
),

selected AS (
    -- The newest and the row before them, of every source or of one: a parameter opens the one branch or the
    -- other. Of one source it says IS NOT DISTINCT FROM, which no index helps, so that the primary key is never
    -- walked for the few rows of a rare source.
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
        -- The natural key lets a source have one snapshot an instant: this order is total.
        SELECT * FROM balance_snapshots
        WHERE
            user_id IS NOT DISTINCT FROM %(user_id)s::uuid AND account_id = %(account_id)s::uuid
            AND %(source)s::snapshot_source IS NOT NULL
            AND source = %(source)s::snapshot_source
        ORDER BY captured_at DESC
        LIMIT %(limit)s::integer + 1
    )
),

compared AS (
    -- Newest first, as the index has them: the snapshot before is the next row.
    SELECT
        *,
        CASE currency WHEN lead(currency) OVER newest_first THEN lead(balance) OVER newest_first END AS previous_balance,
        row_number() OVER newest_first AS newness
    FROM selected
    WINDOW newest_first AS (ORDER BY captured_at DESC, id DESC)
),

summary AS (
    SELECT
        string_agg(row_to_json(snapshot)::text, ',' ORDER BY compared.newness) AS snapshots,
        array_agg(compared.balance ORDER BY compared.newness) AS balances,
        count(*) AS total_count,
        CASE min(compared.currency) WHEN max(compared.currency) THEN min(compared.currency) END AS currency
    FROM compared
    CROSS JOIN LATERAL (
        SELECT
            compared.id,
            compared.account_id,
            compared.balance::text AS balance,
            compared.available_balance::text AS available_balance,
            compared.holdings_value::text AS holdings_value,
            compared.cash_value::text AS cash_value,
            compared.currency,
            compared.source,
            utc_iso8601(compared.captured_at) AS captured_at,
            utc_iso8601(compared.created_at) AS created_at,
            (compared.balance - compared.previous_balance)::text AS change_amount,
            change_percent(compared.previous_balance, compared.balance) AS change_percent
    ) AS snapshot
    WHERE compared.newness <= %(limit)s::integer
),

span AS (
    SELECT
        *,
        CASE WHEN currency IS NOT NULL THEN balances[total_count] END AS start_balance,
        CASE WHEN currency IS NOT NULL THEN balances[1] END AS end_balance
    FROM summary
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    '{"snapshots":[' || coalesce(span.snapshots, '') || '],' || substr(row_to_json(answer)::text, 2) AS body
FROM request
CROSS JOIN accounts
CROSS JOIN span
CROSS JOIN LATERAL (
    SELECT
        span.total_count,
        span.start_balance::text AS start_balance,
        span.end_balance::text AS end_balance,
        (span.end_balance - span.start_balance)::text AS total_change_amount,
        change_percent(span.start_balance, span.end_balance) AS total_change_percent,
        span.currency
) AS answer
WHERE accounts.id = %(account_id)s::uuid;
