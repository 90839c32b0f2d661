-- Marks the lines of an import that contradict one another.
--
-- After: create_import

UPDATE import SET is_contradicted = TRUE
FROM (
    SELECT
        account_id,
        source,
        captured_at
    FROM import
    WHERE superseded_at IS NULL AND is_repetition IS NOT TRUE
    GROUP BY account_id, source, captured_at
    HAVING
        count(*) > 1
        AND count(DISTINCT row(user_id, currency, amounts)) > 1
) AS contradictory
WHERE
    import.superseded_at IS NULL AND import.is_repetition IS NOT TRUE
    AND import.account_id = contradictory.account_id
    AND import.source = contradictory.source
    AND import.captured_at = contradictory.captured_at;
