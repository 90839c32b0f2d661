-- Registers the accounts of a batch that nobody has captured before, each for the user of its first item. First
-- of the three statements of a capture. Sorted, so that senders of the same accounts wait for one another in
-- one order and never for each other; DO NOTHING names no key, so that it covers both of the table's.
--
-- Parameters:
--   items  json  [{"ordinal": 0, "user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a"}]
-- Columns:
--   id  uuid  an account that is new

INSERT INTO accounts (id, user_id)
SELECT DISTINCT ON (item.account_id)
    item.account_id,
    item.user_id
FROM json_to_recordset(%(items)s::json) AS item (ordinal integer, user_id uuid, account_id uuid)
ORDER BY item.account_id, item.ordinal
ON CONFLICT DO NOTHING
RETURNING id;
