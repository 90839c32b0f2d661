-- Registers the accounts of a batch that are new, and holds those that are known: until the transaction ends, corrections
-- and erasures of them wait. First of the three statements of a capture, so that the next ones see the corrections that
-- this one waited for. Accounts are taken in the order of their ids, so that captures of the same accounts cannot
-- deadlock. DO NOTHING names no key, so that it covers both keys of the table.
--
-- Parameters:
--   owners  json  {"d3300000-0000-4000-8000-00000000000a": "d3300000-0000-4000-8000-000000000001"}  users by account
-- Columns:
--   held_count  bigint

WITH account AS (
    SELECT
        key::uuid AS id,
        value::uuid AS user_id
    FROM json_each_text(%(owners)s::json)
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
