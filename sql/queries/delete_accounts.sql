-- Deletes accounts of a user, whose snapshots must have been deleted before.
--
-- Parameters:
--   user_id      uuid    d3300000-0000-4000-8000-0000000000ff
--   account_ids  uuid[]  {d3300000-0000-4000-8000-0000000000fa}  what lock_accounts returned

DELETE FROM accounts
WHERE user_id = %(user_id)s::uuid AND id = any(%(account_ids)s::uuid[]);
