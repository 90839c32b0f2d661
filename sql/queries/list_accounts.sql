-- The accounts of a user.
--
-- Parameters:
--   user_id  uuid  d3300000-0000-4000-8000-000000000001
-- Columns:
--   id  uuid

SELECT id
FROM accounts
WHERE user_id = %(user_id)s::uuid
ORDER BY id;
