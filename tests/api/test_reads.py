"""The members of the reads' responses and their order (rules 4 and 6), and HEAD (rule 12)."""

from typing import Any
from uuid import uuid4

from schemas.responses import History, Latest, Snapshot
from tests.support import Caller, captured, day, snapshot
from tests.support.reads import changes


def test_each_read_returns_the_documented_members_in_the_documented_order(
    user: Caller, account_id: str, series: Any
) -> None:
    series("1.00", "2.00")

    for response, schema in (
        (user.latest(), Latest()),
        (user.history(account_id), History()),
        (user.recent(account_id), History()),
    ):
        assert response.status_code == 200
        assert response.content_type == "application/json"
        assert list(response.json) == list(schema.fields)
        assert list(response.json["snapshots"][0]) == list(Snapshot().fields)
        assert schema.validate(response.json) == {}


def test_a_snapshot_reads_back_as_it_was_captured(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    sent = snapshot(
        user_id,
        account_id,
        "25000",
        available_balance="24500.5",
        holdings_value="22000.125",
        cash_value=None,
        source="holdings_sync",
        captured_at="2025-12-26T12:00:00+02:00",
    )
    (returned,) = captured(sync_job, sent)

    (read,) = user.latest().json["snapshots"]
    created_at = read["created_at"]

    assert read == {
        **dict.fromkeys(Snapshot().fields),
        "created_at": created_at,
        "id": returned["id"],
        "account_id": account_id,
        "balance": "25000.00",
        "available_balance": "24500.50",
        "holdings_value": "22000.125",
        "currency": "USD",
        "source": "holdings_sync",
        "captured_at": "2025-12-26T10:00:00Z",
    }
    assert created_at.endswith("Z")


def test_snapshots_of_one_instant_are_ordered_by_creation(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    sources = ["scheduled_sync", "account_sync", "manual_sync"]
    for number, source in enumerate(sources, 1):
        captured(sync_job, snapshot(user_id, account_id, f"{number}.00", source=source))

    assert [s["source"] for s in user.history(account_id).json["snapshots"]] == sources
    assert [s["source"] for s in user.recent(account_id).json["snapshots"]] == sources[::-1]
    assert changes(user.recent(account_id, limit="1")) == [("3.00", "1.00", 50.0)]
    assert changes(user.latest()) == [("3.00", "1.00", 50.0)]


def test_snapshots_are_ordered_by_capture_time_however_late_they_arrive(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    for number in (3, 1, 2):
        captured(sync_job, snapshot(user_id, account_id, f"{number}.00", captured_at=day(number)))

    assert [b for b, _, _ in changes(user.history(account_id))] == ["1.00", "2.00", "3.00"]
    assert [b for b, _, _ in changes(user.recent(account_id))] == ["3.00", "2.00", "1.00"]
    assert changes(user.latest()) == [("3.00", "1.00", 50.0)]


def test_a_microsecond_decides_the_order(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    times = ["2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000001Z", "2025-01-01T00:00:00.1Z"]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in reversed(times)))

    assert [s["captured_at"] for s in user.history(account_id).json["snapshots"]] == [
        "2025-01-01T00:00:00Z",
        "2025-01-01T00:00:00.000001Z",
        "2025-01-01T00:00:00.100000Z",
    ]


def test_latest_is_newest_first_and_then_by_account(user: Caller, sync_job: Caller, user_id: str) -> None:
    accounts = sorted(str(uuid4()) for _ in range(4))
    days = [1, 2, 2, 3]
    captured(sync_job, *(snapshot(user_id, a, captured_at=day(d)) for a, d in zip(accounts, days, strict=True)))

    ids = [s["account_id"] for s in user.latest().json["snapshots"]]

    assert ids == [accounts[3], accounts[1], accounts[2], accounts[0]]


def test_head_returns_the_status_and_length_of_get_without_the_body(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")
    path = f"/accounts/{account_id}/balance-snapshots"

    get, head = user.send("GET", path), user.send("HEAD", path)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert user.send("HEAD", f"/accounts/{uuid4()}/balance-snapshots").status_code == 404
