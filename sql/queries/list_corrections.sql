-- A page of an account's superseded snapshots, newest correction first. No row: there is no such account.
--
-- Parameters:
--   user_id               uuid         d3300000-0000-4000-8000-000000000001  the caller
--   account_id            uuid         d3300000-0000-4000-8000-00000000000a
--   limit                 integer      5                                     the maximum number of snapshots, 1 to 100
--   before_superseded_at  timestamptz  NULL                                  the last snapshot of the previous page;
--   before_id             uuid         NULL                                  NULL: this is the first page
-- Columns:
--   is_owner            boolean  whether the account is the user's; no snapshot of another user's account is read
--   body                text     the response, in JSON
--   last_superseded_at  text     the last snapshot of the page, UTC, ISO 8601; NULL: this is the last page
--   last_id             text

WITH selected AS (
    -- The page and one more row, which shows whether another page follows.
    SELECT * FROM superseded_snapshots
    WHERE
        user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid
        AND (superseded_at, id) < (
            coalesce(%(before_superseded_at)s::timestamptz, 'infinity'),
            coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
    ORDER BY superseded_at DESC, id DESC
    LIMIT %(limit)s::integer + 1
),

numbered AS (
    SELECT
        *,
        row_number() OVER newest_first AS recency,
        lead(id) OVER newest_first IS NOT NULL AS has_next
    FROM selected
    WINDOW newest_first AS (ORDER BY superseded_at DESC, id DESC)
),

listing AS (
    SELECT
        string_agg(
            superseded_snapshot_json_v1(
                id, account_id, balance, available_balance, holdings_value, cash_value,
                currency, source, captured_at, created_at, reason, superseded_at, superseded_by, replaced_by
            ),
            ',' ORDER BY recency
        ) AS corrections,
        count(*) AS total_count
    FROM numbered
    WHERE recency <= %(limit)s::integer
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    '{"corrections":[' || coalesce(listing.corrections, '') || '],"total_count":' || listing.total_count || '}' AS body,
    utc_iso8601(last.superseded_at) AS last_superseded_at,
    last.id::text AS last_id
FROM accounts
CROSS JOIN listing
LEFT JOIN numbered AS last ON last.recency = %(limit)s::integer AND last.has_next
WHERE accounts.id = %(account_id)s::uuid;
