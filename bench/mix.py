"""The load of `make overload`: requests of many users and sync jobs, in random order."""

import json
import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from bench import wrk
from snapshots.capture import SCOPE
from tools import greedy, local

USERS = 50
ACCOUNTS = 4
DAYS = 400
CAPTURED_AT_ONCE = 10
END = datetime(2025, 12, 31, 10, tzinfo=UTC)
# Requests of each kind among 400.
LATEST, LISTS, MONTHS, YEARS, CAPTURES = 200, 80, 60, 18, 40


def store_and_mix(database_url: str) -> list[str]:
    """Store accounts, and return 400 requests about them; two of these are the longest histories that are permitted.

    More of those would take up the whole stack: one costs as much as a hundred of the others.
    """
    choice = random.Random(1)
    users = [str(uuid4()) for _ in range(USERS)]
    accounts = [(user_id, str(uuid4())) for user_id in users for _ in range(ACCOUNTS)]
    _store(database_url, accounts)
    greedy_user, greedy_account = str(uuid4()), str(uuid4())
    greedy.store_snapshots(database_url, greedy_user, greedy_account)
    tokens = {user_id: local.token(user_id) for user_id in [*users, greedy_user]}

    requests = [wrk.get("/api/v1/balance-snapshots", tokens[choice.choice(users)]) for _ in range(LATEST)]
    for number, path in [
        (LISTS, "/api/v1/accounts/{}/balance-snapshots"),
        (MONTHS, f"/api/v1/accounts/{{}}/balance-history?{_range(30)}"),
        (YEARS, f"/api/v1/accounts/{{}}/balance-history?{_range(365)}"),
    ]:
        for user_id, account_id in choice.choices(accounts, k=number):
            requests.append(wrk.get(path.format(account_id), tokens[user_id]))
    sync_job = local.token("sync", SCOPE)
    for _ in range(CAPTURES):
        body = _batch(choice.sample(accounts, CAPTURED_AT_ONCE))
        requests.append(wrk.post("/api/v1/balance-snapshots", sync_job, body))
    requests += [wrk.get(path, tokens[greedy_user]) for path in greedy.histories(greedy_account)]
    choice.shuffle(requests)
    return requests


def _range(days: int) -> str:
    return f"start_date={END - timedelta(days):%Y-%m-%dT%H:%M:%SZ}&end_date={END:%Y-%m-%dT%H:%M:%SZ}"


def _batch(accounts: list[tuple[str, str]]) -> str:
    items = [
        {
            "user_id": user_id,
            "account_id": account_id,
            "balance": "10000.25",
            "currency": "USD",
            "source": "scheduled_sync",
            "captured_at": "$STAMPZ",
        }
        for user_id, account_id in accounts
    ]
    return json.dumps({"snapshots": items})


def _store(database_url: str, accounts: list[tuple[str, str]]) -> None:
    """Store the accounts, each with a snapshot of each of the last DAYS days."""
    user_ids, account_ids = zip(*accounts, strict=True)
    parameters = {"users": list(user_ids), "accounts": list(account_ids), "end": END, "days": DAYS}
    planned = "unnest(%(users)s::uuid[], %(accounts)s::uuid[]) AS planned (user_id, account_id)"
    with psycopg.connect(database_url) as connection:
        connection.execute(f"INSERT INTO accounts (user_id, id) SELECT * FROM {planned}".encode(), parameters)
        connection.execute(
            f"""
            INSERT INTO balance_snapshots (id, user_id, account_id, balance, currency, source, captured_at)
            SELECT uuid_v7(at, 0), user_id, account_id, 20000.00 + n, 'USD', 'account_sync', at
            FROM {planned}
            CROSS JOIN generate_series(0, %(days)s::integer - 1) AS n
            CROSS JOIN LATERAL (SELECT %(end)s::timestamptz - n * interval '1 day' AS at) AS time
            """.encode(),
            parameters,
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE) balance_snapshots")
