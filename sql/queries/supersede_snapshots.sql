-- Moves the snapshots of a batch of corrections and stores their replacements. If a correction moves none, the caller
-- rolls the batch back, and match_corrections returns the outcome that each correction would have.
--
-- Parameters:
--   items    json  [{"id": "01a203c8-7a81-7ad0-81ee-31ba180ec3ff", "user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a", "source": "manual_sync", "captured_at": "2026-02-01T09:30:00Z", "reason": "Cents as dollars.", "balance": "1.20", "available_balance": null, "holdings_value": null, "cash_value": null, "currency": "USD"}]
--   subject  text  corrections-job  the subject of the corrector's token
-- Columns:
--   ordinality   bigint  the place of a correction that moved a snapshot, from 1
--   replaced_by  text    the id of the replacement; NULL: the snapshot is withdrawn

SELECT
    ordinality,
    replaced_by::text AS replaced_by
FROM supersede_snapshots(%(items)s::json, %(subject)s::text)
ORDER BY ordinality;
