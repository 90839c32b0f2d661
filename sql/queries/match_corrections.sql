-- The outcome that each correction of a batch would have now: one row for every correction, in the order of the batch.
-- Runs while nothing of the batch is stored, and outside the transaction that stores it: a cluster lets no other role read
-- a table from which supersede_snapshots has deleted in the same transaction.
--
-- Parameters:
--   items  json    [{"id": "01a203c8-7a81-7ad0-81ee-31ba180ec3ff", "user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z", "reason": "Cents as dollars.", "balance": "1.20", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD"}]
--   users  uuid[]  {d3300000-0000-4000-8000-000000000001}  those of the items
-- Columns:
--   status       text  corrected, withdrawn, duplicate, contradicts_stored, contradicts_batch or not_stored
--   id           text  of the snapshot
--   replaced_by  text  the id of the stored replacement; NULL: the snapshot is withdrawn, or was not superseded
--   current_id   text  the current snapshot under this key; NULL: none

WITH item AS (
    SELECT *
    FROM parse_items(%(items)s::json)
),

superseded AS (
    -- CASE, which no index supports, keeps the planner from the primary key: an account may have many corrections.
    SELECT
        item.*,
        superseded.replaced_by AS replacement_id
    FROM item
    INNER JOIN superseded_snapshots AS superseded
        ON
            item.account_id = superseded.account_id
            AND item.captured_at = superseded.captured_at AND item.source = superseded.source
            AND item.id = superseded.id
    WHERE
        CASE WHEN superseded.user_id = item.user_id THEN TRUE END
        AND routed_to(superseded.user_id, %(users)s::uuid[])
),

current AS (
    SELECT
        item.ordinality,
        current.id,
        current.currency,
        current.amounts
    FROM item
    INNER JOIN comparable_snapshots AS current
        ON
            item.user_id = current.user_id AND item.account_id = current.account_id
            AND item.captured_at = current.captured_at AND item.source = current.source
    WHERE routed_to(current.user_id, %(users)s::uuid[])
),

replacement AS (
    -- A replacement is current unless it was superseded too.
    SELECT
        superseded.ordinality,
        current.currency,
        current.amounts
    FROM superseded
    INNER JOIN current
        ON superseded.ordinality = current.ordinality AND superseded.replacement_id = current.id
    UNION ALL
    SELECT
        item.ordinality,
        replacement.currency,
        replacement.amounts
    FROM superseded AS item
    INNER JOIN comparable_superseded_snapshots AS replacement
        ON
            item.account_id = replacement.account_id
            AND item.captured_at = replacement.captured_at AND item.source = replacement.source
            AND item.replacement_id = replacement.id
    WHERE
        CASE WHEN replacement.user_id = item.user_id THEN TRUE END
        AND routed_to(replacement.user_id, %(users)s::uuid[])
    UNION ALL
    -- The first correction of a current snapshot will replace it.
    SELECT
        item.ordinality,
        first_value(item.currency) OVER snapshot AS currency,
        first_value(item.amounts) OVER snapshot AS amounts
    FROM item
    INNER JOIN current ON item.ordinality = current.ordinality AND item.id = current.id
    WINDOW snapshot AS (
        PARTITION BY item.id, item.account_id, item.source, item.captured_at ORDER BY item.ordinality
    )
),

matched AS (
    SELECT
        item.ordinality,
        item.id,
        item.account_id,
        item.source,
        item.captured_at,
        item.currency,
        superseded.id IS NOT NULL AS is_superseded,
        superseded.replacement_id AS replaced_by,
        current.id AS current_id,
        coalesce(item.id = current.id, FALSE) AS is_current,
        CASE
            WHEN replacement.currency IS NULL THEN item.currency IS NULL AND superseded.replacement_id IS NULL
            ELSE coalesce(item.currency = replacement.currency AND item.amounts = replacement.amounts, FALSE)
        END AS is_same
    FROM item
    FULL JOIN superseded ON item.ordinality = superseded.ordinality
    FULL JOIN current ON item.ordinality = current.ordinality
    FULL JOIN replacement ON item.ordinality = replacement.ordinality
)

SELECT
    CASE
        WHEN is_superseded AND is_same THEN 'duplicate'
        WHEN is_superseded THEN 'contradicts_stored'
        WHEN NOT is_current THEN 'not_stored'
        WHEN NOT bool_and(is_same) OVER snapshot THEN 'contradicts_batch'
        WHEN min(ordinality) OVER snapshot < ordinality THEN 'duplicate'
        WHEN currency IS NULL THEN 'withdrawn'
        ELSE 'corrected'
    END AS status,
    id::text AS id,
    replaced_by::text AS replaced_by,
    current_id::text AS current_id
FROM matched
WINDOW snapshot AS (PARTITION BY id, account_id, source, captured_at, is_current)
ORDER BY ordinality;
