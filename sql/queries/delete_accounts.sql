-- Removes a user's accounts, when their snapshots are gone.
--
-- Parameters:
--   user_id  uuid  d3300000-0000-4000-8000-0000000000ff
-- Columns:
--   id  uuid  an account that was removed

DELETE FROM accounts
WHERE user_id = %(user_id)s::uuid
RETURNING id;
