-- The schema after all migrations, for reading. Written by `make docs` and checked by a test.

CREATE TYPE public.snapshot_source AS ENUM (
    'account_sync',
    'holdings_sync',
    'manual_sync',
    'scheduled_sync',
    'initial_connection'
);

CREATE FUNCTION public.captured_amounts(balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric) RETURNS numeric[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[balance, available_balance, holdings_value, cash_value];

CREATE FUNCTION public.change_percent(previous numeric, current numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (trim_scale(((0.01 * sign((current - previous))) * div((((20000)::numeric * abs((current - previous))) + abs(previous)), NULLIF(((2)::numeric * abs(previous)), (0)::numeric)))) + 0.0);

CREATE FUNCTION public.history_json_v1(snapshots text, balances numeric[], currency text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((('{"snapshots":['::text || COALESCE(snapshots, ''::text)) || '],"total_count":'::text) || COALESCE(cardinality(balances), 0)) || CASE WHEN (currency IS NULL) THEN (',"start_balance":null,"end_balance":null,"total_change_amount":null,"total_change_percent":null'::text || ',"currency":null}'::text) ELSE ((((((((((',"start_balance":"'::text || (balances)[1]) || '","end_balance":"'::text) || (balances)[cardinality(balances)]) || '","total_change_amount":"'::text) || ((balances)[cardinality(balances)] - (balances)[1])) || '","total_change_percent":'::text) || COALESCE((public.change_percent((balances)[1], (balances)[cardinality(balances)]))::text, 'null'::text)) || ',"currency":"'::text) || currency) || '"}'::text) END);

CREATE TABLE public.accounts (
    id uuid NOT NULL,
    user_id uuid NOT NULL
);

CREATE FUNCTION public.hold_accounts(ids uuid[]) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    BEGIN ATOMIC
 SELECT count(*) AS count
    FROM ( SELECT accounts.id
            FROM public.accounts
           WHERE (accounts.id = ANY (hold_accounts.ids))
           ORDER BY accounts.id
          FOR KEY SHARE OF accounts) held;

END;

CREATE FUNCTION public.minor_unit(currency text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (currency = ANY ('{AED,AFN,ALL,AMD,AOA,ARS,AUD,AWG,AZN,BAM,BBD,BDT,BMD,BND,BOB,BOV,BRL,BSD,BTN,BWP,BYN,BZD,CAD,CDF,CHE,CHF,CHW,CNY,COP,COU,CRC,CUP,CVE,CZK,DKK,DOP,DZD,EGP,ERN,ETB,EUR,FJD,FKP,GBP,GEL,GHS,GIP,GMD,GTQ,GYD,HKD,HNL,HTG,HUF,IDR,ILS,INR,IRR,JMD,KES,KGS,KHR,KPW,KYD,KZT,LAK,LBP,LKR,LRD,LSL,MAD,MDL,MGA,MKD,MMK,MNT,MOP,MRU,MUR,MVR,MWK,MXN,MXV,MYR,MZN,NAD,NGN,NIO,NOK,NPR,NZD,PAB,PEN,PGK,PHP,PKR,PLN,QAR,RON,RSD,RUB,SAR,SBD,SCR,SDG,SEK,SGD,SHP,SLE,SOS,SRD,SSP,STN,SVC,SYP,SZL,THB,TJS,TMT,TOP,TRY,TTD,TWD,TZS,UAH,USD,USN,UYU,UZS,VED,VES,WST,XAD,XCD,XCG,YER,ZAR,ZMW,ZWG}'::text[])) THEN 2 WHEN (currency = ANY ('{BIF,CLP,DJF,GNF,ISK,JPY,KMF,KRW,PYG,RWF,UGX,UYI,VND,VUV,XAF,XOF,XPF}'::text[])) THEN 0 WHEN (currency = ANY ('{BHD,IQD,JOD,KWD,LYD,OMR,TND}'::text[])) THEN 3 WHEN (currency = ANY ('{CLF,UYW}'::text[])) THEN 4 ELSE NULL::integer END;

CREATE FUNCTION public.in_currency(amount numeric, currency text) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN round(amount, GREATEST(min_scale(amount), public.minor_unit(currency)));

CREATE FUNCTION public.is_amount(amount numeric, currency text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ((abs(amount) < '1000000000000000'::numeric) AND (scale(amount) <= 4) AND (scale(amount) = scale(public.in_currency(amount, currency))));

CREATE FUNCTION public.lock_accounts(ids uuid[]) RETURNS SETOF uuid
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT accounts.id
    FROM public.accounts
   WHERE (accounts.id = ANY (lock_accounts.ids))
   ORDER BY accounts.id
  FOR UPDATE OF accounts;

END;

CREATE FUNCTION public.parse_items(items json) RETURNS TABLE(ordinality bigint, id uuid, user_id uuid, account_id uuid, balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric, currency text, source public.snapshot_source, captured_at timestamp with time zone, reason text, amounts numeric[])
    LANGUAGE sql STABLE PARALLEL SAFE
    BEGIN ATOMIC
 SELECT row_number() OVER () AS ordinality,
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
     public.captured_amounts(item.balance, item.available_balance, item.holdings_value, item.cash_value) AS amounts
    FROM json_to_recordset(parse_items.items) item(id uuid, user_id uuid, account_id uuid, balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric, currency text, source public.snapshot_source, captured_at timestamp with time zone, reason text);

END;

CREATE FUNCTION public.utc_iso8601(instant timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (instant = date_trunc('second'::text, instant)) THEN (substr((to_json((instant AT TIME ZONE 'UTC'::text)))::text, 2, 19) || 'Z'::text) ELSE to_char((instant AT TIME ZONE 'UTC'::text), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text) END;

CREATE FUNCTION public.portfolio_point_json_v1(starts_at timestamp with time zone, ends_at timestamp with time zone, is_complete boolean, balance numeric, previous_balance numeric, entered_amount numeric, account_count bigint, observed_count bigint, oldest_captured_at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((((((((((((((('{"starts_at":"'::text || public.utc_iso8601(starts_at)) || '","ends_at":"'::text) || public.utc_iso8601(ends_at)) || '","is_complete":'::text) || is_complete) || ',"balance":'::text) || COALESCE((('"'::text || balance) || '"'::text), 'null'::text)) || COALESCE(((((((',"change_amount":"'::text || (balance - previous_balance)) || '","change_percent":'::text) || COALESCE((public.change_percent(previous_balance, balance))::text, 'null'::text)) || ',"entered_amount":"'::text) || entered_amount) || '"'::text), ',"change_amount":null,"change_percent":null,"entered_amount":null'::text)) || ',"account_count":'::text) || account_count) || ',"observed_count":'::text) || observed_count) || ',"oldest_captured_at":'::text) || COALESCE((('"'::text || public.utc_iso8601(oldest_captured_at)) || '"'::text), 'null'::text)) || '}'::text);

CREATE FUNCTION public.portfolio_series_json_v1(currency text, points text, start_balance numeric, end_balance numeric) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((((((((((('{"currency":"'::text || currency) || '","points":['::text) || points) || '],"start_balance":"'::text) || start_balance) || '","end_balance":'::text) || COALESCE((('"'::text || end_balance) || '"'::text), 'null'::text)) || ',"total_change_amount":'::text) || COALESCE((('"'::text || (end_balance - start_balance)) || '"'::text), 'null'::text)) || ',"total_change_percent":'::text) || COALESCE((public.change_percent(start_balance, end_balance))::text, 'null'::text)) || '}'::text);

CREATE FUNCTION public.refuse_update() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'stored rows are never updated'
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = tg_name;

END;
$$;

CREATE FUNCTION public.routed_to(user_id uuid, users uuid[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN true;

CREATE FUNCTION public.snapshot_json_v1(members text, balance numeric, previous_balance numeric) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (((((members || '","change_amount":'::text) || COALESCE((('"'::text || (balance - previous_balance)) || '"'::text), 'null'::text)) || ',"change_percent":'::text) || COALESCE((public.change_percent(previous_balance, balance))::text, 'null'::text)) || '}'::text);

CREATE FUNCTION public.snapshot_members_json_v1(id uuid, account_id uuid, balance numeric, available_balance numeric, holdings_value numeric, cash_value numeric, currency text, source public.snapshot_source, captured_at timestamp with time zone, created_at timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN ((((((((((((((((((('{"id":"'::text || id) || '","account_id":"'::text) || account_id) || '","balance":"'::text) || balance) || '","available_balance":'::text) || COALESCE((('"'::text || available_balance) || '"'::text), 'null'::text)) || ',"holdings_value":'::text) || COALESCE((('"'::text || holdings_value) || '"'::text), 'null'::text)) || ',"cash_value":'::text) || COALESCE((('"'::text || cash_value) || '"'::text), 'null'::text)) || ',"currency":"'::text) || currency) || '","source":"'::text) || source) || '","captured_at":"'::text) || public.utc_iso8601(captured_at)) || '","created_at":"'::text) || public.utc_iso8601(created_at));

CREATE FUNCTION public.supersede_snapshots(corrections json, subject text) RETURNS TABLE(ordinality bigint, replaced_by uuid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
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

CREATE FUNCTION public.uuid_v7(instant timestamp with time zone, ordinal integer) RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (encode((int8send((((((((EXTRACT(epoch FROM instant) * (1000000)::numeric))::bigint + ordinal) / 1000) << 16) | ((7 << 12))::bigint) | ((((((EXTRACT(epoch FROM instant) * (1000000)::numeric))::bigint + ordinal) % (1000)::bigint) * 4096) / 1000))) || SUBSTRING(uuid_send(gen_random_uuid()) FROM 9)), 'hex'::text))::uuid;

CREATE TABLE public.balance_snapshots (
    id uuid DEFAULT public.uuid_v7(clock_timestamp(), 0) NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    balance numeric NOT NULL,
    available_balance numeric,
    holdings_value numeric,
    cash_value numeric,
    currency text NOT NULL,
    source public.snapshot_source NOT NULL,
    captured_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT balance_snapshots_available_balance_is_amount CHECK (public.is_amount(available_balance, currency)),
    CONSTRAINT balance_snapshots_balance_is_amount CHECK (public.is_amount(balance, currency)),
    CONSTRAINT balance_snapshots_cash_value_is_amount CHECK (public.is_amount(cash_value, currency)),
    CONSTRAINT balance_snapshots_currency_is_iso_4217 CHECK ((public.minor_unit(currency) IS NOT NULL)),
    CONSTRAINT balance_snapshots_holdings_value_is_amount CHECK (public.is_amount(holdings_value, currency)),
    CONSTRAINT balance_snapshots_id_is_uuid_v7 CHECK (((get_byte(uuid_send(id), 6) >> 4) = 7)),
    CONSTRAINT balance_snapshots_times_have_four_digit_years CHECK (((captured_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (captured_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (created_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (created_at < '10000-01-01 00:00:00+00'::timestamp with time zone)))
);

CREATE VIEW public.comparable_snapshots AS
 SELECT public.captured_amounts(balance, available_balance, holdings_value, cash_value) AS amounts,
    id,
    user_id,
    account_id,
    balance,
    available_balance,
    holdings_value,
    cash_value,
    currency,
    source,
    captured_at,
    created_at
   FROM public.balance_snapshots;

CREATE TABLE public.superseded_snapshots (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    balance numeric NOT NULL,
    available_balance numeric,
    holdings_value numeric,
    cash_value numeric,
    currency text NOT NULL,
    source public.snapshot_source NOT NULL,
    captured_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    superseded_at timestamp with time zone NOT NULL,
    superseded_by text NOT NULL,
    replaced_by uuid,
    CONSTRAINT balance_snapshots_available_balance_is_amount CHECK (public.is_amount(available_balance, currency)),
    CONSTRAINT balance_snapshots_balance_is_amount CHECK (public.is_amount(balance, currency)),
    CONSTRAINT balance_snapshots_cash_value_is_amount CHECK (public.is_amount(cash_value, currency)),
    CONSTRAINT balance_snapshots_currency_is_iso_4217 CHECK ((public.minor_unit(currency) IS NOT NULL)),
    CONSTRAINT balance_snapshots_holdings_value_is_amount CHECK (public.is_amount(holdings_value, currency)),
    CONSTRAINT balance_snapshots_id_is_uuid_v7 CHECK (((get_byte(uuid_send(id), 6) >> 4) = 7)),
    CONSTRAINT balance_snapshots_times_have_four_digit_years CHECK (((captured_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (captured_at < '10000-01-01 00:00:00+00'::timestamp with time zone) AND (created_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (created_at < '10000-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT superseded_snapshots_reason_has_1_to_500_characters CHECK (((char_length(reason) >= 1) AND (char_length(reason) <= 500))),
    CONSTRAINT superseded_snapshots_superseded_at_has_four_digit_year CHECK (((superseded_at >= '0001-01-01 00:00:00+00'::timestamp with time zone) AND (superseded_at < '10000-01-01 00:00:00+00'::timestamp with time zone)))
);

CREATE VIEW public.comparable_superseded_snapshots AS
 SELECT public.captured_amounts(balance, available_balance, holdings_value, cash_value) AS amounts,
    id,
    user_id,
    account_id,
    balance,
    available_balance,
    holdings_value,
    cash_value,
    currency,
    source,
    captured_at,
    created_at,
    reason,
    superseded_at,
    superseded_by,
    replaced_by
   FROM public.superseded_snapshots;

CREATE VIEW public.formatted_snapshots_v1 AS
 SELECT user_id,
    account_id,
    captured_at,
    id,
    source,
    currency,
    balance,
    public.snapshot_members_json_v1(id, account_id, balance, available_balance, holdings_value, cash_value, currency, source, captured_at, created_at) AS members
   FROM public.balance_snapshots;

CREATE VIEW public.formatted_superseded_snapshots_v1 AS
 SELECT user_id,
    account_id,
    superseded_at,
    id,
    (((((((((public.snapshot_members_json_v1(id, account_id, balance, available_balance, holdings_value, cash_value, currency, source, captured_at, created_at) || '","reason":'::text) || to_json(reason)) || ',"superseded_at":"'::text) || public.utc_iso8601(superseded_at)) || '","superseded_by":'::text) || to_json(superseded_by)) || ',"replaced_by":'::text) || COALESCE((('"'::text || replaced_by) || '"'::text), 'null'::text)) || '}'::text) AS "json"
   FROM public.superseded_snapshots;

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_user_id_id_key UNIQUE (user_id, id);

ALTER TABLE ONLY public.balance_snapshots
    ADD CONSTRAINT balance_snapshots_natural_key UNIQUE (source, account_id, captured_at, user_id);

ALTER TABLE ONLY public.balance_snapshots
    ADD CONSTRAINT balance_snapshots_pkey PRIMARY KEY (user_id, account_id, captured_at, id);

ALTER TABLE ONLY public.superseded_snapshots
    ADD CONSTRAINT superseded_snapshots_natural_key UNIQUE (source, account_id, captured_at, user_id, id);

ALTER TABLE ONLY public.superseded_snapshots
    ADD CONSTRAINT superseded_snapshots_pkey PRIMARY KEY (user_id, account_id, superseded_at, id);

CREATE TRIGGER accounts_keep_their_owner BEFORE UPDATE ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.refuse_update();

CREATE TRIGGER balance_snapshots_stay_as_captured BEFORE UPDATE ON public.balance_snapshots FOR EACH ROW EXECUTE FUNCTION public.refuse_update();

CREATE TRIGGER superseded_snapshots_stay_as_moved BEFORE UPDATE ON public.superseded_snapshots FOR EACH ROW EXECUTE FUNCTION public.refuse_update();

ALTER TABLE ONLY public.balance_snapshots
    ADD CONSTRAINT balance_snapshots_account_of_user FOREIGN KEY (user_id, account_id) REFERENCES public.accounts(user_id, id);

ALTER TABLE ONLY public.superseded_snapshots
    ADD CONSTRAINT superseded_snapshots_account_of_user FOREIGN KEY (user_id, account_id) REFERENCES public.accounts(user_id, id);
