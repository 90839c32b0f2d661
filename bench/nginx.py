"""The cost of nginx: the service through nginx as deployed, and gunicorn alone with the same settings, in turns.

nginx limits the concurrent reads of one token, so the requests come from many users. It sheds requests when there are
too many at once, so the connections are few.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg

from bench import services, turns, wrk
from tools import local

USERS = 64
CONNECTIONS = (8, 24)
SECONDS = 3
WARM_UP_SECONDS = 2
PATHS = {
    "latest": "/api/v1/balance-snapshots",
    "list of 30": "/api/v1/accounts/{account_id}/balance-snapshots?limit=30",
    "history of 365": "/api/v1/accounts/{account_id}/balance-history"
    "?start_date=2025-01-01T00:00:00Z&end_date=2025-12-31T23:59:59Z",
}


def measure(database_url: str, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each request at each number of connections; the ratio is that of nginx to gunicorn."""
    alone = services.gunicorn(WEB_CONCURRENCY=str(services.PROCESSES))
    accounts = _accounts(database_url)
    with services.running(database_url, {"nginx": [services.behind_nginx], "gunicorn": [alone]}) as running:
        for scenario, path in PATHS.items():
            requests = [wrk.get(path.format(account_id=id_), local.token(user_id)) for user_id, id_ in accounts]
            for service in running.values():
                wrk.load_successfully(service.bases, requests, connections=min(CONNECTIONS), seconds=WARM_UP_SECONDS)
            for connections in CONNECTIONS:
                load = partial(wrk.load_successfully, requests=requests, connections=connections, seconds=SECONDS)
                loads = turns.alternate(
                    {name: partial(load, service.bases) for name, service in running.items()}, rounds
                )
                yield turns.row(scenario, connections, loads, [("nginx", "gunicorn")])


def _accounts(database_url: str) -> list[tuple[str, str]]:
    """Return the owners and ids of accounts with a year of daily snapshots, each of a different user."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            """
            SELECT user_id::text, id::text FROM accounts
            WHERE user_id IN (SELECT user_id FROM accounts GROUP BY user_id HAVING count(*) = 1)
                AND (SELECT count(*) FROM balance_snapshots AS s
                    WHERE s.user_id = accounts.user_id AND s.account_id = accounts.id
                        AND captured_at BETWEEN '2025-01-01T00:00:00Z' AND '2025-12-31T23:59:59Z') = 365
            LIMIT %s
            """,
            [USERS],
        ).fetchall()
