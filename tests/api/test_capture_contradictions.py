"""Snapshots that contradict stored snapshots, or each other (rules 22 and 23)."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from tests.support import Caller, captured, day, faults, snapshot, user_token
from tests.support.captures import VALUES, assert_refused, stored_count

CONTRADICTIONS = pytest.mark.parametrize(
    "values",
    [
        {"balance": "100.01"},
        {"balance": "-100.00"},
        {"currency": "EUR"},
        {"available_balance": "1.01"},
        {"available_balance": None},
        {"holdings_value": "2.0001"},
        {"holdings_value": None},
        {"cash_value": "0"},
    ],
    ids=lambda values: " ".join(map(str, next(iter(values.items())))),
)


@CONTRADICTIONS
def test_values_other_than_the_stored_ones_are_a_409_and_nothing_is_stored(
    values: Mapping[str, Any], sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, **VALUES)
    captured(sync_job, item)
    before = user.history(account_id).json
    unrelated = snapshot(user_id, str(uuid4()))
    another_day = item | {"captured_at": day(2)}

    response = sync_job.capture(unrelated, another_day, {**item, **values}, item)

    assert response.status_code == 409
    assert faults(response).keys() == {"/snapshots/2"}
    assert user.history(account_id).json == before
    assert user.recent(unrelated["account_id"]).status_code == 404


@CONTRADICTIONS
def test_different_values_for_one_snapshot_in_a_batch_are_a_409_and_nothing_is_stored(
    values: Mapping[str, Any], sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, **VALUES)
    unrelated = snapshot(user_id, str(uuid4()))

    response = sync_job.capture(item, unrelated, item, {**item, **values}, item | {"captured_at": day(2)})

    assert_refused(response, 409, user)
    assert faults(response).keys() == {"/snapshots/0", "/snapshots/2", "/snapshots/3"}
    assert {user.recent(account).status_code for account in (account_id, unrelated["account_id"])} == {404}


def test_a_refused_batch_may_be_fixed_and_sent_again(sync_job: Caller, item: dict[str, Any]) -> None:
    fixed = item | {"balance": "7.00"}
    assert sync_job.capture(item, fixed).status_code == 409

    assert sync_job.capture(fixed).status_code == 201


def test_an_account_stays_with_the_user_it_was_first_captured_for(
    app: Flask, sync_job: Caller, user: Caller, user_id: str, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item)
    before = user.history(account_id).json
    another_id = str(uuid4())
    another = Caller(app, user_token(another_id))

    response = sync_job.capture(
        snapshot(another_id, str(uuid4())),
        snapshot(another_id, account_id),
        item | {"captured_at": day(2)},
        snapshot(another_id, account_id, captured_at=day(3)),
    )

    assert response.status_code == 409
    assert faults(response).keys() == {"/snapshots/1", "/snapshots/3"}
    assert user.history(account_id).json == before
    assert another.recent(account_id).status_code == 403
    assert stored_count(another) == 0


def test_a_batch_that_gives_a_new_account_to_two_users_is_a_409_and_does_not_register_the_account(
    sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    another_id = str(uuid4())

    response = sync_job.capture(
        item,
        snapshot(another_id, account_id, "7.00"),
        item | {"captured_at": day(2)},
        snapshot(another_id, account_id, captured_at=day(3)),
    )

    assert_refused(response, 409, user)
    assert faults(response).keys() == {"/snapshots/1", "/snapshots/3"}
    assert sync_job.capture(snapshot(another_id, account_id)).status_code == 201


def test_a_batch_may_hold_snapshots_of_several_users(
    app: Flask, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    another_id = str(uuid4())

    captured(sync_job, item, snapshot(another_id, str(uuid4())))

    assert [stored_count(user), stored_count(Caller(app, user_token(another_id)))] == [1, 1]
