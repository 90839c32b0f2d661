-- Stores the snapshots of a batch whose natural key is new, whose account is its user's, and which were not superseded
-- (rule 33). Second of the three statements of a capture; unless all items are new, the third returns the outcome of
-- each. Rows are stored in the order of the natural key, so that deliveries of the same batch cannot deadlock. Ids ascend
-- in the order of the batch.
--
-- Parameters:
--   items  json  [{"user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "balance": "120", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z"}]
-- Columns:
--   id           text             a snapshot that is new
--   account_id   text
--   captured_at  text             UTC, ISO 8601
--   source       snapshot_source

INSERT INTO balance_snapshots (
    id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
    captured_at, created_at
)
SELECT DISTINCT ON (item.user_id, item.account_id, item.source, item.captured_at)
    uuid_v7(statement_timestamp(), item.ordinality::integer),
    item.user_id,
    item.account_id,
    in_currency(item.balance, item.currency),
    in_currency(item.available_balance, item.currency),
    in_currency(item.holdings_value, item.currency),
    in_currency(item.cash_value, item.currency),
    item.currency,
    item.source,
    item.captured_at,
    statement_timestamp()
FROM parse_items(%(items)s::json) AS item
INNER JOIN accounts ON item.account_id = accounts.id AND item.user_id = accounts.user_id
WHERE NOT EXISTS (
    SELECT FROM superseded_snapshots AS superseded
    WHERE
        -- CASE, which no index supports, keeps the planner from the primary key: an account may have many corrections.
        CASE WHEN superseded.user_id = item.user_id THEN TRUE END
        AND superseded.account_id = item.account_id
        AND superseded.captured_at = item.captured_at AND superseded.source = item.source
        AND superseded.currency = item.currency AND captured_amounts(superseded) = item.amounts
)
ORDER BY item.user_id, item.account_id, item.source, item.captured_at, item.ordinality
ON CONFLICT DO NOTHING
RETURNING id::text, account_id::text, utc_iso8601(captured_at) AS captured_at, source;
