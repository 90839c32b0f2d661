-- Holds the accounts of a batch that are registered: until the transaction ends, corrections and erasures of them wait.
-- First of the statements of a capture, so that the next ones see the corrections that this one waited for.
--
-- Parameters:
--   account_ids  uuid[]  {d3300000-0000-4000-8000-00000000000a}
-- Columns:
--   held_count  bigint

SELECT hold_accounts(%(account_ids)s::uuid[]) AS held_count;
