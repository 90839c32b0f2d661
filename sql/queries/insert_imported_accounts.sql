-- Registers the accounts of an import that are new, each for the user of its first line that no other line contradicts,
-- and holds those that are known until the transaction ends. They are taken in the order of their ids, as in a capture.
--
-- After: create_import
-- Columns:
--   held_count  bigint

WITH account AS (
    SELECT DISTINCT ON (import.account_id)
        import.account_id AS id,
        import.user_id
    FROM import
    WHERE import.is_contradicted IS NOT TRUE
    ORDER BY import.account_id, import.line
),

registered AS (
    INSERT INTO accounts (id, user_id)
    SELECT
        id,
        user_id
    FROM account
    ORDER BY id
    ON CONFLICT DO NOTHING
    RETURNING id
)

SELECT hold_accounts(array(
    SELECT account.id
    FROM account
    EXCEPT
    SELECT registered.id
    FROM registered
)) AS held_count;
