"""A greedy caller, who keeps sending the most expensive reads that one user may send (rule 35)."""

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg

from tools import local

# The maximum of a history, spread over the maximum number of daily intervals.
SNAPSHOTS = 10_000
DAYS = 4_000
# The maximum number of daily points of a portfolio history, and the most accounts that one of that length may cover.
PORTFOLIO_DAYS = 1_100
ACCOUNTS = 90
START = datetime(2015, 1, 1, tzinfo=UTC)
# More reads than nginx forwards at once for all callers together.
CONNECTIONS = 26


def store_snapshots(database_url: str, user_id: str, account_id: str) -> None:
    """Store the account whose histories are read, and the others of the portfolio with one snapshot each."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        connection.execute(
            """
            WITH account AS (
                INSERT INTO accounts (id, user_id)
                SELECT gen_random_uuid(), %(user_id)s::uuid FROM generate_series(2, %(accounts)s::integer)
                RETURNING id, user_id
            )
            INSERT INTO balance_snapshots (id, user_id, account_id, balance, currency, source, captured_at)
            SELECT uuid_v7(%(start)s, 0), user_id, id, 20000.00, 'USD', 'account_sync', %(start)s FROM account
            """,
            {"user_id": user_id, "accounts": ACCOUNTS, "start": START},
        )
        connection.execute(
            """
            INSERT INTO balance_snapshots (id, user_id, account_id, balance, available_balance, holdings_value,
                cash_value, currency, source, captured_at)
            SELECT uuid_v7(at, 0), %(user_id)s::uuid, %(account_id)s::uuid, 20000.00 + n, 19500.00 + n,
                17000.00 + n, 3000.00, 'USD', 'account_sync', at
            FROM generate_series(0, %(snapshots)s::integer - 1) AS n
            CROSS JOIN LATERAL (SELECT %(start)s::timestamptz + n * %(step)s::interval AS at) AS time
            """,
            {
                "user_id": user_id,
                "account_id": account_id,
                "snapshots": SNAPSHOTS,
                "start": START,
                "step": timedelta(DAYS) / SNAPSHOTS,
            },
        )


def histories(account_id: str) -> list[str]:
    """Return the paths of the longest history, and of the one with the most intervals."""
    path = f"/api/v1/accounts/{account_id}/balance-history"
    return [f"{path}?{_days(DAYS)}", f"{path}?{_days(DAYS)}&interval=day"]


def portfolio() -> str:
    """Return the path of the portfolio history with the most balances."""
    return f"/api/v1/balance-history?{_days(PORTFOLIO_DAYS)}"


def _days(count: int) -> str:
    end = START + timedelta(count, -1)
    return f"start_date={START:%Y-%m-%dT%H:%M:%SZ}&end_date={end:%Y-%m-%dT%H:%M:%SZ}"


@contextlib.contextmanager
def calling(base: str, user_id: str, account_id: str) -> Iterator[Counter[int]]:
    """Send histories and portfolio histories over many connections until the context ends; count responses by status.

    A refused request is retried at once, against the advice of `Retry-After`.
    """
    statuses: Counter[int] = Counter()
    stopped = threading.Event()
    headers = {"Authorization": f"Bearer {local.token(user_id)}", "Accept-Encoding": "gzip"}
    paths = [*histories(account_id), portfolio()]

    def call(number: int) -> None:
        connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            while not stopped.is_set():
                connection.request("GET", paths[number % len(paths)], headers=headers)
                response = connection.getresponse()
                response.read()
                statuses[response.status] += 1
                number += 1

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        calls = [threads.submit(call, number) for number in range(CONNECTIONS)]
        try:
            yield statuses
        finally:
            stopped.set()
        for finished in calls:
            finished.result()
