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
    captured_at timestamptz NOT NULL,
    -- By another line, which has other values under the same key.
    is_contradicted boolean NOT NULL DEFAULT FALSE
) ON COMMIT DROP;
