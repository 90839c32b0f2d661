"""Fixtures of the tests over HTTP."""

from typing import Any

import pytest

from tests.support import snapshot


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    """A valid snapshot of the user."""
    return snapshot(user_id, account_id)
