"""Snapshots that are delivered more than once (rule 22)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support import Caller, captured, day, snapshot
from tests.support.captures import VALUES, only_snapshot


def test_a_batch_that_is_delivered_again_stores_nothing_new(
    sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    batch = [snapshot(user_id, account_id, f"{n}.00", captured_at=day(n)) for n in range(1, 4)]
    first = captured(sync_job, *batch)
    before = user.history(account_id).json

    response = sync_job.capture(*batch)

    assert response.status_code == 200
    assert (response.json["created_count"], response.json["duplicate_count"]) == (0, 3)
    assert response.json["snapshots"] == [result | {"status": "duplicate"} for result in first]
    assert user.history(account_id).json == before


def test_a_snapshot_that_appears_twice_in_a_batch_is_created_once(
    sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item, item)

    assert response.status_code == 201
    first, second = response.json["snapshots"]
    assert (first["status"], second) == ("created", first | {"status": "duplicate"})
    assert (response.json["created_count"], response.json["duplicate_count"]) == (1, 1)
    assert only_snapshot(user, account_id)["id"] == first["id"]


def _upper_case(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name].upper() for name in ("user_id", "account_id")}


SPELLINGS = pytest.mark.parametrize(
    "spelling",
    [
        {"balance": "10.1"},
        {"balance": "010.1000"},
        {"holdings_value": "2"},
        {"captured_at": "2025-01-01"},
        {"captured_at": "2025-01-01T02:00:00.000+02:00"},
        {"captured_at": "2024-12-31t19:00:00-05:00"},
        {"cash_value": ...},
        _upper_case,
    ],
    ids=["fewer digits", "more digits", "no fraction", "a date", "an offset", "another day", "left out", "upper case"],
)


def respelled(item: dict[str, Any], spelling: Any) -> dict[str, Any]:
    changes = spelling(item) if callable(spelling) else spelling
    return {name: value for name, value in (item | changes).items() if value is not ...}


@SPELLINGS
def test_equal_values_in_another_spelling_are_a_duplicate_of_the_stored_snapshot(
    spelling: Any, sync_job: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, "10.10", **VALUES)
    first = captured(sync_job, item)

    response = sync_job.capture(respelled(item, spelling))

    assert response.status_code == 200
    assert response.json["snapshots"] == [first[0] | {"status": "duplicate"}]


@SPELLINGS
def test_equal_values_in_another_spelling_are_one_snapshot_within_a_batch(
    spelling: Any, sync_job: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, "10.10", **VALUES)

    first, second = captured(sync_job, respelled(item, spelling), item)

    assert (first["status"], second) == ("created", first | {"status": "duplicate"})


@pytest.mark.parametrize("member", ["account_id", "captured_at", "source"])
def test_a_different_account_time_or_source_makes_a_different_snapshot(
    member: str, sync_job: Caller, item: dict[str, Any]
) -> None:
    others = {"account_id": str(uuid4()), "captured_at": "2025-01-01T00:00:00.000001Z", "source": "manual_sync"}
    other = item | {"balance": "7.00", member: others[member]}

    assert [result["status"] for result in captured(sync_job, item, other)] == ["created", "created"]
