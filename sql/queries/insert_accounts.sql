-- Registers the accounts of a batch that are new, each for the user of its first item. First of the three statements of a
-- capture. Sorted, so that senders of the same accounts wait for one another in one order and never for each other; DO
-- NOTHING names no key, so that it covers both of the table's.
--
-- Parameters:
--   items  json  [{"user_id": "d3300000-0000-4000-8000-000000000001", "account_id": "d3300000-0000-4000-8000-00000000000a"}]

INSERT INTO accounts (id, user_id)
SELECT DISTINCT ON (item.account_id)
    item.account_id,
    item.user_id
FROM json_populate_recordset(NULL::balance_snapshots, %(items)s::json) WITH ORDINALITY AS item
ORDER BY item.account_id, item.ordinality
ON CONFLICT DO NOTHING;
