-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- The number of decimals of an ISO 4217 currency; NULL for an unknown code. Codes that ISO has withdrawn stay in this
-- list, because rows with them may exist; the capture schema decides which codes are current. Each INSERT parses this
-- function for every constraint that calls it, so its codes are array literals: they parse faster than an IN list.
CREATE FUNCTION minor_unit(currency text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN
        currency = any('{
            AED, AFN, ALL, AMD, AOA, ARS, AUD, AWG, AZN, BAM, BBD, BDT, BMD,
            BND, BOB, BOV, BRL, BSD, BTN, BWP, BYN, BZD, CAD, CDF, CHE, CHF,
            CHW, CNY, COP, COU, CRC, CUP, CVE, CZK, DKK, DOP, DZD, EGP, ERN,
            ETB, EUR, FJD, FKP, GBP, GEL, GHS, GIP, GMD, GTQ, GYD, HKD, HNL,
            HTG, HUF, IDR, ILS, INR, IRR, JMD, KES, KGS, KHR, KPW, KYD, KZT,
            LAK, LBP, LKR, LRD, LSL, MAD, MDL, MGA, MKD, MMK, MNT, MOP, MRU,
            MUR, MVR, MWK, MXN, MXV, MYR, MZN, NAD, NGN, NIO, NOK, NPR, NZD,
            PAB, PEN, PGK, PHP, PKR, PLN, QAR, RON, RSD, RUB, SAR, SBD, SCR,
            SDG, SEK, SGD, SHP, SLE, SOS, SRD, SSP, STN, SVC, SYP, SZL, THB,
            TJS, TMT, TOP, TRY, TTD, TWD, TZS, UAH, USD, USN, UYU, UZS, VED,
            VES, WST, XAD, XCD, XCG, YER, ZAR, ZMW, ZWG
        }'::text[])
        THEN 2
    WHEN
        currency = any('{
            BIF, CLP, DJF, GNF, ISK, JPY, KMF, KRW, PYG, RWF, UGX, UYI, VND,
            VUV, XAF, XOF, XPF
        }'::text[])
        THEN 0
    WHEN
        currency = any('{
            BHD, IQD, JOD, KWD, LYD, OMR, TND
        }'::text[])
        THEN 3
    WHEN
        currency = any('{
            CLF, UYW
        }'::text[])
        THEN 4
END;

-- The amount with the decimals that responses show: at least those of its currency, and more if they are significant
-- (rule 7). Amounts are stored this way, so that PostgreSQL prints, subtracts and adds them at the right scale.
CREATE FUNCTION in_currency(amount numeric, currency text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(amount, greatest(min_scale(amount), minor_unit(currency)));

-- The change in percent, rounded half away from zero to 2 decimals, the second of which is dropped if it is zero; NULL
-- if `previous` is zero (rules 2 and 3). `div` divides exactly: rounding a rounded quotient would round twice.
CREATE FUNCTION change_percent(previous numeric, current numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN trim_scale(
    0.01 * sign(current - previous)
    * div(20000 * abs(current - previous) + abs(previous), nullif(2 * abs(previous), 0))
) + 0.0;

-- Whether an amount may be stored: finite, up to 15 digits before the point and 4 after it, and with the decimals that
-- in_currency gives it (rule 7). False for NaN, which compares greater than every number.
CREATE FUNCTION is_amount(amount numeric, currency text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN abs(amount) < 1e15 AND scale(amount) <= 4 AND scale(amount) = scale(in_currency(amount, currency));

-- An instant in the API's format: UTC with Z, six fractional digits or none (rule 8). to_json takes half the time of
-- to_char and ignores DateStyle, but it trims trailing zeros of a fraction: hence two branches.
CREATE FUNCTION utc_iso8601(instant timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE
    WHEN instant = date_trunc('second', instant) THEN substr(to_json(instant AT TIME ZONE 'UTC')::text, 2, 19) || 'Z'
    ELSE to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
END;

-- A UUIDv7 (RFC 9562, section 6.2, method 3) for the time `ordinal` microseconds after `instant`. The ids of a batch
-- share one instant, and `ordinal` is a row's place in the batch, so they ascend in its order. The time is computed
-- twice, because PostgreSQL would not inline a function with a subquery.
CREATE FUNCTION uuid_v7(instant timestamptz, ordinal integer) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN encode(
    int8send(
        (((extract(EPOCH FROM instant) * 1000000)::bigint + ordinal) / 1000 << 16)
        | (7 << 12)
        | (((extract(EPOCH FROM instant) * 1000000)::bigint + ordinal) % 1000 * 4096 / 1000)
    )
    || substring(uuid_send(gen_random_uuid()) FROM 9),
    'hex'
)::uuid;

CREATE TYPE snapshot_source AS ENUM (
    'account_sync', 'holdings_sync', 'manual_sync', 'scheduled_sync', 'initial_connection'
);

-- An account belongs to the user for whom it was first captured (rule 23).
CREATE TABLE accounts (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_user_id_id_key UNIQUE (user_id, id)
);

-- The balance of an account at an instant. The primary key is in the order of a history. The natural key makes captures
-- idempotent (rule 22) and is in the order of one source's history; it begins with the source, so that no query over all
-- sources uses it (docs/decisions/0004-keys.md).
CREATE TABLE balance_snapshots (
    id uuid NOT NULL DEFAULT uuid_v7(clock_timestamp(), 0),
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    balance numeric NOT NULL,
    available_balance numeric,
    holdings_value numeric,
    cash_value numeric,
    currency text NOT NULL,
    source snapshot_source NOT NULL,
    captured_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT balance_snapshots_pkey PRIMARY KEY (user_id, account_id, captured_at, id),
    CONSTRAINT balance_snapshots_natural_key UNIQUE (source, account_id, captured_at, user_id),
    CONSTRAINT balance_snapshots_account_of_user FOREIGN KEY (user_id, account_id)
    REFERENCES accounts (user_id, id),
    CONSTRAINT balance_snapshots_id_is_uuid_v7 CHECK (get_byte(uuid_send(id), 6) >> 4 = 7),
    CONSTRAINT balance_snapshots_currency_is_iso_4217 CHECK (minor_unit(currency) IS NOT NULL),
    CONSTRAINT balance_snapshots_balance_is_amount CHECK (is_amount(balance, currency)),
    CONSTRAINT balance_snapshots_available_balance_is_amount CHECK (is_amount(available_balance, currency)),
    CONSTRAINT balance_snapshots_holdings_value_is_amount CHECK (is_amount(holdings_value, currency)),
    CONSTRAINT balance_snapshots_cash_value_is_amount CHECK (is_amount(cash_value, currency)),
    CONSTRAINT balance_snapshots_times_have_four_digit_years CHECK (
        captured_at >= '0001-01-01 00:00:00+00' AND captured_at < '10000-01-01 00:00:00+00'
        AND created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
    )
);

-- Snapshots that were wrong, each moved here as it was by supersede_snapshots, with the reason, the time, the subject
-- of the corrector's token, and the id of its replacement: NULL if there is none. The primary key is in the order of
-- the list of an account's corrections. The natural key finds the superseded snapshot that a capture repeats (rule 33).
-- No list uses it, and lookups by it keep the planner from the primary key, as docs/decisions/0003-plans.md describes.
CREATE TABLE superseded_snapshots (
    LIKE balance_snapshots INCLUDING CONSTRAINTS,
    reason text NOT NULL,
    superseded_at timestamptz NOT NULL,
    superseded_by text NOT NULL,
    replaced_by uuid,
    CONSTRAINT superseded_snapshots_pkey PRIMARY KEY (user_id, account_id, superseded_at, id),
    CONSTRAINT superseded_snapshots_natural_key UNIQUE (source, account_id, captured_at, user_id, id),
    CONSTRAINT superseded_snapshots_account_of_user FOREIGN KEY (user_id, account_id)
    REFERENCES accounts (user_id, id),
    CONSTRAINT superseded_snapshots_reason_has_1_to_500_characters CHECK (char_length(reason) BETWEEN 1 AND 500),
    CONSTRAINT superseded_snapshots_superseded_at_has_four_digit_year CHECK (
        superseded_at >= '0001-01-01 00:00:00+00' AND superseded_at < '10000-01-01 00:00:00+00'
    )
);

-- The amounts of a capture as an array, for comparing two captures of one key: arrays compare numbers regardless of
-- scale, and treat NULLs as equal.
CREATE FUNCTION captured_amounts(
    balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric
) RETURNS numeric[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY[balance, available_balance, holdings_value, cash_value];

-- The tables with these amounts, for statements that compare captures. The amounts come first, because CREATE OR REPLACE
-- VIEW can add columns only at the end.
CREATE VIEW comparable_snapshots AS
SELECT
    captured_amounts(balance, available_balance, holdings_value, cash_value) AS amounts,
    *
FROM balance_snapshots;

CREATE VIEW comparable_superseded_snapshots AS
SELECT
    captured_amounts(balance, available_balance, holdings_value, cash_value) AS amounts,
    *
FROM superseded_snapshots;

-- The items of a batch of captures or corrections, numbered from 1, each with its amounts as an array. A capture has no
-- id and no reason, a withdrawal no values.
CREATE FUNCTION parse_items(items json) RETURNS TABLE (
    ordinality bigint, id uuid, user_id uuid, account_id uuid,
    balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric,
    currency text, source snapshot_source, captured_at timestamptz, reason text, amounts numeric[]
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT
        -- json_to_recordset returns the items in their order.
        row_number() OVER () AS ordinality,
        item.id,
        item.user_id,
        item.account_id,
        item.balance,
        item.available_balance,
        item.holdings_value,
        item.cash_value,
        item.currency,
        item.source,
        item.captured_at,
        item.reason,
        captured_amounts(item.balance, item.available_balance, item.holdings_value, item.cash_value) AS amounts
    FROM json_to_recordset(items) AS item (
        id uuid, user_id uuid, account_id uuid,
        balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric,
        currency text, source snapshot_source, captured_at timestamptz, reason text
    );
END;

-- Names the users whose rows other conditions select. On one server it is always true and costs nothing. On a cluster,
-- deploy/citus.sql turns it into a condition that routes the statement, and that no index supports
-- (docs/decisions/0003-plans.md).
CREATE FUNCTION routed_to(user_id uuid, users uuid[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN TRUE;

-- The functions and views whose names end in a version write the API's JSON, compact. A new wire format is a function
-- or view with a new version: older code keeps using the old one until a later migration drops it. These functions and
-- views escape free text only: no other value holds a quotation mark or a backslash. The functions' arguments are
-- scalars, so that PostgreSQL can inline them.

-- The beginning of a snapshot's JSON. It ends before the last quotation mark of `created_at`.
CREATE FUNCTION snapshot_members_json_v1(
    id uuid, account_id uuid, balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric,
    currency text, source snapshot_source, captured_at timestamptz, created_at timestamptz
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '{"id":"' || id
|| '","account_id":"' || account_id
|| '","balance":"' || balance
|| '","available_balance":' || coalesce('"' || available_balance || '"', 'null')
|| ',"holdings_value":' || coalesce('"' || holdings_value || '"', 'null')
|| ',"cash_value":' || coalesce('"' || cash_value || '"', 'null')
|| ',"currency":"' || currency
|| '","source":"' || source
|| '","captured_at":"' || utc_iso8601(captured_at)
|| '","created_at":"' || utc_iso8601(created_at);

-- The snapshots, each with the beginning of its JSON, `members`, and the columns by which reads select, order and
-- compare them.
CREATE VIEW formatted_snapshots_v1 AS
SELECT
    user_id,
    account_id,
    captured_at,
    id,
    source,
    currency,
    balance,
    snapshot_members_json_v1(
        id, account_id, balance, available_balance, holdings_value, cash_value, currency, source, captured_at, created_at
    ) AS members
FROM balance_snapshots;

-- A snapshot and its change from the previous balance of its series, which is NULL if there is none to compare with.
CREATE FUNCTION snapshot_json_v1(members text, balance numeric, previous_balance numeric) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN members
|| '","change_amount":' || coalesce('"' || (balance - previous_balance) || '"', 'null')
|| ',"change_percent":' || coalesce(change_percent(previous_balance, balance)::text, 'null')
|| '}';

-- The superseded snapshots, each as JSON, with its correction. The texts are escaped: they may hold any character.
CREATE VIEW formatted_superseded_snapshots_v1 AS
SELECT
    user_id,
    account_id,
    superseded_at,
    id,
    snapshot_members_json_v1(
        id, account_id, balance, available_balance, holdings_value, cash_value, currency, source, captured_at, created_at
    )
    || '","reason":' || to_json(reason)
    || ',"superseded_at":"' || utc_iso8601(superseded_at)
    || '","superseded_by":' || to_json(superseded_by)
    || ',"replaced_by":' || coalesce('"' || replaced_by || '"', 'null')
    || '}' AS json
FROM superseded_snapshots;

-- The response of a history. `snapshots`: JSON objects separated by commas; NULL for none. `balances`: their balances,
-- oldest first; NULL for none. The summary compares the last with the first; `currency` is NULL unless all share one.
CREATE FUNCTION history_json_v1(snapshots text, balances numeric[], currency text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '{"snapshots":[' || coalesce(snapshots, '')
|| '],"total_count":' || coalesce(cardinality(balances), 0)
|| CASE
    WHEN currency IS NULL
        THEN
            ',"start_balance":null,"end_balance":null,"total_change_amount":null,"total_change_percent":null'
            || ',"currency":null}'
    ELSE
        ',"start_balance":"' || balances[1]
        || '","end_balance":"' || balances[cardinality(balances)]
        || '","total_change_amount":"' || (balances[cardinality(balances)] - balances[1])
        || '","total_change_percent":'
        || coalesce(change_percent(balances[1], balances[cardinality(balances)])::text, 'null')
        || ',"currency":"' || currency || '"}'
END;

-- A point of a portfolio's series. The balance is NULL if no account is in the series.
CREATE FUNCTION portfolio_point_json_v1(
    starts_at timestamptz, ends_at timestamptz, is_complete boolean, balance numeric, previous_balance numeric,
    entered_amount numeric, account_count bigint, observed_count bigint, oldest_captured_at timestamptz
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '{"starts_at":"' || utc_iso8601(starts_at)
|| '","ends_at":"' || utc_iso8601(ends_at)
|| '","is_complete":' || is_complete
|| ',"balance":' || coalesce('"' || balance || '"', 'null')
|| coalesce(
    ',"change_amount":"' || (balance - previous_balance)
    || '","change_percent":' || coalesce(change_percent(previous_balance, balance)::text, 'null')
    || ',"entered_amount":"' || entered_amount || '"',
    ',"change_amount":null,"change_percent":null,"entered_amount":null'
)
|| ',"account_count":' || account_count
|| ',"observed_count":' || observed_count
|| ',"oldest_captured_at":' || coalesce('"' || utc_iso8601(oldest_captured_at) || '"', 'null')
|| '}';

-- A portfolio's series in one currency. `points`: JSON objects separated by commas. The end balance is NULL if no
-- account is left in the series.
CREATE FUNCTION portfolio_series_json_v1(
    currency text, points text, start_balance numeric, end_balance numeric
) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '{"currency":"' || currency
|| '","points":[' || points
|| '],"start_balance":"' || start_balance
|| '","end_balance":' || coalesce('"' || end_balance || '"', 'null')
|| ',"total_change_amount":' || coalesce('"' || (end_balance - start_balance) || '"', 'null')
|| ',"total_change_percent":' || coalesce(change_percent(start_balance, end_balance)::text, 'null')
|| '}';

CREATE FUNCTION refuse_update() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'stored rows are never updated'
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = tg_name;
END;
$$;

CREATE TRIGGER accounts_keep_their_owner BEFORE UPDATE ON accounts
FOR EACH ROW EXECUTE FUNCTION refuse_update();

CREATE TRIGGER balance_snapshots_stay_as_captured BEFORE UPDATE ON balance_snapshots
FOR EACH ROW EXECUTE FUNCTION refuse_update();

CREATE TRIGGER superseded_snapshots_stay_as_moved BEFORE UPDATE ON superseded_snapshots
FOR EACH ROW EXECUTE FUNCTION refuse_update();

-- hold_accounts and supersede_snapshots run with the rights of their owner, because the service's role may neither lock
-- nor delete rows. Only roles that sql/grants.sql names may call them.

-- Keeps accounts from being erased, and their snapshots from being superseded, until the transaction ends; waits for a
-- transaction that is doing so. Returns the number of those that exist.
CREATE FUNCTION hold_accounts(ids uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
BEGIN ATOMIC
    SELECT count(*)
    FROM (
        SELECT id
        FROM accounts
        WHERE id = any(ids)
        ORDER BY id
        FOR KEY SHARE
    ) AS held;
END;

-- Locks accounts: until the transaction ends, captures, imports and corrections of them wait. Returns those that exist.
CREATE FUNCTION lock_accounts(ids uuid[]) RETURNS SETOF uuid
LANGUAGE sql
BEGIN ATOMIC
    SELECT id
    FROM accounts
    WHERE id = any(ids)
    ORDER BY id
    FOR UPDATE;
END;

-- Moves snapshots to superseded_snapshots and stores their replacements. A correction has the id and the key of a
-- snapshot (its user, account, source and time of capture), a reason, and the values of the replacement; a withdrawal
-- has no currency. Returns the corrections that moved a snapshot, by their places in the array: the first correction of
-- each current snapshot. Locks the accounts of all corrections until the transaction ends, in the order in which
-- captures hold accounts.
CREATE FUNCTION supersede_snapshots(corrections json, subject text)
RETURNS TABLE (ordinality bigint, replaced_by uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    users uuid[] := array(
        SELECT DISTINCT user_id FROM parse_items(corrections)
    );
    moved_at timestamptz;
    moved record;
    snapshots json[] := '{}';
    ordinals bigint[] := '{}';
    replacement_ids uuid[] := '{}';
BEGIN
    PERFORM lock_accounts(array(
        SELECT DISTINCT account_id FROM parse_items(corrections)
    ));
    -- After the lock, so that the times of an account's corrections ascend in their order.
    moved_at := clock_timestamp();

    FOR moved IN
        DELETE FROM balance_snapshots AS current
        USING (
            SELECT DISTINCT ON (user_id, account_id, source, captured_at, id) *
            FROM parse_items(corrections)
            ORDER BY user_id, account_id, source, captured_at, id, ordinality
        ) AS item
        WHERE
            routed_to(current.user_id, users)
            AND current.user_id = item.user_id AND current.account_id = item.account_id
            AND current.source = item.source AND current.captured_at = item.captured_at
            AND current.id = item.id
        RETURNING
            current.*,
            item.reason,
            item.currency IS NOT NULL AS is_replaced,
            item.ordinality
    LOOP
        snapshots := snapshots || to_json(moved);
        ordinals := ordinals || moved.ordinality;
        replacement_ids := replacement_ids
        || CASE WHEN moved.is_replaced THEN uuid_v7(moved_at, moved.ordinality::integer) END;
    END LOOP;

    INSERT INTO superseded_snapshots (
        id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
        captured_at, created_at, reason, superseded_at, superseded_by, replaced_by
    )
    SELECT
        id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
        captured_at, created_at, reason,
        -- Imports may store an id under several keys. Their times differ by a microsecond, because time and id are the
        -- key and the order of an account's corrections.
        moved_at
        + interval '1 microsecond' * (row_number() OVER (PARTITION BY account_id, id ORDER BY captured_at) - 1),
        subject, item.replaced_by
    FROM unnest(snapshots, replacement_ids) AS item (snapshot, replaced_by)
    CROSS JOIN json_populate_record(NULL::superseded_snapshots, item.snapshot);

    INSERT INTO balance_snapshots (
        id, user_id, account_id, balance, available_balance, holdings_value, cash_value, currency, source,
        captured_at, created_at
    )
    SELECT
        replacement.id,
        item.user_id,
        item.account_id,
        in_currency(item.balance, item.currency),
        in_currency(item.available_balance, item.currency),
        in_currency(item.holdings_value, item.currency),
        in_currency(item.cash_value, item.currency),
        item.currency,
        item.source,
        item.captured_at,
        moved_at
    FROM parse_items(corrections) AS item
    INNER JOIN unnest(ordinals, replacement_ids) AS replacement (ordinality, id) USING (ordinality)
    WHERE replacement.id IS NOT NULL;

    RETURN QUERY SELECT * FROM unnest(ordinals, replacement_ids);
END;
$$;

REVOKE EXECUTE ON FUNCTION hold_accounts, lock_accounts, supersede_snapshots FROM public;

-- migrate:down
DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward'; END $$;
