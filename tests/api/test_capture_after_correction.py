"""Captures that repeat superseded snapshots (rule 33)."""

from typing import Any

import pytest

from tests.support import Caller, Response, captured, correction, faults, snapshot, usd
from tests.support.corrections import balances

OTHER_DAY = "2025-01-02T00:00:00Z"


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    return snapshot(user_id, account_id, "10000.00")


@pytest.fixture
def wrong(sync_job: Caller, item: dict[str, Any]) -> str:
    """The id of the stored snapshot."""
    return str(captured(sync_job, item)[0]["id"])


def outcomes(response: Response) -> list[tuple[str, str]]:
    assert response.status_code in (200, 201), response.text
    return [(each["status"], each["id"]) for each in response.json["snapshots"]]


@pytest.mark.parametrize("replacement", [usd("100.00"), None], ids=["replaced", "withdrawn"])
def test_a_superseded_snapshot_that_is_captured_again_is_a_duplicate_and_stays_superseded(
    replacement: dict[str, Any] | None,
    corrector: Caller,
    sync_job: Caller,
    user: Caller,
    account_id: str,
    item: dict[str, Any],
    wrong: str,
) -> None:
    corrector.correct(correction(item, wrong, replacement))

    response = sync_job.capture(item)

    assert (response.status_code, outcomes(response)) == (200, [("duplicate", wrong)])
    assert (response.json["created_count"], response.json["duplicate_count"]) == (0, 1)
    assert balances(user, account_id) == (["100.00"] if replacement else [])


def test_new_snapshots_of_a_batch_are_stored_beside_superseded_ones(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, None))

    response = sync_job.capture(item, item | {"captured_at": OTHER_DAY}, item)

    assert response.status_code == 201
    first, second, third = outcomes(response)
    assert first == third == ("duplicate", wrong)
    assert second[0] == "created"
    assert balances(user, account_id) == ["10000.00"]


def test_a_capture_with_the_values_of_a_replacement_is_a_duplicate_of_it(
    corrector: Caller, sync_job: Caller, item: dict[str, Any], wrong: str
) -> None:
    replaced_by = corrector.correct(correction(item, wrong, usd("100.00"))).json["corrections"][0]["replaced_by"]

    assert outcomes(sync_job.capture(item | {"balance": "100"})) == [("duplicate", replaced_by)]


def test_values_that_neither_the_replacement_nor_a_superseded_snapshot_has_are_a_conflict(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, usd("100.00")))

    response = sync_job.capture(item, item | {"balance": "99.00"})

    assert response.status_code == 409
    assert list(faults(response)) == ["/snapshots/1"]
    assert balances(user, account_id) == ["100.00"]


@pytest.mark.parametrize(
    "other", [{"balance": "100.00"}, {"cash_value": "0"}, {"currency": "EUR"}], ids=["balance", "amount", "currency"]
)
def test_other_values_under_a_withdrawn_key_are_a_new_snapshot(
    other: dict[str, Any], corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: Any, wrong: str
) -> None:
    corrector.correct(correction(item, wrong, None))

    [(status, id_)] = outcomes(sync_job.capture(item | other))

    assert status == "created"
    assert [each["id"] for each in user.recent(account_id).json["snapshots"]] == [id_]
    assert outcomes(sync_job.capture(item)) == [("duplicate", wrong)]
    assert outcomes(sync_job.capture(item | other)) == [("duplicate", id_)]


@pytest.mark.parametrize("superseded_first", [True, False])
def test_a_batch_may_hold_a_withdrawn_snapshot_and_other_values_under_its_key(
    superseded_first: bool,
    corrector: Caller,
    sync_job: Caller,
    user: Caller,
    account_id: str,
    item: dict[str, Any],
    wrong: str,
) -> None:
    corrector.correct(correction(item, wrong, None))
    other = item | {"balance": "100.00"}

    found = outcomes(sync_job.capture(*([item, other] if superseded_first else [other, item])))

    superseded, new = found if superseded_first else found[::-1]
    assert superseded == ("duplicate", wrong)
    assert new[0] == "created"
    assert balances(user, account_id) == ["100.00"]


def test_a_batch_that_contradicts_itself_under_a_withdrawn_key_is_a_conflict(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, None))

    response = sync_job.capture(item, item | {"balance": "1.00"}, item | {"balance": "2.00"})

    assert response.status_code == 409
    assert list(faults(response)) == ["/snapshots/1", "/snapshots/2"]
    assert balances(user, account_id) == []


def test_each_snapshot_of_a_chain_of_corrections_stays_superseded(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    second = corrector.correct(correction(item, wrong, usd("200.00"))).json["corrections"][0]["replaced_by"]
    third = corrector.correct(correction(item, second, usd("300.00"))).json["corrections"][0]["replaced_by"]
    corrector.correct(correction(item, third, None))

    delivered = sync_job.capture(*(item | {"balance": balance} for balance in ("10000.00", "200.00", "300.00")))

    assert outcomes(delivered) == [("duplicate", wrong), ("duplicate", second), ("duplicate", third)]
    assert balances(user, account_id) == []


def test_a_capture_is_a_duplicate_of_the_current_snapshot_before_a_superseded_one_with_the_same_values(
    corrector: Caller, sync_job: Caller, item: dict[str, Any], wrong: str
) -> None:
    second = corrector.correct(correction(item, wrong, usd("200.00"))).json["corrections"][0]["replaced_by"]
    back = corrector.correct(correction(item, second, usd("10000.00"))).json["corrections"][0]["replaced_by"]

    assert outcomes(sync_job.capture(item)) == [("duplicate", back)]


def test_the_withdrawn_values_at_another_time_or_of_another_source_are_a_new_snapshot(
    corrector: Caller, sync_job: Caller, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, None))

    response = sync_job.capture(item | {"captured_at": OTHER_DAY}, item | {"source": "manual_sync"})

    assert [status for status, _ in outcomes(response)] == ["created", "created"]


def test_the_account_of_a_withdrawn_snapshot_still_belongs_to_its_user(
    corrector: Caller, sync_job: Caller, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, None))

    response = sync_job.capture(item | {"user_id": "d3300000-0000-4000-8000-0000000000aa"})

    assert faults(response) == {"/snapshots/0": ["The account belongs to another user."]}
