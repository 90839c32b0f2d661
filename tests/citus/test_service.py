"""On a Citus cluster the service, with the role that it has in production, works as on one server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from config import Settings
from snapshots import batch, importing
from snapshots.rows import Row
from tests.api.test_concurrent_capture import loaded, portfolio
from tests.support import SECRET, Caller, captured, correction, snapshot, usd
from tests.support.apps import serving
from tests.support.citus import SKIPPED, RoleUrls, coordinator_url, deployed_database
from tests.support.corrections import balances, outcomes

pytestmark = pytest.mark.skipif(not coordinator_url(), reason=SKIPPED)


@pytest.fixture(scope="module")
def urls() -> Iterator[RoleUrls]:
    with deployed_database() as urls:
        yield urls


@pytest.fixture(scope="module")
def app(urls: RoleUrls) -> Iterator[Flask]:
    with serving(Settings.from_env({"DATABASE_URL": urls.service, "JWT_SECRET_KEY": SECRET})) as app:
        yield app


@pytest.fixture
def items(user_id: str, account_id: str) -> list[dict[str, Any]]:
    return [snapshot(user_id, account_id, f"{n}00.00", captured_at=f"2025-01-0{n}T00:00:00Z") for n in (1, 2, 3)]


@pytest.fixture
def ids(sync_job: Caller, items: list[dict[str, Any]]) -> list[str]:
    """The ids of the stored snapshots."""
    return [each["id"] for each in captured(sync_job, *items)]


def test_a_batch_of_corrections_that_is_partly_new_is_stored(
    corrector: Caller, user: Caller, account_id: str, items: list[dict[str, Any]], ids: list[str]
) -> None:
    stored, new, withdrawal = (
        correction(item, id_, values)
        for item, id_, values in zip(items, ids, (usd("1.00"), usd("2.00"), None), strict=True)
    )
    [(_, _, replaced_by)] = outcomes(corrector.correct(stored))

    first, second, third, fourth = outcomes(corrector.correct(stored, new, withdrawal, new))

    assert first == ("duplicate", ids[0], replaced_by)
    assert (second[0], third) == ("corrected", ("withdrawn", ids[2], None))
    assert fourth == ("duplicate", ids[1], second[2])
    assert balances(user, account_id) == ["2.00", "1.00"]


def test_a_capture_that_follows_the_registration_of_its_account_at_once_is_stored(urls: RoleUrls) -> None:
    """An account is committed on the coordinator before the workers: one capture in twelve arrives in between."""
    statuses = []
    with (
        psycopg.connect(urls.service, autocommit=True) as first,
        psycopg.connect(urls.service, autocommit=True) as second,
        psycopg.connect(urls.service, autocommit=True) as observer,
        ThreadPoolExecutor(1) as threads,
    ):
        for _ in range(50):
            items = portfolio(str(uuid4()), accounts=1, snapshots=2)
            registration = threads.submit(batch.store, first, loaded(items[:1]))
            registered = "SELECT FROM accounts WHERE id = %s"
            while not registration.done() and not observer.execute(registered, [items[0]["account_id"]]).rowcount:
                pass
            statuses += [match.status for match in batch.store(second, loaded(items[1:]))]
            registration.result()

    assert statuses == ["created"] * 50


def test_an_import_of_more_users_than_its_statements_list_is_compared_with_what_is_stored(urls: RoleUrls) -> None:
    items = [snapshot(str(uuid4()), str(uuid4())) for _ in range(importing.MAX_ROUTED_USERS + 1)]
    lines: list[int] = []

    def store() -> importing.Outcome:
        rows = (Row(line, item) for line, item in enumerate(items, 1))
        with connection.transaction():
            return importing.store(
                connection,
                rows,
                lambda fault: lines.append(fault.line),
                lambda _step, _share: None,
                skip_faults=True,
            )

    with psycopg.connect(urls.service, autocommit=True) as connection:
        first = store()
        items[7]["balance"] = "7.00"
        second = store()

    assert first == importing.Outcome(len(items), created=len(items), duplicates=0, faulty=0)
    assert second == importing.Outcome(len(items), created=0, duplicates=len(items) - 1, faulty=1)
    assert lines == [8]
