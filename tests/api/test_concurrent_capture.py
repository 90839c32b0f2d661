"""Concurrent captures, each on a connection of its own: rules 22 and 23 hold whichever comes first."""

import contextlib
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from config import Settings
from schemas.capture import CaptureBatch
from snapshots import batch
from snapshots.batch import ContradictionError
from snapshots.queries import Match
from tests.support import PATIENCE_SECONDS, Caller, snapshot, user_token
from tests.support.apps import serving
from tests.support.citus import waiting_sessions

Connection = psycopg.Connection[tuple[Any, ...]]
SENDERS = 20
ENDS = pytest.mark.parametrize("first_sender", ["commits", "rolls back"])


@pytest.fixture
def connections(database_url: str) -> Iterator[list[Connection]]:
    """A connection for the first sender, and one for each of the others."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(database_url, autocommit=True)) for _ in range(1 + SENDERS)]


def loaded(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(CaptureBatch().load({"snapshots": items})["snapshots"])


def portfolio(user_id: str, accounts: int = 5, snapshots: int = 12) -> list[dict[str, Any]]:
    """Return snapshots of several accounts, in the order of their natural keys."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    return [
        snapshot(user_id, account_id, f"{n}.50", captured_at=(start + timedelta(days=n)).isoformat())
        for account_id in sorted(str(uuid4()) for _ in range(accounts))
        for n in range(snapshots)
    ]


def register(connection: Connection, items: list[dict[str, Any]]) -> None:
    owners = {item["account_id"]: item["user_id"] for item in items}
    connection.cursor().executemany("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", list(owners.items()))


