"""Captures and the snapshots that they store."""

from typing import Any

from tests.support import Caller, Response

PATH = "/balance-snapshots"
TOO_LARGE = b'{"snapshots": [' + b" " * 1024 * 1024 + b"]}"
REQUIRED = ("user_id", "account_id", "balance", "currency", "source", "captured_at")
# Values of the optional amounts.
VALUES: dict[str, Any] = {"available_balance": "1.00", "holdings_value": "2.00", "cash_value": None}


def send(sync_job: Caller, body: bytes | str, **request: Any) -> Response:
    """Send these bytes as the body of a capture."""
    return sync_job.send("POST", PATH, data=body, **{"content_type": "application/json", **request})


def only_snapshot(user: Caller, account_id: str) -> dict[str, Any]:
    """Read the only snapshot of an account."""
    (only,) = user.recent(account_id).json["snapshots"]
    return dict(only)


def stored_count(user: Caller) -> int:
    """Count the user's accounts that have a snapshot."""
    return int(user.latest().json["total_count"])


def assert_refused(response: Response, status: int, user: Caller) -> None:
    """Fail unless the response is this problem and the user has no snapshots."""
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert stored_count(user) == 0
