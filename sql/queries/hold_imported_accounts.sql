-- Holds the registered accounts of an import, like hold_accounts.
--
-- After: create_import
-- Columns:
--   held_count  bigint

SELECT hold_accounts(array(
    SELECT DISTINCT import.account_id
    FROM import
)) AS held_count;
