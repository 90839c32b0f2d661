-- Registers the accounts of a batch that nobody has captured before, each for the user of its first item. First
-- of the three statements of a capture. Sorted, so that senders of the same accounts wait for one another in
-- one order and never for each other; DO NOTHING names no key, so that it covers both of the table's.
--
-- Parameters:
--   items     json  [{"ordinal": 0, "user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a"}]
--   trace_id  text  0af7651916cd43dd8448eb211c80319c  the request's; it holds for the transaction
-- Columns:
--   id  uuid  an account that is new

WITH request AS MATERIALIZED (
    -- By this name the server's log and pg_stat_activity know whose statement it is, until the transaction ends.
    SELECT set_config('application_name', %(trace_id)s::text, TRUE)
)

INSERT INTO accounts (id, user_id)
SELECT DISTINCT ON (item.account_id)
    item.account_id,
    item.user_id
FROM json_to_recordset(%(items)s::json) AS item (ordinal integer, user_id uuid, account_id uuid)
CROSS JOIN request
ORDER BY item.account_id, item.ordinal
ON CONFLICT DO NOTHING
RETURNING id;
