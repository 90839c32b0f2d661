-- Locks accounts: captures, imports and corrections of them wait until the transaction ends. An account that a capture
-- registers afterwards is not locked.
--
-- Parameters:
--   account_ids  uuid[]  {d3300000-0000-4000-8000-00000000000a}
-- Columns:
--   id  uuid  an existing account

SELECT id
FROM lock_accounts(%(account_ids)s::uuid[]) AS locked (id)
ORDER BY id;
