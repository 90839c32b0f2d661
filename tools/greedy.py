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
START = datetime(2015, 1, 1, tzinfo=UTC)
# More reads than nginx forwards at once for all callers together.
CONNECTIONS = 26


def store_snapshots(database_url: str, user_id: str, account_id: str) -> None:
    """Store the account that `reads` requests."""
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
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


def reads(account_id: str) -> list[str]:
    """Return the paths of the most expensive reads: the longest history, and the one with the most intervals."""
    path = f"/api/v1/accounts/{account_id}/balance-history"
    whole = f"start_date={START:%Y-%m-%dT%H:%M:%SZ}&end_date={START + timedelta(DAYS, -1):%Y-%m-%dT%H:%M:%SZ}"
    return [f"{path}?{whole}", f"{path}?{whole}&interval=day"]


@contextlib.contextmanager
def calling(base: str, user_id: str, account_id: str) -> Iterator[Counter[int]]:
    """Send these reads over many connections until the context ends; count the responses by status.

    A refused request is retried at once, against the advice of `Retry-After`.
    """
    statuses: Counter[int] = Counter()
    stopped = threading.Event()
    headers = {"Authorization": f"Bearer {local.token(user_id)}", "Accept-Encoding": "gzip"}
    paths = reads(account_id)

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
