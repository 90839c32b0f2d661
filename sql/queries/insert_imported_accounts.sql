-- Registers the new accounts of an import in the order of their ids, as in a capture. An account belongs to the user of
-- its first line that no other line contradicts.
--
-- After: create_import

INSERT INTO accounts (id, user_id)
SELECT DISTINCT ON (import.account_id)
    import.account_id,
    import.user_id
FROM import
WHERE import.is_contradicted IS NOT TRUE
ORDER BY import.account_id, import.line
ON CONFLICT DO NOTHING;
