"""Ownership of accounts (rules 9 and 10)."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from tests.support import Caller, Response, captured, day, snapshot, user_token


@pytest.fixture
def reads_of_account(account_id: str) -> list[Callable[[Caller], Response]]:
    return [lambda caller: caller.history(account_id), lambda caller: caller.recent(account_id)]


def test_an_account_that_nobody_captured_is_not_found(user: Caller, reads_of_account: Any) -> None:
    for read in reads_of_account:
        response = read(user)
        assert (response.status_code, response.json["detail"]) == (404, "Account not found")


def test_another_users_account_is_forbidden_and_shows_nothing(
    app: Flask, account_id: str, series: Any, reads_of_account: Any
) -> None:
    series("12345.67")
    stranger = Caller(app, user_token(str(uuid4())))

    for read in reads_of_account:
        response = read(stranger)
        assert response.status_code == 403
        assert "12345" not in response.text
    assert stranger.latest().json["snapshots"] == []


def test_each_user_sees_only_their_own_accounts(app: Flask, sync_job: Caller) -> None:
    users = [str(uuid4()) for _ in range(3)]
    accounts = {user: [str(uuid4()) for _ in range(3)] for user in users}
    captured(
        sync_job,
        *(
            snapshot(user, account, f"{number}", captured_at=day(1 + number))
            for user in users
            for account in accounts[user]
            for number in range(3)
        ),
    )

    for user in users:
        caller = Caller(app, user_token(user))
        seen = {s["account_id"] for s in caller.latest().json["snapshots"]}
        assert seen == set(accounts[user])
        assert caller.latest().json["total_balance_by_currency"] == {"USD": "6.00"}
        for account in accounts[user]:
            assert {s["account_id"] for s in caller.history(account).json["snapshots"]} == {account}
        for other in set(users) - {user}:
            assert [caller.recent(account).status_code for account in accounts[other]] == [403] * 3


def test_ids_may_be_written_in_upper_case(app: Flask, user_id: str, account_id: str, series: Any) -> None:
    series("1.00")
    caller = Caller(app, user_token(user_id.upper()))

    for response in (caller.latest(), caller.history(account_id.upper()), caller.recent(account_id.upper())):
        assert [s["account_id"] for s in response.json["snapshots"]] == [account_id]
