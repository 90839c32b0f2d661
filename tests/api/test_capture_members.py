"""The members of a captured snapshot, and the size of a batch (rule 20)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.capture import AMOUNTS
from schemas.fields import SOURCES
from tests.support import Caller, captured, faults, snapshot
from tests.support.captures import REQUIRED, assert_refused, only_snapshot


@pytest.mark.parametrize("count", [1, 1000])
def test_a_batch_holds_1_to_1000_snapshots(
    count: int, sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    items = [
        snapshot(user_id, account_id, f"{n}.00", captured_at=(start + timedelta(hours=n)).isoformat())
        for n in range(count)
    ]

    assert len(captured(sync_job, *items)) == count

    balances = [s["balance"] for s in user.history(account_id).json["snapshots"]]
    assert balances == [f"{n}.00" for n in range(count)]


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_no_or_too_many_snapshots_is_refused(
    count: int, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(*[item] * count)

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots"}


OPTIONAL = tuple(name for name in AMOUNTS if name != "balance")


@pytest.mark.parametrize("member", REQUIRED)
@pytest.mark.parametrize("change", ["left out", "null"])
def test_a_required_member_that_is_missing_or_null_is_refused(
    member: str, change: str, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    if change == "null":
        item[member] = None
    else:
        del item[member]

    response = sync_job.capture(item)

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{member}"}


@pytest.mark.parametrize("member", OPTIONAL)
@pytest.mark.parametrize(
    ("sent", "returned"),
    [({}, None), ({"{}": None}, None), ({"{}": "-7.5"}, "-7.50")],
    ids=["left out", "null", "sent"],
)
def test_an_optional_amount_may_be_sent_left_out_or_null(
    sent: dict[str, str | None],
    returned: str | None,
    member: str,
    sync_job: Caller,
    user: Caller,
    account_id: str,
    item: dict[str, Any],
) -> None:
    captured(sync_job, item | {name.format(member): value for name, value in sent.items()})

    stored = only_snapshot(user, account_id)
    assert {name: stored[name] for name in OPTIONAL} == dict.fromkeys(OPTIONAL) | {member: returned}


@pytest.mark.parametrize("member", ["id", "created_at", "change_amount", "Balance", "", "_schema"])
def test_an_unknown_member_is_refused(member: str, sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    response = sync_job.capture(item | {member: "1"})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{member}"}


@pytest.mark.parametrize("source", SOURCES)
def test_each_of_the_five_sources_is_accepted(
    source: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item | {"source": source})

    assert only_snapshot(user, account_id)["source"] == source


def test_there_are_five_sources() -> None:
    assert set(SOURCES) == {"account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("source", "bank_sync"),
        ("source", "Account_Sync"),
        ("source", ""),
        ("source", ["account_sync"]),
        ("source", {}),
        ("source", "account_sync\0"),
        ("source", "\ud800"),
        ("user_id", ""),
        ("user_id", 7),
        ("user_id", "a user"),
        ("user_id", "{8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e}"),
        ("user_id", "urn:uuid:8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e"),
        ("user_id", "\0d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e"),
        ("account_id", "8d0e2d1c6a304b5c8c5e1f2a3b4c5d6e"),
        ("account_id", "8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e\n"),
        ("account_id", "8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6\uff10"),
        ("account_id", "\udfff"),
        ("captured_at", "2025-01-01\0"),
        ("captured_at", "\ud800"),
        ("currency", "US\0"),
        ("currency", "\udcff"),
        ("balance", "1\0"),
        ("balance", "\ud800"),
    ],
    ids=ascii,
)
def test_a_malformed_value_is_refused(
    member: str, value: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {member: value})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{member}"}
