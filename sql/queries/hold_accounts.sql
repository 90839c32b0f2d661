-- Holds the registered accounts of a batch: until the transaction ends, corrections and erasures of them wait. This is
-- the first statement of a capture, so that the later ones see the corrections that it waited for.
--
-- Parameters:
--   account_ids  uuid[]  {d3300000-0000-4000-8000-00000000000a}
-- Columns:
--   held_count  bigint

SELECT hold_accounts(%(account_ids)s::uuid[]) AS held_count;
