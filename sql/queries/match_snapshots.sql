-- The outcome of each item of a batch: one row for every item, in the order of the batch. Third of the three statements
-- of a capture, because only a new statement sees what others have committed meanwhile: captures, and erasures.
--
-- Parameters:
--   items    json    [{"user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "balance": "120", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z"}]
--   created  uuid[]  {}  the ids that the second statement returned
-- Columns:
--   status       text             created, duplicate, contradicts_stored, contradicts_batch, other_owner or erased
--   id           text             of the stored snapshot, or of the superseded one; NULL for other_owner and erased
--   account_id   text
--   captured_at  text             UTC, ISO 8601
--   source       snapshot_source

WITH compared AS MATERIALIZED (
    SELECT
        item.*,
        stored.id AS stored_id,
        accounts.user_id <> item.user_id AS is_other_owner,
        coalesce(item.currency = stored.currency AND item.amounts = captured_amounts(stored), FALSE) AS is_equal
    FROM parse_items(%(items)s::json) AS item
    LEFT JOIN accounts ON item.account_id = accounts.id
    LEFT JOIN balance_snapshots AS stored
        ON
            item.user_id = stored.user_id
            AND item.account_id = stored.account_id
            AND item.source = stored.source
            AND item.captured_at = stored.captured_at
),

matched AS (
    -- What stands comes first, then what was superseded with the item's values (rule 33).
    SELECT
        item.ordinality,
        item.account_id,
        item.captured_at,
        item.source,
        item.is_other_owner,
        coalesce(superseded.id, item.stored_id) AS id,
        NOT item.is_equal AND superseded.id IS NULL AS is_contradiction
    FROM compared AS item
    LEFT JOIN LATERAL (
        SELECT id
        FROM superseded_snapshots AS found
        WHERE
            NOT item.is_equal
            AND CASE WHEN user_id = item.user_id THEN TRUE END
            AND account_id = item.account_id
            AND captured_at = item.captured_at AND source = item.source
            AND currency = item.currency AND captured_amounts(found) = item.amounts
        ORDER BY id DESC
        LIMIT 1
    ) AS superseded ON TRUE
),

classified AS (
    SELECT
        *,
        -- Not a join: without knowing the lengths, the planner would compare every pair; IN uses a hash table.
        coalesce(id IN (SELECT created.id FROM unnest(%(created)s::uuid[]) AS created (id)), FALSE) AS is_new,
        row_number() OVER (PARTITION BY id ORDER BY ordinality) AS occurrence
    FROM matched
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
FROM classified
ORDER BY ordinality;
