"""Corrections of snapshots with the same id: an import may have stored one id under several keys."""

from typing import Any

import psycopg
import pytest

from tests.support import Caller, captured, correction, snapshot, usd
from tests.support.corrections import balances, conflicts, next_page, outcomes


@pytest.fixture
def items(user_id: str, account_id: str) -> list[dict[str, Any]]:
    return [snapshot(user_id, account_id, "7.00", captured_at=f"2025-01-0{n}T00:00:00Z") for n in (1, 2)]


@pytest.fixture
def shared(sync_job: Caller, database_url: str, items: list[dict[str, Any]]) -> str:
    """The id under which both snapshots are stored."""
    id_ = str(captured(sync_job, items[0])[0]["id"])
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO balance_snapshots (id, user_id, account_id, balance, currency, source, captured_at)"
            " VALUES (%(id)s, %(user_id)s, %(account_id)s, 7.00, 'USD', %(source)s, %(captured_at)s)",
            items[1] | {"id": id_},
        )
    return id_


@pytest.fixture
def batch(items: list[dict[str, Any]], shared: str) -> list[dict[str, Any]]:
    return [correction(items[0], shared, usd("1.00")), correction(items[1], shared, usd("2.00"))]


def test_a_batch_corrects_each_of_them(
    corrector: Caller, user: Caller, account_id: str, batch: list[dict[str, Any]]
) -> None:
    first, second = outcomes(corrector.correct(*batch))

    assert (first[0], second[0]) == ("corrected", "corrected")
    assert first[2] != second[2]
    assert balances(user, account_id) == ["2.00", "1.00"]


def test_a_batch_that_is_repeated_is_a_duplicate_with_the_replacement_of_each(
    corrector: Caller, batch: list[dict[str, Any]]
) -> None:
    first, second = outcomes(corrector.correct(*batch))

    assert outcomes(corrector.correct(*batch)) == [("duplicate", *first[1:]), ("duplicate", *second[1:])]


def test_a_repeated_correction_of_one_of_them_is_told_from_a_new_one_of_the_other(
    corrector: Caller, user: Caller, account_id: str, batch: list[dict[str, Any]]
) -> None:
    [first] = outcomes(corrector.correct(batch[0]))

    repeated, new = outcomes(corrector.correct(*batch))

    assert repeated == ("duplicate", *first[1:])
    assert new[0] == "corrected"
    assert balances(user, account_id) == ["2.00", "1.00"]


def test_two_different_corrections_of_one_of_them_are_a_conflict_and_the_other_is_not_named(
    corrector: Caller, items: list[dict[str, Any]], shared: str, batch: list[dict[str, Any]]
) -> None:
    response = corrector.correct(*batch, correction(items[1], shared, None))

    assert list(conflicts(response)) == ["/corrections/1", "/corrections/2"]


def test_pages_of_corrections_show_each_of_them_once(
    corrector: Caller, user: Caller, account_id: str, items: list[dict[str, Any]], batch: list[dict[str, Any]]
) -> None:
    outcomes(corrector.correct(*batch))

    first = user.corrections(account_id, limit="1")
    second = next_page(user, first)

    assert second is not None
    shown = [page.json["corrections"][0]["captured_at"] for page in (first, second)]
    assert sorted(shown) == [item["captured_at"] for item in items]
    assert next_page(user, second) is None
