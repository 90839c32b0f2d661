"""Fixtures of the tests over HTTP."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.support import Caller, captured, day, snapshot
from tests.support.apps import generous_database_timeouts
from tests.support.contract import served


@pytest.fixture(autouse=True)
def generous_timeouts() -> Iterator[None]:
    with generous_database_timeouts():
        yield


@pytest.fixture(scope="session")
def contract(app: Flask) -> dict[str, Any]:
    """The contract as the service serves it."""
    return served(app)


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    """A valid snapshot of the user."""
    return snapshot(user_id, account_id)


@pytest.fixture
def series(sync_job: Caller, user_id: str, account_id: str) -> Callable[..., list[dict[str, Any]]]:
    """Capture balances of the account, one a day from 1 January 2025 on; None skips a day."""

    def capture(*balances: str | None, **fields: Any) -> list[dict[str, Any]]:
        return captured(
            sync_job,
            *(
                snapshot(user_id, account_id, balance, **{"captured_at": day(number), **fields})
                for number, balance in enumerate(balances, 1)
                if balance is not None
            ),
        )

    return capture
