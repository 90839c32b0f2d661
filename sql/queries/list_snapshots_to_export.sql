-- A user's snapshots, with or without the superseded ones, account by account, oldest first. The columns up to captured_at
-- are those of a capture.
--
-- Parameters:
--   user_id          uuid             d3300000-0000-4000-8000-000000000001
--   account_id       uuid             d3300000-0000-4000-8000-00000000000a  NULL: every account
--   start_date       timestamptz      2025-12-31T00:00:00Z                  NULL: from the beginning
--   end_date         timestamptz      2025-12-31T23:59:59Z                  NULL: to the end
--   source           snapshot_source  NULL                                  NULL: snapshots of every source
--   with_superseded  boolean          true
-- Columns:
--   user_id            text
--   account_id         text
--   balance            text
--   available_balance  text
--   holdings_value     text
--   cash_value         text
--   currency           text
--   source             text
--   captured_at        text  UTC, ISO 8601
--   id                 text
--   created_at         text  UTC, ISO 8601
--   reason             text  NULL, like the columns after it, for a current snapshot
--   superseded_at      text  UTC, ISO 8601
--   superseded_by      text
--   replaced_by        text

WITH snapshot AS (
    SELECT
        *,
        NULL::text AS reason,
        NULL::timestamptz AS superseded_at,
        NULL::text AS superseded_by,
        NULL::uuid AS replaced_by
    FROM balance_snapshots
    UNION ALL
    SELECT *
    FROM superseded_snapshots
)

SELECT
    user_id::text AS user_id,
    account_id::text AS account_id,
    balance::text AS balance,
    available_balance::text AS available_balance,
    holdings_value::text AS holdings_value,
    cash_value::text AS cash_value,
    currency,
    source::text AS source,
    utc_iso8601(captured_at) AS captured_at,
    id::text AS id,
    utc_iso8601(created_at) AS created_at,
    reason,
    utc_iso8601(superseded_at) AS superseded_at,
    superseded_by,
    replaced_by::text AS replaced_by
FROM snapshot
WHERE
    -- The conditions are here and not in the branches, so that PostgreSQL merges the branches in the order of their
    -- indexes.
    user_id = %(user_id)s::uuid
    AND (%(with_superseded)s::boolean OR superseded_at IS NULL)
    AND (%(account_id)s::uuid IS NULL OR account_id = %(account_id)s::uuid)
    AND (%(start_date)s::timestamptz IS NULL OR captured_at >= %(start_date)s::timestamptz)
    AND (%(end_date)s::timestamptz IS NULL OR captured_at <= %(end_date)s::timestamptz)
    AND (%(source)s::snapshot_source IS NULL OR source = %(source)s::snapshot_source)
ORDER BY snapshot.account_id, snapshot.captured_at, snapshot.id;
