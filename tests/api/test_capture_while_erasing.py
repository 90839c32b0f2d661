"""A capture and a concurrent erasure of its user: each order of their statements is forced and has one outcome.

A capture has two to four statements (snapshots/batch.py), an erasure five (snapshots/erasing.py).
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, LiteralString, TypeVar
from uuid import uuid4

import psycopg
import pytest

from config import Settings
from snapshots import command_queries, erasing
from tests.support import Caller, Response, captured, faults, snapshot, until, user_token
from tests.support.apps import serving
from tests.support.citus import coordinator_url

Connection = psycopg.Connection[tuple[Any, ...]]
T = TypeVar("T")
# The application_name of each one's session; a capture has the service's.
CAPTURE, ERASURE = "balance-snapshots", "erasure"
_PAUSE: LiteralString = """
    CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END'
"""


not_on_a_cluster = pytest.mark.skipif(
    bool(coordinator_url()), reason="it pauses statements by triggers, or by row locks that a cluster does not have"
)


class Race:
    """A capture and an erasure, each of which can be paused after one of its statements."""

    def __init__(self, sync_job: Caller, url: str, stack: contextlib.ExitStack) -> None:
        self.sync_job = sync_job
        self._url = url
        self.erasing: Connection = stack.enter_context(psycopg.connect(url, autocommit=True, application_name=ERASURE))
        self._observer: Connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        self._observer.execute(_PAUSE)
        self._threads = stack.enter_context(ThreadPoolExecutor(2))

    def capture(self, *items: dict[str, Any]) -> Response:
        return self.sync_job.capture(*items)

    def erase(self, user_id: str) -> tuple[int, int]:
        with self.erasing.transaction():
            return erasing.erase_user(self.erasing, user_id)

    def lock_accounts(self, user_id: str) -> list[str]:
        """Run the statements with which the erasure of a user begins; return the accounts that they lock."""
        account_ids = command_queries.list_accounts(self.erasing, user_id=user_id)
        return command_queries.lock_accounts(self.erasing, account_ids=account_ids)

    def begin(self, name: str, call: Callable[[], T]) -> Future[T]:
        """Start a call in a thread; return when its session waits for a lock."""
        future = self._threads.submit(call)
        until(lambda: future.done() or self._waits(name))
        assert not future.done(), f"the {name} did not wait: {future.result()}"
        return future

    @contextlib.contextmanager
    def paused(self, name: str, after: LiteralString, call: Callable[[], T]) -> Iterator[Future[T]]:
        """Start a call in a thread and hold it after this statement until the context ends."""
        condition = f"current_setting('application_name') = '{name}'"
        self._observer.execute(
            f"CREATE TRIGGER pauses AFTER {after} FOR EACH STATEMENT WHEN ({condition}) EXECUTE FUNCTION pause()"
        )
        self._observer.execute("SELECT pg_advisory_lock(1)")
        try:
            yield self.begin(name, call)
        finally:
            self._observer.execute("SELECT pg_advisory_unlock(1)")

    @contextlib.contextmanager
    def registering(self, item: dict[str, Any]) -> Iterator[Connection]:
        """Register the item's account in a transaction that is rolled back at the end."""
        with psycopg.connect(self._url) as connection:
            connection.execute(
                "INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [item["account_id"], item["user_id"]]
            )
            yield connection
            connection.rollback()

    def wait_until_blocked(self, name: str, other: Connection) -> None:
        """Wait until the session of this name waits for a lock that the other one holds."""
        blocked = "SELECT FROM pg_stat_activity WHERE application_name = %s AND %s = any(pg_blocking_pids(pid))"
        until(lambda: self._observer.execute(blocked, [name, other.info.backend_pid]).rowcount == 1)

    def stored(self, account_id: str) -> int:
        """Return the number of the account's snapshots."""
        return self._observer.execute("SELECT FROM balance_snapshots WHERE account_id = %s", [account_id]).rowcount

    def _waits(self, name: str) -> bool:
        sessions = "SELECT FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        return self._observer.execute(sessions + " AND datname = current_database()", [name]).rowcount == 1


@pytest.fixture
def race(migrated_database_url: str, settings: Settings) -> Iterator[Race]:
    """A race on a database of its own, which may have triggers."""
    with serving(replace(settings, database_url=migrated_database_url)) as app, contextlib.ExitStack() as stack:
        sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
        yield Race(sync_job, migrated_database_url, stack)


# The erasure comes first


def test_a_capture_waits_for_an_erasure_and_registers_the_account_anew(
    race: Race, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id)
    [before] = captured(race.sync_job, item)

    with race.erasing.transaction():
        erasing.erase_user(race.erasing, user_id)
        capture = race.begin(CAPTURE, lambda: race.capture(item))

    assert capture.result().status_code == 201
    assert capture.result().json["snapshots"][0]["id"] != before["id"]
    assert race.stored(account_id) == 1


def test_a_capture_waits_for_an_erasure_that_is_rolled_back_and_is_a_duplicate(
    race: Race, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id)
    [before] = captured(race.sync_job, item)

    with race.erasing.transaction(force_rollback=True):
        erasing.erase_user(race.erasing, user_id)
        capture = race.begin(CAPTURE, lambda: race.capture(item))

    assert capture.result().json["snapshots"] == [{**before, "status": "duplicate"}]
    assert race.stored(account_id) == 1


