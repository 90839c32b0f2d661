"""Corrections that contradict stored snapshots, or one another (rule 32): the whole batch is a 409."""

from typing import Any
from uuid import uuid4

import pytest

from schemas.fields import SOURCES
from tests.support import Caller, captured, correction, snapshot, usd
from tests.support.corrections import balances, conflicts, replacement_of


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    """A snapshot that is wrong: the provider sent cents as dollars."""
    return snapshot(user_id, account_id, "10000.00")


@pytest.fixture
def wrong(sync_job: Caller, item: dict[str, Any]) -> str:
    """The id of the stored snapshot."""
    return str(captured(sync_job, item)[0]["id"])


@pytest.mark.parametrize("second", [usd("100.00"), None], ids=["replaced", "withdrawn"])
def test_two_different_corrections_of_one_snapshot_in_a_batch_are_a_conflict(
    second: dict[str, Any] | None, corrector: Caller, sync_job: Caller, user: Caller, item: dict[str, Any], wrong: str
) -> None:
    other = item | {"account_id": str(uuid4())}
    [stored] = captured(sync_job, other)
    response = corrector.correct(
        correction(item, wrong, usd("200.00")),
        correction(other, stored["id"], None),
        correction(item, wrong, second),
    )

    message = ["The batch contains different corrections of this snapshot."]
    assert conflicts(response) == {"/corrections/0": message, "/corrections/2": message}
    assert user.latest().json["total_balance_by_currency"] == {"USD": "20000.00"}


@pytest.mark.parametrize("second", [usd("100.01"), usd("100.00", cash_value="1.00"), None])
def test_a_different_correction_of_a_replaced_snapshot_is_a_conflict_that_names_the_current_one(
    second: dict[str, Any] | None, corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    current = replacement_of(corrector.correct(correction(item, wrong, usd("100.00"))))

    response = corrector.correct(correction(item, wrong, second))

    message = f"Another correction has superseded the snapshot; the current snapshot is {current}."
    assert conflicts(response) == {"/corrections/0": [message]}
    assert balances(user, account_id) == ["100.00"]


def test_a_different_correction_of_a_withdrawn_snapshot_is_a_conflict_that_names_none(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, None))

    response = corrector.correct(correction(item, wrong, usd("100.00")))

    message = "Another correction has superseded the snapshot; there is no current snapshot."
    assert conflicts(response) == {"/corrections/0": [message]}
    assert balances(user, account_id) == []


def test_a_snapshot_that_was_never_stored_is_a_conflict_that_names_the_current_one_under_its_key(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    free = item | {"captured_at": "2025-01-02T00:00:00Z"}

    response = corrector.correct(
        correction(item, wrong, usd("1.00")),
        correction(item, str(uuid4()), usd("100.00")),
        correction(free, str(uuid4()), usd("100.00")),
    )

    # Nothing of the batch is stored, so the wrong snapshot is still current.
    assert conflicts(response) == {
        "/corrections/1": [
            f"No snapshot with this id and key is stored; the current snapshot under its key is {wrong}."
        ],
        "/corrections/2": ["No snapshot with this id and key is stored."],
    }
    assert balances(user, account_id) == ["10000.00"]


@pytest.mark.parametrize("member", ["user_id", "account_id", "source", "captured_at"])
def test_a_snapshot_is_corrected_only_under_its_own_key(
    member: str, corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    other = {"source": SOURCES[1], "captured_at": "2025-01-01T00:00:00.000001Z"}.get(member, str(uuid4()))

    response = corrector.correct(correction(item | {member: other}, wrong, None))

    assert conflicts(response) == {"/corrections/0": ["No snapshot with this id and key is stored."]}
    assert balances(user, account_id) == ["10000.00"]
