-- The outcome of each correction of a batch: one row for every correction, in the order of the batch. Second of the two
-- statements of a batch, with the accounts still locked.
--
-- Parameters:
--   items  json      [{"id": "01a203c8-7a81-7ad0-81ee-31ba180ec3ff", "user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z", "reason": "Cents as dollars.", "balance": "1.20", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD"}]
--   moved  bigint[]  {}  the places that the first statement returned
-- Columns:
--   status       text  corrected, withdrawn, duplicate, contradicts_stored, contradicts_batch or not_stored
--   id           text  of the snapshot
--   replaced_by  text  the id of the replacement; NULL: the snapshot is withdrawn, or was not stored
--   standing_id  text  the snapshot that stands under this key; NULL: none

WITH matched AS (
    SELECT
        item.ordinality,
        item.id,
        superseded.id IS NOT NULL AS is_superseded,
        superseded.replaced_by,
        standing.id AS standing_id,
        item.ordinality = any(%(moved)s::bigint[]) AS is_new,
        CASE
            WHEN superseded.replaced_by IS NULL THEN item.currency IS NULL
            ELSE
                coalesce(item.currency = replacement.currency, FALSE) AND item.amounts = replacement.amounts
        END AS is_same
    FROM parse_items(%(items)s::json) AS item
    LEFT JOIN superseded_snapshots AS superseded
        ON
            -- CASE, which no index supports, keeps the planner from the primary key: an account may have many corrections.
            CASE WHEN item.user_id = superseded.user_id THEN TRUE END
            AND item.account_id = superseded.account_id
            AND item.captured_at = superseded.captured_at AND item.source = superseded.source
            AND item.id = superseded.id
    LEFT JOIN balance_snapshots AS standing
        ON
            item.user_id = standing.user_id AND item.account_id = standing.account_id
            AND item.captured_at = standing.captured_at AND item.source = standing.source
    LEFT JOIN LATERAL (
        -- The replacement stands, unless it was superseded too.
        SELECT
            standing.currency,
            captured_amounts(standing) AS amounts
        WHERE standing.id = superseded.replaced_by
        UNION ALL
        SELECT
            currency,
            captured_amounts(found) AS amounts
        FROM superseded_snapshots AS found
        WHERE
            CASE WHEN user_id = item.user_id THEN TRUE END
            AND account_id = item.account_id
            AND captured_at = item.captured_at AND source = item.source
            AND id = superseded.replaced_by
    ) AS replacement ON TRUE
)

SELECT
    CASE
        WHEN NOT is_superseded THEN 'not_stored'
        WHEN bool_or(is_new) OVER snapshot AND NOT bool_and(is_same) OVER snapshot THEN 'contradicts_batch'
        WHEN NOT is_same THEN 'contradicts_stored'
        WHEN NOT is_new THEN 'duplicate'
        WHEN replaced_by IS NULL THEN 'withdrawn'
        ELSE 'corrected'
    END AS status,
    id::text AS id,
    replaced_by::text AS replaced_by,
    standing_id::text AS standing_id
FROM matched
WINDOW snapshot AS (PARTITION BY id, is_superseded)
ORDER BY ordinality;
