-- The outcome of each item of a batch: one row for every item, in the order of the batch. Third of the three statements
-- of a capture, because only a new statement sees what others have committed meanwhile: captures, and erasures.
--
-- Parameters:
--   items    json    [{"user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "balance": "120", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z"}]
--   created  uuid[]  {}  the ids that the second statement returned
-- Columns:
--   status       text             created, duplicate, contradicts_stored, contradicts_batch, other_owner or erased
--   id           text             of the stored snapshot; NULL for other_owner and erased
--   account_id   text
--   captured_at  text             UTC, ISO 8601
--   source       snapshot_source

WITH item AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY account_id, source, captured_at ORDER BY ordinality) AS occurrence
    FROM json_populate_recordset(NULL::balance_snapshots, %(items)s::json) WITH ORDINALITY
),

matched AS (
    SELECT
        item.ordinality,
        item.occurrence,
        item.account_id,
        item.captured_at,
        item.source,
        stored.id,
        -- Not a join: a plan that knows neither length would compare every pair, where this is hashed.
        coalesce(stored.id IN (SELECT created.id FROM unnest(%(created)s::uuid[]) AS created (id)), FALSE) AS is_new,
        accounts.user_id <> item.user_id AS is_other_owner,
        (
            item.currency IS DISTINCT FROM stored.currency
            OR captured_amounts(item.balance, item.available_balance, item.holdings_value, item.cash_value)
            <> captured_amounts(stored.balance, stored.available_balance, stored.holdings_value, stored.cash_value)
        ) AS is_contradiction
    FROM item
    LEFT JOIN accounts ON item.account_id = accounts.id
    LEFT JOIN balance_snapshots AS stored
        ON
            item.user_id = stored.user_id
            AND item.account_id = stored.account_id
            AND item.source = stored.source
            AND item.captured_at = stored.captured_at
)

SELECT
    CASE
        WHEN is_other_owner THEN 'other_owner'
        WHEN id IS NULL THEN 'erased'
        WHEN is_contradiction AND NOT is_new THEN 'contradicts_stored'
        WHEN is_new AND bool_or(is_contradiction) OVER (PARTITION BY id) THEN 'contradicts_batch'
        WHEN is_new AND occurrence = 1 THEN 'created'
        ELSE 'duplicate'
    END AS status,
    id::text AS id,
    account_id::text AS account_id,
    utc_iso8601(captured_at) AS captured_at,
    source
FROM matched
ORDER BY ordinality;
