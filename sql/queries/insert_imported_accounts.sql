-- Registers the accounts of an import that nobody has captured before, each for the user of its first line. In one
-- order, as a capture does.
--
-- Columns:
--   id  uuid  an account that is new

INSERT INTO accounts (id, user_id)
SELECT DISTINCT ON (import.account_id)
    import.account_id,
    import.user_id
FROM import
ORDER BY import.account_id, import.line
ON CONFLICT DO NOTHING
RETURNING id;
