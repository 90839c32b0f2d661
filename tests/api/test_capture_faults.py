"""A batch with faults: all are reported at once, and nothing is stored (rule 21)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support import Caller, captured, faults, snapshot
from tests.support.captures import REQUIRED, assert_refused, send


def test_all_faults_of_a_batch_are_named_at_once(
    sync_job: Caller, user: Caller, user_id: str, account_id: str, item: dict[str, Any]
) -> None:
    response = sync_job.post(
        {
            "snapshots": [
                item,
                snapshot("me", account_id, "1e3", cash_value=5, captured_at="2999-01-01", currency="XAU"),
                item | {"a/b~c": 1, "source": None},
                "an item",
                None,
                [],
                {},
                snapshot(user_id, str(uuid4())),
            ],
            "to/tal~": 8,
        }
    )

    assert_refused(response, 400, user)
    assert faults(response).keys() == {
        *(f"/snapshots/1/{name}" for name in ("user_id", "balance", "cash_value", "captured_at", "currency")),
        *("/snapshots/2/a~1b~0c", "/snapshots/2/source"),
        *("/snapshots/3", "/snapshots/4", "/snapshots/5"),
        *(f"/snapshots/6/{name}" for name in REQUIRED),
        "/to~1tal~0",
    }


def test_too_many_items_are_reported_without_their_own_faults(sync_job: Caller) -> None:
    response = send(sync_job, f'{{"snapshots": [{"{}," * 200_000}{{}}]}}')

    assert response.status_code == 400
    assert faults(response).keys() == {"/snapshots"}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"[]", [""]),
        (b'[{"snapshots": []}]', [""]),
        (b'"snapshots"', [""]),
        (b"7", [""]),
        (b"true", [""]),
        (b"null", [""]),
        (b"{}", ["/snapshots"]),
        (b'{"snapshots": null}', ["/snapshots"]),
        (b'{"snapshots": "all"}', ["/snapshots"]),
        (b'{"snapshots": 1}', ["/snapshots"]),
        (b'{"snapshots": {}}', ["/snapshots"]),
        (b'{"snapshots": {"0": {}}}', ["/snapshots"]),
        (b'{"snapshots": [1]}', ["/snapshots/0"]),
        (b'{"snapshots": [[]]}', ["/snapshots/0"]),
        (b'{"Snapshots": []}', ["/snapshots", "/Snapshots"]),
        (b'{"_schema": []}', ["/snapshots", "/_schema"]),
        (b'{"\\ud800": []}', ["/snapshots", "/\ud800"]),
    ],
    ids=ascii,
)
def test_a_body_of_the_wrong_shape_is_a_400_that_points_at_the_fault(
    body: bytes, pointers: list[str], sync_job: Caller
) -> None:
    response = send(sync_job, body)

    assert response.status_code == 400
    assert sorted(faults(response)) == sorted(pointers)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_batch_with_one_bad_item_stores_nothing(
    place: int, sync_job: Caller, user: Caller, user_id: str, item: dict[str, Any]
) -> None:
    items = [snapshot(user_id, str(uuid4())) for _ in range(3)]
    items[place]["balance"] = "1.00000"

    response = sync_job.capture(*items)

    assert_refused(response, 400, user)
    assert {user.recent(good["account_id"]).status_code for good in items} == {404}


def test_a_fault_is_reported_before_a_contradiction(sync_job: Caller, item: dict[str, Any]) -> None:
    captured(sync_job, item)

    response = sync_job.capture(item | {"balance": "7.00"}, item | {"currency": "usd"})

    assert response.status_code == 400
    assert faults(response).keys() == {"/snapshots/1/currency"}
