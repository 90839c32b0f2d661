-- The owner of an account; no row if there is no such account.
--
-- Parameters:
--   account_id  uuid  d3300000-0000-4000-8000-00000000000a
-- Columns:
--   user_id  uuid

SELECT user_id
FROM accounts
WHERE id = %(account_id)s::uuid;
