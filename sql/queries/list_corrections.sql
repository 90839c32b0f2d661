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
    -- The page and one more row, which shows whether another page follows. On the first page the id is NULL; it is not
    -- compared, because no stored time is infinite.
    SELECT * FROM formatted_superseded_snapshots_v1
    WHERE
        user_id = %(user_id)s::uuid AND account_id = %(account_id)s::uuid
        AND (superseded_at, id) < (coalesce(%(before_superseded_at)s::timestamptz, 'infinity'), %(before_id)s::uuid)
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
)

SELECT
    accounts.user_id = %(user_id)s::uuid AS is_owner,
    '{"corrections":[' || coalesce(string_agg(json, ',' ORDER BY recency), '')
    || '],"total_count":' || count(recency) || '}' AS body,
    utc_iso8601(min(superseded_at) FILTER (WHERE recency = %(limit)s::integer AND has_next)) AS last_superseded_at,
    min(numbered.id::text) FILTER (WHERE recency = %(limit)s::integer AND has_next) AS last_id
FROM accounts
LEFT JOIN numbered ON recency <= %(limit)s::integer
WHERE accounts.id = %(account_id)s::uuid
GROUP BY accounts.id;
