"""The latest snapshots as of an instant (rule 29)."""

from uuid import uuid4

import pytest

from tests.support import Caller, Response, captured, faults, snapshot


@pytest.fixture(autouse=True)
def portfolio(sync_job: Caller, user_id: str, account_id: str) -> None:
    """Two accounts: one with snapshots of 10:00 and 11:00, the other with one of 10:30."""
    captured(
        sync_job,
        snapshot(user_id, account_id, "1.00", captured_at="2025-01-01T10:00:00Z"),
        snapshot(user_id, account_id, "5.00", captured_at="2025-01-01T11:00:00Z"),
        snapshot(user_id, str(uuid4()), "20", captured_at="2025-01-01T10:30:00Z", currency="JPY"),
    )


def shown(response: Response) -> tuple[list[tuple[str, str | None]], dict[str, str]]:
    body = response.json
    assert body["total_count"] == len(body["snapshots"])
    return [(s["balance"], s["change_amount"]) for s in body["snapshots"]], body["total_balance_by_currency"]


def test_an_instant_before_all_snapshots_returns_none(user: Caller) -> None:
    assert user.latest(as_of="2025-01-01T09:59:59.999999Z").json == {
        "snapshots": [],
        "total_count": 0,
        "total_balance_by_currency": {},
    }


def test_a_snapshot_at_the_instant_counts(user: Caller) -> None:
    assert shown(user.latest(as_of="2025-01-01T10:00:00Z")) == ([("1.00", None)], {"USD": "1.00"})


def test_later_snapshots_do_not_count(user: Caller) -> None:
    assert shown(user.latest(as_of="2025-01-01T10:59:59.999999Z")) == (
        [("20", None), ("1.00", None)],
        {"JPY": "20", "USD": "1.00"},
    )


def test_an_instant_after_all_snapshots_returns_the_latest_ones(user: Caller) -> None:
    assert user.latest(as_of="9999-12-31T23:59:59.999999Z").json == user.latest().json
    assert shown(user.latest())[0] == [("5.00", "4.00"), ("20", None)]


def test_an_instant_may_have_an_offset(user: Caller) -> None:
    assert shown(user.latest(as_of="2025-01-01T12:00:00+02:00"))[0] == [("1.00", None)]


@pytest.mark.parametrize("as_of", ["", "now", "2025-13-01", "2025-01-01T00:00:00.1234567Z"])
def test_an_invalid_instant_is_refused(user: Caller, as_of: str) -> None:
    response = user.latest(as_of=as_of)

    assert response.status_code == 400
    assert set(faults(response)) == {"as_of"}