def test_a_capture_that_begins_when_accounts_are_only_locked_registers_them_anew(
    race: Race, user_id: str, account_id: str
) -> None:
    old, new = snapshot(user_id, account_id), snapshot(user_id, account_id, captured_at="2025-01-02")
    others = snapshot(str(uuid4()), str(uuid4()))
    captured(race.sync_job, old)

    with race.erasing.transaction():
        accounts = race.lock_accounts(user_id)
        capture = race.begin(CAPTURE, lambda: race.capture(others, new))
        command_queries.delete_snapshots(race.erasing, user_id=user_id, account_ids=accounts)
        command_queries.delete_accounts(race.erasing, user_id=user_id, account_ids=accounts)

    assert capture.result().json["created_count"] == 2
    assert (race.stored(account_id), race.stored(others["account_id"])) == (1, 1)


@not_on_a_cluster
def test_a_capture_whose_account_others_register_and_erase_meanwhile_registers_it_anew(
    race: Race, user_id: str
) -> None:
    """Both accounts are new to the capture; while it waits for the first, the second is registered and erased."""
    first, second = (snapshot(user_id, account_id) for account_id in sorted(str(uuid4()) for _ in range(2)))

    with race.registering(first) as registration:
        capture = race.begin(CAPTURE, lambda: race.capture(first, second))
        captured(race.sync_job, second)
        with race.erasing.transaction():
            accounts = race.lock_accounts(user_id)
            registration.rollback()
            race.wait_until_blocked(CAPTURE, race.erasing)
            command_queries.delete_snapshots(race.erasing, user_id=user_id, account_ids=accounts)
            command_queries.delete_accounts(race.erasing, user_id=user_id, account_ids=accounts)

    assert capture.result().json["created_count"] == 2
    assert (race.stored(first["account_id"]), race.stored(second["account_id"])) == (1, 1)


def test_a_conflict_names_its_own_item_when_the_account_before_it_in_the_batch_is_erased(
    race: Race, user_id: str, account_id: str
) -> None:
    erased, stored = snapshot(user_id, account_id), snapshot(str(uuid4()), str(uuid4()))
    captured(race.sync_job, erased, stored)
    contradictory = {**stored, "balance": "7.00"}

    with race.erasing.transaction():
        accounts = race.lock_accounts(user_id)
        capture = race.begin(CAPTURE, lambda: race.capture(erased, contradictory))
        command_queries.delete_snapshots(race.erasing, user_id=user_id, account_ids=accounts)
        command_queries.delete_accounts(race.erasing, user_id=user_id, account_ids=accounts)

    assert capture.result().status_code == 409
    assert list(faults(capture.result())) == ["/snapshots/1"]


def test_a_capture_that_begins_when_accounts_are_only_locked_succeeds_when_the_erasure_is_rolled_back(
    race: Race, user_id: str, account_id: str
) -> None:
    old, new = snapshot(user_id, account_id), snapshot(user_id, account_id, captured_at="2025-01-02")
    captured(race.sync_job, old)

    with race.erasing.transaction(force_rollback=True):
        race.lock_accounts(user_id)
        capture = race.begin(CAPTURE, lambda: race.capture(new))

    assert capture.result().status_code == 201
    assert race.stored(account_id) == 2


# The capture comes first


@not_on_a_cluster
def test_an_erasure_waits_for_a_capture_that_has_only_registered_its_accounts_and_erases_what_it_stores(
    race: Race, user_id: str, account_id: str
) -> None:
    item, others = snapshot(user_id, account_id), snapshot(str(uuid4()), str(uuid4()))
    captured(race.sync_job, snapshot(user_id, account_id, captured_at="2025-01-02"))

    with race.paused(CAPTURE, "INSERT ON accounts", lambda: race.capture(others, item)) as capture:
        erasure = race.begin(ERASURE, lambda: race.erase(user_id))

    assert capture.result().json["created_count"] == 2
    assert erasure.result() == (1, 2)
    assert (race.stored(account_id), race.stored(others["account_id"])) == (0, 1)


@not_on_a_cluster
def test_an_erasure_waits_for_a_capture_that_has_stored_a_snapshot_and_erases_that_too(
    race: Race, user_id: str, account_id: str
) -> None:
    old, new = snapshot(user_id, account_id), snapshot(user_id, account_id, captured_at="2025-01-02")
    captured(race.sync_job, old)

    with race.paused(CAPTURE, "INSERT ON balance_snapshots", lambda: race.capture(new)) as capture:
        erasure = race.begin(ERASURE, lambda: race.erase(user_id))

    assert capture.result().status_code == 201
    assert erasure.result() == (1, 2)
    assert race.stored(account_id) == 0


@not_on_a_cluster
def test_an_erasure_waits_for_a_capture_that_has_yet_to_look_up_its_duplicates(
    race: Race, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id)
    [before] = captured(race.sync_job, item)

    with race.paused(CAPTURE, "INSERT ON balance_snapshots", lambda: race.capture(item)) as capture:
        erasure = race.begin(ERASURE, lambda: race.erase(user_id))

    assert capture.result().json["snapshots"] == [{**before, "status": "duplicate"}]
    assert erasure.result() == (1, 1)
    assert race.stored(account_id) == 0


@not_on_a_cluster
def test_an_account_that_is_registered_during_an_erasure_stays_and_the_erasure_succeeds(
    race: Race, user_id: str, account_id: str
) -> None:
    new = snapshot(user_id, str(uuid4()))
    captured(race.sync_job, snapshot(user_id, account_id))

    with race.paused(ERASURE, "DELETE ON balance_snapshots", lambda: race.erase(user_id)) as erasure:
        assert race.capture(new).status_code == 201

    assert erasure.result() == (1, 1)
    assert (race.stored(account_id), race.stored(new["account_id"])) == (0, 1)
