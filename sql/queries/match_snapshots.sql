-- The outcome of each item of a batch: one row for every item, in the order of the batch. This is the last statement of
-- a capture, because only a new statement sees what other captures have committed meanwhile.
--
-- Parameters:
--   items    json    [{"user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "balance": "120", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z"}]
--   users    uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the items
--   created  uuid[]  {}  the ids that insert_snapshots returned
-- Columns:
--   status       text             created, duplicate, contradicts_stored, contradicts_batch, other_owner or unregistered
--   id           text             of the stored snapshot, or of the superseded one; NULL for other_owner and unregistered
--   account_id   text
--   captured_at  text             UTC, ISO 8601
--   source       snapshot_source

WITH item AS (
    SELECT *
    FROM parse_items(%(items)s::json)
),

stored AS (
    SELECT
        item.ordinality,
        stored.id,
        item.currency = stored.currency AND item.amounts = stored.amounts AS is_equal
    FROM item
    INNER JOIN comparable_snapshots AS stored
        ON
            item.user_id = stored.user_id AND item.account_id = stored.account_id
            AND item.source = stored.source AND item.captured_at = stored.captured_at
    WHERE routed_to(stored.user_id, %(users)s::uuid[])
),

compared AS MATERIALIZED (
    SELECT
        item.*,
        stored.id AS stored_id,
        coalesce(stored.is_equal, FALSE) AS is_equal
    FROM item
    FULL JOIN stored ON item.ordinality = stored.ordinality
),

superseded AS (
    -- CASE, which no index supports, keeps the planner from the primary key: an account may have many corrections.
    SELECT DISTINCT ON (item.ordinality)
        item.ordinality,
        superseded.id
    FROM compared AS item
    INNER JOIN comparable_superseded_snapshots AS superseded
        ON
            item.account_id = superseded.account_id
            AND item.captured_at = superseded.captured_at AND item.source = superseded.source
            AND item.currency = superseded.currency AND item.amounts = superseded.amounts
    WHERE
        NOT item.is_equal
        AND CASE WHEN superseded.user_id = item.user_id THEN TRUE END
        AND routed_to(superseded.user_id, %(users)s::uuid[])
    ORDER BY item.ordinality ASC, superseded.id DESC
),

matched AS (
    -- A current snapshot with the item's values takes precedence over a superseded one (rule 33).
    SELECT
        item.ordinality,
        item.account_id,
        item.captured_at,
        item.source,
        accounts.user_id <> item.user_id AS is_other_owner,
        coalesce(superseded.id, item.stored_id) AS id,
        NOT item.is_equal AND superseded.id IS NULL AS is_contradiction
    FROM compared AS item
    FULL JOIN superseded ON item.ordinality = superseded.ordinality
    LEFT JOIN accounts ON item.account_id = accounts.id
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
        WHEN id IS NULL THEN 'unregistered'
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
