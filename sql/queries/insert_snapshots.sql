-- Stores the snapshots of a batch whose natural key is new, whose account belongs to their user, and which do not
-- repeat a superseded snapshot (rule 33). Unless all items are new, match_snapshots then returns the outcome of each.
-- Rows are stored in the order of the natural key, so that deliveries of the same batch cannot deadlock. Ids ascend in
-- the order of the batch.
--
-- Parameters:
--   items  json    [{"user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "balance": "120", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z"}]
--   users  uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the items
-- Columns:
--   id           text             a snapshot that is new
--   account_id   text
--   captured_at  text             UTC, ISO 8601
--   source       snapshot_source

WITH item AS (
    SELECT *
    FROM parse_items(%(items)s::json)
),

repetition AS (
    -- CASE, which no index supports, keeps the planner from the primary key: an account may have many corrections.
    SELECT item.ordinality
    FROM item
    INNER JOIN comparable_superseded_snapshots AS superseded
        ON
            item.account_id = superseded.account_id
            AND item.captured_at = superseded.captured_at AND item.source = superseded.source
            AND item.currency = superseded.currency AND item.amounts = superseded.amounts
    WHERE
        CASE WHEN superseded.user_id = item.user_id THEN TRUE END
        AND routed_to(superseded.user_id, %(users)s::uuid[])
),

new AS (
    SELECT DISTINCT ON (item.user_id, item.account_id, item.source, item.captured_at)
        uuid_v7(statement_timestamp(), item.ordinality::integer) AS id,
        item.user_id,
        item.account_id,
        in_currency(item.balance, item.currency) AS balance,
        in_currency(item.available_balance, item.currency) AS available_balance,
        in_currency(item.holdings_value, item.currency) AS holdings_value,
        in_currency(item.cash_value, item.currency) AS cash_value,
        item.currency,
        item.source,
        item.captured_at,
        statement_timestamp() AS created_at
    FROM item
    INNER JOIN accounts ON item.account_id = accounts.id AND item.user_id = accounts.user_id
    WHERE item.ordinality NOT IN (SELECT repetition.ordinality FROM repetition)
    ORDER BY item.user_id, item.account_id, item.source, item.captured_at, item.ordinality
)

INSERT INTO balance_snapshots (
    id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
    captured_at, created_at
)
SELECT
    id,
    user_id,
    account_id,
    balance,
    available_balance,
    holdings_value,
    cash_value,
    currency,
    source,
    captured_at,
    created_at
FROM new
ORDER BY user_id, account_id, source, captured_at
ON CONFLICT (source, account_id, captured_at, user_id) DO NOTHING
RETURNING id::text, account_id::text, utc_iso8601(captured_at) AS captured_at, source;
