-- Registers the new accounts of a batch, in the order of their ids, so that captures of the same accounts cannot
-- deadlock. ON CONFLICT names no key, so that it covers both keys of the table.
--
-- Parameters:
--   owners  json  {"d3300000-0000-4000-8000-0000000000fa": "d3300000-0000-4000-8000-000000000001"}  users by account
-- Columns:
--   id  uuid  a new account

INSERT INTO accounts (id, user_id)
SELECT
    key::uuid AS id,
    value::uuid AS user_id
FROM json_each_text(%(owners)s::json)
ORDER BY id
ON CONFLICT DO NOTHING
RETURNING id;
