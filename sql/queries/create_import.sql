-- Makes room for the rows of a file, until the transaction ends.
--

CREATE TEMPORARY TABLE import (
    line bigint NOT NULL,
    user_id uuid NOT NULL,
    account_id uuid NOT NULL,
    balance numeric NOT NULL,
    available_balance numeric,
    holdings_value numeric,
    cash_value numeric,
    currency text NOT NULL,
    source snapshot_source NOT NULL,
    captured_at timestamptz NOT NULL
) ON COMMIT DROP;
