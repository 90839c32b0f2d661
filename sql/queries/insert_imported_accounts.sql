-- Registers the accounts of an import that nobody has captured before, each for the user of its first line that no
-- other line contradicts. In one order, as a capture does.
--

INSERT INTO accounts (id, user_id)
SELECT DISTINCT ON (import.account_id)
    import.account_id,
    import.user_id
FROM import
WHERE NOT import.is_contradicted
ORDER BY import.account_id, import.line
ON CONFLICT DO NOTHING;
