"""Corrections over HTTP (rules 31 to 33): replacing and withdrawing snapshots, and repeating a correction."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from schemas.capture import AMOUNTS
from tests.support import Caller, captured, correction, snapshot, usd, user_token
from tests.support.corrections import balances, outcomes, replacement_of

NONE = {"corrected_count": 0, "withdrawn_count": 0, "duplicate_count": 0}


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    """A snapshot that is wrong: the provider sent cents as dollars."""
    return snapshot(user_id, account_id, "10000.00")


@pytest.fixture
def wrong(sync_job: Caller, item: dict[str, Any]) -> str:
    """The id of the stored snapshot."""
    return str(captured(sync_job, item)[0]["id"])


# What a correction does


def test_a_correction_replaces_the_snapshot_under_its_key_and_gives_it_a_new_id(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    [before] = user.recent(account_id).json["snapshots"]

    response = corrector.correct(correction(item, wrong, usd("100.5", cash_value="1.25")))

    replaced_by = replacement_of(response)
    assert response.json == {
        "corrections": [{"id": wrong, "status": "corrected", "replaced_by": replaced_by}],
        **NONE,
        "corrected_count": 1,
    }
    assert UUID(replaced_by).version == 7
    assert replaced_by > wrong
    [after] = user.recent(account_id).json["snapshots"]
    assert after["created_at"] > before["created_at"]
    changed = {"id": replaced_by, "balance": "100.50", "cash_value": "1.25", "created_at": after["created_at"]}
    assert after == before | changed


def test_reads_show_the_replacement_and_compare_with_it(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    captured(sync_job, item | {"balance": "110.00", "captured_at": "2025-01-02T00:00:00Z"})

    corrector.correct(correction(item, wrong, usd("100.00")))

    assert user.latest().json["snapshots"][0]["change_amount"] == "10.00"
    assert user.history(account_id).json["total_change_amount"] == "10.00"
    assert balances(user, account_id) == ["110.00", "100.00"]


def test_the_totals_are_those_of_the_replacement(
    corrector: Caller, user: Caller, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, usd("1500") | {"currency": "JPY"}))

    assert user.latest().json["total_balance_by_currency"] == {"JPY": "1500"}


def test_a_withdrawn_snapshot_is_gone_and_its_account_stays(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    response = corrector.correct(correction(item, wrong, None))

    assert response.json == {
        "corrections": [{"id": wrong, "status": "withdrawn", "replaced_by": None}],
        **NONE,
        "withdrawn_count": 1,
    }
    assert balances(user, account_id) == []
    assert user.latest().json["snapshots"] == []


@pytest.mark.parametrize("member", AMOUNTS)
def test_a_replacement_has_the_amounts_that_were_sent_and_null_for_the_others(
    member: str, corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    corrector.correct(correction(item, wrong, usd("1.00") | {member: "12.3456"}))

    [shown] = user.recent(account_id).json["snapshots"]
    assert {name: shown[name] for name in AMOUNTS} == dict.fromkeys(AMOUNTS) | {"balance": "1.00"} | {member: "12.3456"}


def test_a_replacement_can_be_corrected_too(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    second = replacement_of(corrector.correct(correction(item, wrong, usd("200.00"))))

    third = replacement_of(corrector.correct(correction(item, second, usd("100.00"))))

    assert balances(user, account_id) == ["100.00"]
    assert len({wrong, second, third}) == 3


def test_a_replacement_may_have_the_values_of_the_snapshot_that_it_replaces(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    replaced_by = replacement_of(corrector.correct(correction(item, wrong, usd("10000.00"))))

    assert replaced_by != wrong
    assert balances(user, account_id) == ["10000.00"]


def test_a_batch_corrects_a_thousand_snapshots_of_several_users(
    corrector: Caller, sync_job: Caller, user: Caller, user_id: str
) -> None:
    items = [snapshot(user_id if n % 2 else str(uuid4()), str(uuid4()), "7.00") for n in range(1000)]
    ids = [each["id"] for each in captured(sync_job, *items)]

    response = corrector.correct(
        *(correction(each, ids[n], None if n % 4 == 0 else usd(f"{n}.00")) for n, each in enumerate(items))
    )

    assert response.status_code == 200
    counts = {name: response.json[name] for name in NONE}
    assert counts == {"corrected_count": 750, "withdrawn_count": 250, "duplicate_count": 0}
    assert user.latest().json["total_balance_by_currency"] == {"USD": f"{sum(range(1, 1000, 2))}.00"}


# The same correction again


@pytest.mark.parametrize("replacement", [usd("100.00"), None], ids=["replaced", "withdrawn"])
def test_a_correction_that_is_repeated_is_a_duplicate_with_the_same_replacement(
    replacement: dict[str, Any] | None, corrector: Caller, item: dict[str, Any], wrong: str
) -> None:
    [(_, _, replaced_by)] = outcomes(corrector.correct(correction(item, wrong, replacement)))

    again = corrector.correct(correction(item, wrong, replacement))

    assert again.json == {
        "corrections": [{"id": wrong, "status": "duplicate", "replaced_by": replaced_by}],
        **NONE,
        "duplicate_count": 1,
    }


def test_a_correction_that_appears_twice_in_a_batch_is_stored_once(
    corrector: Caller, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    other = item | {"captured_at": "2025-01-02T00:00:00Z"}
    [stored] = captured(sync_job, other)
    once = correction(item, wrong, usd("100.00"))

    first, second, third = outcomes(
        corrector.correct(once, correction(other, stored["id"], None), once | {"replacement": usd("100.0")})
    )

    assert (first[0], second[0]) == ("corrected", "withdrawn")
    assert third == ("duplicate", wrong, first[2])
    assert balances(user, account_id) == ["100.00"]


def test_the_same_correction_for_another_reason_is_a_duplicate_and_the_first_reason_stays(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    first = correction(item, wrong, usd("100.00"), "First.")

    [one, two] = outcomes(corrector.correct(first, first | {"reason": "Second."}))
    [three] = outcomes(corrector.correct(first | {"reason": "Third."}))

    assert [one[0], two[0], three[0]] == ["corrected", "duplicate", "duplicate"]
    assert [each["reason"] for each in user.corrections(account_id).json["corrections"]] == ["First."]


def test_a_correction_is_a_duplicate_after_its_replacement_was_corrected(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    first = correction(item, wrong, usd("200.00"))
    second = replacement_of(corrector.correct(first))
    corrector.correct(correction(item, second, usd("100.00")))

    assert outcomes(corrector.correct(first)) == [("duplicate", wrong, second)]
    assert balances(user, account_id) == ["100.00"]


def test_a_batch_may_repeat_a_correction_and_correct_its_replacement(
    corrector: Caller, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    first = correction(item, wrong, usd("200.00"))
    second = replacement_of(corrector.correct(first))

    repeated, new = outcomes(corrector.correct(first, correction(item, second, usd("100.00"))))

    assert repeated == ("duplicate", wrong, second)
    assert new[:2] == ("corrected", second)
    assert balances(user, account_id) == ["100.00"]


def test_the_subject_may_hold_characters_that_the_database_cannot_store(
    app: Flask, user: Caller, account_id: str, item: dict[str, Any], wrong: str
) -> None:
    odd = Caller(app, user_token("a\0b\ud800", scope="balance-snapshots:correct"))

    assert outcomes(odd.correct(correction(item, wrong, None)))[0][0] == "withdrawn"
    assert user.corrections(account_id).json["corrections"][0]["superseded_by"] == "a\N{REPLACEMENT CHARACTER}b?"
