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
    -- The page and the row before it, over all sources or one; docs/decisions/0003-plans.md explains the CASE. On the
    -- first page the id is NULL; it is not compared, because no stored time is infinite.
    (
        SELECT * FROM formatted_snapshots_v1
        WHERE user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid AND %(source)s::snapshot_source IS NULL
            AND (captured_at, id) < (coalesce(%(before_captured_at)s::timestamptz, 'infinity'), %(before_id)s::uuid)
        ORDER BY captured_at DESC, id DESC LIMIT %(limit)s::integer + 1
    )
    UNION ALL
    (
        -- A source has one snapshot per instant (the natural key), so this order is total.
        SELECT * FROM formatted_snapshots_v1
        WHERE CASE WHEN user_id = %(user_id)s::uuid THEN TRUE END AND routed_to(user_id, ARRAY[%(user_id)s::uuid])
            AND account_id = %(account_id)s::uuid AND source = %(source)s::snapshot_source
            AND captured_at < coalesce(%(before_captured_at)s::timestamptz, 'infinity')
        ORDER BY captured_at DESC LIMIT %(limit)s::integer + 1
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
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    history_json_v1(
        string_agg(snapshot_json_v1(members, balance, previous_balance), ',' ORDER BY recency),
        array_agg(balance ORDER BY recency DESC) FILTER (WHERE recency IS NOT NULL),
        CASE min(currency) WHEN max(currency) THEN min(currency) END
    ) AS body,
    utc_iso8601(min(captured_at) FILTER (WHERE recency = %(limit)s::integer AND has_next)) AS last_captured_at,
    min(compared.id::text) FILTER (WHERE recency = %(limit)s::integer AND has_next) AS last_id
FROM accounts
LEFT JOIN compared ON recency <= %(limit)s::integer
WHERE accounts.id = %(account_id)s::uuid
GROUP BY accounts.id;
