"""Summaries of histories and totals of the latest balances (rules 5 to 7)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support import Caller, Response, captured, day, snapshot


def summary(response: Response) -> dict[str, Any]:
    return {name: value for name, value in response.json.items() if name != "snapshots"}


def test_a_summary_spans_the_returned_snapshots_oldest_to_newest(user: Caller, account_id: str, series: Any) -> None:
    series("100.00", "200.00", "250.00", "225.00")
    expected = {
        "total_count": 3,
        "start_balance": "200.00",
        "end_balance": "225.00",
        "total_change_amount": "25.00",
        "total_change_percent": 12.5,
        "currency": "USD",
    }

    assert summary(user.history(account_id, day(2), day(9))) == expected
    assert summary(user.history(account_id, day(2), day(9), interval="day")) == expected
    assert summary(user.recent(account_id, limit="3")) == expected


@pytest.mark.parametrize(
    ("balances", "amount", "percent"),
    [
        pytest.param(["5.00"], "0.00", 0.0, id="one snapshot"),
        pytest.param(["0.00", "5.00"], "5.00", None, id="from zero"),
        pytest.param(["-1000.00", "7.00", "-500.00"], "500.00", 50.0, id="debt"),
        pytest.param(["1.0001", "2"], "0.9999", 99.98, id="longer scale"),
    ],
)
def test_a_summary_follows_the_rules_of_change(
    user: Caller, account_id: str, series: Any, balances: list[str], amount: str, percent: float | None
) -> None:
    series(*balances)

    for response in (user.history(account_id), user.recent(account_id)):
        assert response.json["total_change_amount"] == amount
        assert response.json["total_change_percent"] == percent


EMPTY = {
    "total_count": 0,
    "start_balance": None,
    "end_balance": None,
    "total_change_amount": None,
    "total_change_percent": None,
    "currency": None,
}


def test_an_empty_range_has_an_empty_summary(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")

    for interval in ({}, {"interval": "day"}):
        response = user.history(account_id, day(2), day(3), **interval)

        assert response.json == {"snapshots": []} | EMPTY


def test_mixed_currencies_have_no_summary(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(
        sync_job,
        snapshot(user_id, account_id, "100", currency="USD", captured_at=day(1)),
        snapshot(user_id, account_id, "90", currency="EUR", captured_at=day(2)),
        snapshot(user_id, account_id, "99", currency="EUR", captured_at=day(3)),
    )

    by_day = user.history(account_id, day(1), day(9), interval="day")
    for mixed in (user.history(account_id), by_day, user.recent(account_id)):
        assert summary(mixed) == EMPTY | {"total_count": 3}
    for single in (user.history(account_id, day(2)), user.recent(account_id, limit="2")):
        assert (single.json["currency"], single.json["total_change_amount"]) == ("EUR", "9.00")


def test_totals_add_up_the_shown_balances_by_currency(user: Caller, sync_job: Caller, user_id: str) -> None:
    captured(
        sync_job,
        *(
            snapshot(user_id, str(uuid4()), balance, currency=currency)
            for balance, currency in [
                ("0.1", "USD"),
                ("0.2", "USD"),
                ("-1000.0001", "USD"),
                ("1500", "JPY"),
                ("-1500", "JPY"),
                ("1.2345", "KWD"),
            ]
        ),
    )

    response = user.latest()

    assert response.json["total_balance_by_currency"] == {"JPY": "0", "KWD": "1.2345", "USD": "-999.7001"}
    assert response.json["total_count"] == 6


def test_totals_leave_out_older_snapshots_of_other_currencies(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(
        sync_job,
        snapshot(user_id, account_id, "100", currency="USD", captured_at=day(1)),
        snapshot(user_id, account_id, "90", currency="EUR", captured_at=day(2)),
    )

    assert user.latest().json["total_balance_by_currency"] == {"EUR": "90.00"}


def test_a_user_without_accounts_has_no_snapshots_and_no_totals(user: Caller) -> None:
    response = user.latest()

    assert response.status_code == 200
    assert response.json == {"snapshots": [], "total_count": 0, "total_balance_by_currency": {}}
