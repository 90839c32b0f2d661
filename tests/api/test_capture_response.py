"""The response to a capture (rule 24)."""

import random
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

from tests.support import Caller, captured, day, snapshot
from tests.support.captures import only_snapshot


def test_the_response_has_the_documented_shape(
    sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item)

    assert (response.status_code, response.content_type) == (201, "application/json")
    assert list(response.json) == ["snapshots", "created_count", "duplicate_count"]
    (result,) = response.json["snapshots"]
    assert list(result.items()) == [
        ("id", only_snapshot(user, account_id)["id"]),
        ("account_id", account_id),
        ("captured_at", "2025-01-01T00:00:00Z"),
        ("source", "account_sync"),
        ("status", "created"),
    ]


def test_the_response_keeps_the_order_of_the_request_and_counts_by_status(
    sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    days = [snapshot(user_id, account_id, f"{n}.00", captured_at=day(n)) for n in range(1, 8)]
    known = {result["captured_at"]: result["id"] for result in captured(sync_job, days[4], days[1])}

    response = sync_job.capture(*reversed(days))

    assert response.status_code == 201
    assert (response.json["created_count"], response.json["duplicate_count"]) == (5, 2)
    results = response.json["snapshots"]
    assert [result["captured_at"] for result in results] == [each["captured_at"] for each in reversed(days)]
    assert {r["captured_at"]: r["id"] for r in results if r["status"] == "duplicate"} == known
    listed = {s["captured_at"]: s["id"] for s in user.recent(account_id).json["snapshots"]}
    assert listed == {result["captured_at"]: result["id"] for result in results}


def test_a_batch_of_new_snapshots_is_returned_in_the_order_of_the_request(sync_job: Caller, user_id: str) -> None:
    items = [
        snapshot(user_id, account, captured_at=day(number), source=source)
        for account in (str(uuid4()) for _ in range(20))
        for number in (1, 2, 3)
        for source in ("manual_sync", "account_sync")
    ]
    random.shuffle(items)

    first, again = captured(sync_job, *items), sync_job.capture(*items).json["snapshots"]

    key = itemgetter("account_id", "captured_at", "source")
    assert [key(result) for result in first] == [key(item) for item in items]
    assert again == [result | {"status": "duplicate"} for result in first]


def test_ids_are_uuid_v7_and_ascend_in_the_order_of_capture(sync_job: Caller, user_id: str) -> None:
    accounts = sorted((str(uuid4()) for _ in range(50)), reverse=True)
    items = [snapshot(user_id, account, captured_at=day(28 - n)) for n in range(21) for account in accounts]

    results = [
        result for batch in (items[:1000], items[1000:1001], items[1001:]) for result in captured(sync_job, *batch)
    ]

    ids = [UUID(result["id"]) for result in results]
    assert ids == sorted(set(ids))
    assert {(uuid.version, uuid.variant) for uuid in ids} == {(7, "specified in RFC 4122")}