def opposite_orders(items: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the batch once for each sender, reversed for every other one."""
    return [items[:: (-1) ** n] for n in range(SENDERS)]


def run_at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Make each call in a thread of its own, all at once, and return their results."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def outcome(connection: Connection, items: list[dict[str, Any]]) -> list[Match] | dict[int, str]:
    """Store a batch; return the outcome of each item, or the faults of the batch."""
    try:
        return batch.store(connection, items)
    except ContradictionError as error:
        return error.statuses


def store_behind(
    first_batch: list[dict[str, Any]],
    batches: list[list[dict[str, Any]]],
    connections: list[Connection],
    first_sender: str,
) -> list[list[Match] | dict[int, str]]:
    """Let the other senders wait until the first one commits or rolls back; return the outcomes of all.

    A batch that was rolled back has no outcome.
    """
    first, *others = connections
    outcomes: list[list[Match] | dict[int, str]] = []
    with ThreadPoolExecutor(len(batches)) as threads:
        with first.transaction(force_rollback=first_sender == "rolls back"):
            matches = batch.store(first, loaded(first_batch))
            pending = [
                threads.submit(outcome, sender, loaded(items)) for sender, items in zip(others, batches, strict=True)
            ]
            wait_until_blocked(first, others)
        if first_sender == "commits":
            outcomes.append(matches)
        return outcomes + [sender.result() for sender in pending]


def wait_until_blocked(observer: Connection, waiting: list[Connection]) -> None:
    pids = [connection.info.backend_pid for connection in waiting]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        row = observer.execute(
            f"SELECT count(DISTINCT pid) FROM ({waiting_sessions()}) AS waiting WHERE pid = ANY(%s)".encode(), [pids]
        ).fetchone()
        if row == (len(pids),):
            return
        time.sleep(0.005)
    pytest.fail("Not every session came to wait for a lock.")


Outcome = tuple[str, str, str, str, str]


def outcomes_of(matches: list[Match]) -> list[Outcome]:
    return [(m.account_id, m.captured_at, m.source, str(m.id), m.status) for m in matches]


def assert_each_created_once(deliveries: Sequence[list[Outcome]], items: int, connection: Connection) -> None:
    """Fail unless each snapshot was created by one delivery, and all returned the id under which it is stored."""
    outcomes = [outcome for delivery in deliveries for outcome in delivery]
    assert {status for *_, status in outcomes} <= {"created", "duplicate"}
    created = [snapshot for *snapshot, status in outcomes if status == "created"]
    assert len(created) == items
    assert {tuple(snapshot) for *snapshot, _ in outcomes} == {tuple(snapshot) for snapshot in created}
    stored = connection.execute(
        "SELECT account_id::text, utc_iso8601(captured_at), source::text, id::text FROM balance_snapshots"
        " WHERE account_id = ANY(%s::uuid[])",
        [list({account_id for account_id, *_ in outcomes})],
    ).fetchall()
    assert sorted(map(list, stored)) == sorted(created)


@ENDS
@pytest.mark.parametrize("accounts", ["new", "known"])
def test_a_batch_delivered_at_once_in_opposite_orders_is_stored_once(
    accounts: str, first_sender: str, connections: list[Connection], user_id: str
) -> None:
    """The first sender holds the middle of the batch: if the others did not lock in one order, they would deadlock."""
    items = portfolio(user_id)
    if accounts == "known":
        register(connections[0], items)
    middle = [items[len(items) // 2]]

    outcomes = store_behind(middle, opposite_orders(items), connections, first_sender)

    deliveries = [outcomes_of(matches) for matches in outcomes if isinstance(matches, list)]
    assert len(deliveries) == len(outcomes)
    assert_each_created_once(deliveries, len(items), connections[0])


def test_a_batch_posted_at_once_in_opposite_orders_is_stored_once(
    settings: Settings, connection: Connection, user_id: str
) -> None:
    items = portfolio(user_id)
    with serving(replace(settings, web_threads=SENDERS)) as app:
        app.extensions["pool"].resize(SENDERS)
        app.extensions["pool"].wait(PATIENCE_SECONDS)
        bearer = user_token("sync-job", scope="balance-snapshots:write")

        responses = run_at_once([partial(Caller(app, bearer).capture, *order) for order in opposite_orders(items)])

    assert {response.status_code for response in responses} <= {200, 201}
    deliveries = [
        [(s["account_id"], s["captured_at"], s["source"], s["id"], s["status"]) for s in r.json["snapshots"]]
        for r in responses
    ]
    assert_each_created_once(deliveries, len(items), connection)


def test_batches_that_overlap_in_any_order_create_each_snapshot_once(
    connections: list[Connection], user_id: str
) -> None:
    items = portfolio(user_id)
    chance = random.Random(7)
    batches = [chance.sample(items[2 * n : 2 * n + 22], 22) for n in range(SENDERS)]

    outcomes = run_at_once(
        [partial(batch.store, *sender) for sender in zip(connections[1:], map(loaded, batches), strict=True)]
    )

    assert_each_created_once([outcomes_of(matches) for matches in outcomes], len(items), connections[0])


@ENDS
@pytest.mark.parametrize(
    ("member", "fault"), [("user_id", "other_owner"), ("balance", "contradicts_stored")], ids=["users", "values"]
)
def test_exactly_one_of_concurrent_contradicting_batches_is_stored(
    member: str, fault: str, first_sender: str, connections: list[Connection], user_id: str, account_id: str
) -> None:
    """Batches with different users for one account, or values for one snapshot; each also has a snapshot of its own."""
    values = [str(uuid4()) if member == "user_id" else f"{n}.00" for n in range(1 + SENDERS)]
    first, *others = [
        [item, snapshot(item["user_id"], str(uuid4()))]
        for item in (snapshot(user_id, account_id) | {member: value} for value in values)
    ]

    outcomes = store_behind(first, others, connections, first_sender)

    deliveries = [outcomes_of(matches) for matches in outcomes if isinstance(matches, list)]
    assert [outcome for outcome in outcomes if not isinstance(outcome, list)] == [{0: fault}] * (len(outcomes) - 1)
    ((contested, beside),) = deliveries
    account_ids = [item["account_id"] for items in (first, *others) for item in items]
    registered = (
        connections[0].execute("SELECT id::text FROM accounts WHERE id = ANY(%s::uuid[])", [account_ids]).fetchall()
    )
    assert sorted(registered) == sorted([(contested[0],), (beside[0],)])
    assert_each_created_once(deliveries, 2, connections[0])


@pytest.mark.parametrize("size", [2, 1000])
def test_a_batch_of_any_size_takes_four_round_trips_and_one_more_if_an_account_is_new_or_an_item_is_stored(
    size: int, database_url: str, user_id: str
) -> None:
    """They are BEGIN, two or three statements, and COMMIT."""
    items = loaded(portfolio(user_id, accounts=2, snapshots=size // 2))
    later = [item | {"source": "manual_sync"} for item in items]
    with psycopg.connect(database_url, autocommit=True) as connection:
        trips = [round_trips(connection, partial(batch.store, connection, each)) for each in (items, items, later)]

    assert trips == [5, 5, 4]


def round_trips(connection: psycopg.Connection[Any], store: Callable[[], Any]) -> int:
    """Return the number of round trips that storing a batch on the connection takes."""
    with tempfile.TemporaryFile() as trace:
        connection.pgconn.trace(trace.fileno())
        store()
        connection.pgconn.untrace()
        trace.seek(0)
        # The server reports this once per round trip (https://www.postgresql.org/docs/current/protocol-flow.html).
        return len(re.findall(rb"\tB\t\d+\tReadyForQuery", trace.read()))
