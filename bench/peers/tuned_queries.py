"""The SQL of the tuned peer."""

_COLUMNS = """
    id::text, account_id::text, balance::text, available_balance::text, holdings_value::text, cash_value::text,
    currency, source::text, captured_at, created_at, balance AS exact, lag(balance) OVER series AS previous,
    lag(currency) OVER series AS previous_currency
"""
LATEST = f"""
    SELECT * FROM (
        SELECT {_COLUMNS}, row_number() OVER (PARTITION BY account_id ORDER BY captured_at DESC, s.id DESC) AS recency
        FROM (
            SELECT newest.* FROM accounts
            CROSS JOIN LATERAL (
                SELECT * FROM balance_snapshots WHERE user_id = $1 AND account_id = accounts.id
                ORDER BY captured_at DESC, id DESC LIMIT 2
            ) AS newest
            WHERE accounts.user_id = $1
        ) AS s
        WINDOW series AS (PARTITION BY account_id ORDER BY captured_at, s.id)
    ) AS compared
    WHERE recency = 1 ORDER BY captured_at DESC, account_id
"""
OWNER = "SELECT user_id FROM accounts WHERE id = $1"
HISTORY = f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM balance_snapshots
        WHERE user_id = $1 AND account_id = $2 AND captured_at BETWEEN $3 AND $4 {{source}}
        UNION ALL
        (
            SELECT * FROM balance_snapshots WHERE user_id = $1 AND account_id = $2 AND captured_at < $3 {{source}}
            ORDER BY captured_at DESC, id DESC LIMIT 1
        )
    ) AS s
    WINDOW series AS (ORDER BY captured_at, s.id) ORDER BY captured_at, s.id
"""
PORTFOLIO = """
    SELECT account_id, captured_at, balance, currency FROM balance_snapshots
    WHERE user_id = $1 AND captured_at <= $2 ORDER BY captured_at, id
"""
RECENT = f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM balance_snapshots WHERE user_id = $1 AND account_id = $2 {{source}}
        ORDER BY captured_at DESC, id DESC LIMIT $3
    ) AS s
    WINDOW series AS (ORDER BY captured_at, s.id) ORDER BY captured_at DESC, s.id DESC
"""
ACCOUNTS = """
    INSERT INTO accounts (id, user_id) SELECT DISTINCT ON (a) a, u FROM unnest($1::uuid[], $2::uuid[]) AS i (a, u)
    ORDER BY a ON CONFLICT DO NOTHING
"""
INSERT = """
    INSERT INTO balance_snapshots (id, user_id, account_id, balance, available_balance, holdings_value, cash_value,
        currency, source, captured_at, created_at)
    SELECT i.id, u, a, b, v, h, c, y, s, t, $11
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[],
        $8::text[], $9::snapshot_source[], $10::timestamptz[]) AS i (id, u, a, b, v, h, c, y, s, t)
    JOIN accounts ON accounts.id = a AND accounts.user_id = u
    ORDER BY u, a, s, t
    ON CONFLICT DO NOTHING RETURNING id
"""
STORED = """
    SELECT s.id, s.account_id, s.balance, s.available_balance, s.holdings_value, s.cash_value, s.currency
    FROM unnest($1::uuid[], $2::uuid[], $3::snapshot_source[], $4::timestamptz[]) WITH ORDINALITY AS i (u, a, s, t, n)
    LEFT JOIN balance_snapshots AS s
        ON s.source = i.s AND s.user_id = i.u AND s.account_id = i.a AND s.captured_at = i.t
    ORDER BY n
"""
