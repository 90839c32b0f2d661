"""The change since the previous snapshot (rules 1 to 3)."""

from typing import Any

import pytest

from tests.support import Caller, captured, day, snapshot
from tests.support.reads import changes


@pytest.mark.parametrize(
    ("previous", "balance", "amount", "percent"),
    [
        pytest.param("24500.00", "25000.00", "500.00", 2.04, id="gain"),
        pytest.param("20000.00", "22500.00", "2500.00", 12.5, id="one decimal"),
        pytest.param("100.00", "90.00", "-10.00", -10.0, id="loss"),
        pytest.param("100.00", "100.00", "0.00", 0.0, id="nothing"),
        pytest.param("-1000.00", "-500.00", "500.00", 50.0, id="debt reduced"),
        pytest.param("-500.00", "-1000.00", "-500.00", -100.0, id="debt grown"),
        pytest.param("-100.00", "100.00", "200.00", 200.0, id="out of debt"),
        pytest.param("100.00", "-100.00", "-200.00", -200.0, id="into debt"),
        pytest.param("0.00", "100.00", "100.00", None, id="from zero"),
        pytest.param("0", "0", "0.00", None, id="zero to zero"),
        pytest.param("100.00", "0.00", "-100.00", -100.0, id="to zero"),
        pytest.param("200.00", "200.01", "0.01", 0.01, id="half a hundredth up"),
        pytest.param("200.00", "199.99", "-0.01", -0.01, id="half a hundredth down"),
        pytest.param("20000.01", "20001.01", "1.00", 0.0, id="just below half up"),
        pytest.param("20000.01", "19999.01", "-1.00", 0.0, id="just below half down"),
        pytest.param("10.125", "10.00", "-0.125", -1.23, id="longer scale carried"),
        pytest.param("0.0001", "999999999999999.9999", "999999999999999.9998", 1e21 - 100, id="from least to most"),
        pytest.param("999999999999999.9999", "-999999999999999.9999", "-1999999999999999.9998", -200.0, id="extremes"),
        # -1.0049999999999999...: a rounded quotient is -1.005, which rounds to -1.01.
        pytest.param(
            "999999999999999.9999", "989950000000000.0000", "-10049999999999.9999", -1.0, id="rounded once only"
        ),
    ],
)
def test_a_change_is_exact_and_its_percent_is_rounded_once(
    user: Caller,
    account_id: str,
    series: Any,
    previous: str,
    balance: str,
    amount: str,
    percent: float | None,
) -> None:
    series(previous, balance)

    assert changes(user.history(account_id))[1][1:] == (amount, percent)


def test_a_percent_that_rounds_to_zero_carries_no_sign(user: Caller, account_id: str, series: Any) -> None:
    series("20000.01", "19999.01")

    assert '"change_percent":0.0}' in user.recent(account_id, limit="1").text


def test_only_the_first_snapshot_of_a_series_has_no_change(user: Caller, account_id: str, series: Any) -> None:
    series("1.00", "1.00", "3.00")

    assert [amount for _, amount, _ in changes(user.history(account_id))] == [None, "0.00", "2.00"]


def test_no_change_is_computed_between_two_currencies(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(
        sync_job,
        snapshot(user_id, account_id, "100", currency="USD", captured_at=day(1)),
        snapshot(user_id, account_id, "90", currency="EUR", captured_at=day(2)),
        snapshot(user_id, account_id, "99", currency="EUR", captured_at=day(3)),
    )

    assert changes(user.history(account_id)) == [
        ("100.00", None, None),
        ("90.00", None, None),
        ("99.00", "9.00", 10.0),
    ]


def test_the_previous_snapshot_may_lie_outside_the_returned_ones(user: Caller, account_id: str, series: Any) -> None:
    series("100.00", "110.00", "121.00")
    expected = ("121.00", "11.00", 10.0)

    assert changes(user.history(account_id, day(3), day(4))) == [expected]
    assert changes(user.recent(account_id, limit="1")) == [expected]
    assert changes(user.latest()) == [expected]


def test_changes_are_computed_within_the_requested_source(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(
        sync_job,
        *(
            snapshot(user_id, account_id, balance, source=source, captured_at=day(number))
            for number, (balance, source) in enumerate(
                [("100", "manual_sync"), ("150", "account_sync"), ("200", "manual_sync"), ("300", "manual_sync")], 1
            )
        ),
    )
    manual = [("200.00", "100.00", 100.0), ("300.00", "100.00", 50.0)]

    assert changes(user.history(account_id, day(2), day(9), source="manual_sync")) == manual
    assert changes(user.recent(account_id, limit="2", source="manual_sync")) == manual[::-1]
    assert changes(user.history(account_id, source="account_sync")) == [("150.00", None, None)]
    assert changes(user.recent(account_id, source="holdings_sync")) == []
    assert changes(user.latest()) == manual[1:]
