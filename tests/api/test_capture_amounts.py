"""Captured amounts and their currencies (rule 7)."""

from typing import Any

import pytest

from schemas.capture import AMOUNTS
from tests.support import Caller, captured, faults
from tests.support.captures import assert_refused, only_snapshot


@pytest.mark.parametrize(
    ("currency", "sent", "returned"),
    [
        ("USD", "25000", "25000.00"),
        ("USD", "10.1", "10.10"),
        ("USD", "10.1250", "10.125"),
        ("USD", "0.0001", "0.0001"),
        ("USD", "-0.00", "0.00"),
        ("USD", "-0", "0.00"),
        ("USD", "007.50", "7.50"),
        ("USD", "-1234.56", "-1234.56"),
        ("USD", "999999999999999.9999", "999999999999999.9999"),
        ("USD", "-999999999999999.9999", "-999999999999999.9999"),
        ("JPY", "1500", "1500"),
        ("JPY", "1500.00", "1500"),
        ("JPY", "1500.50", "1500.5"),
        ("JPY", "999999999999999", "999999999999999"),
        ("KWD", "1.2", "1.200"),
        ("KWD", "1.2340", "1.234"),
        ("KWD", "1.2345", "1.2345"),
        ("CLF", "1.2", "1.2000"),
    ],
)
def test_an_amount_is_read_back_exactly_with_at_least_the_digits_of_its_currency(
    currency: str, sent: str, returned: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item | {"currency": currency} | dict.fromkeys(AMOUNTS, sent))

    assert [only_snapshot(user, account_id)[name] for name in AMOUNTS] == [returned] * len(AMOUNTS)


@pytest.mark.parametrize(
    "amount",
    [
        100,
        100.5,
        True,
        ["1.00"],
        {},
        "",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "1e3",
        "1E3",
        "+1.00",
        " 1.00",
        "1.00 ",
        "1.00\n",
        "- 1.00",
        "--1",
        ".5",
        "1.",
        "1,000.00",
        "1_000.00",
        "1.0.0",
        "0x10",
        "$1.00",
        "\u22121.00",
        "\uff11\uff10",
        "\u0661",
        "1000000000000000",
        "0000000000000001.00",
        "1.00000",
        "0.12345",
    ],
    ids=ascii,
)
def test_an_amount_that_is_not_a_string_of_at_most_15_digits_before_and_4_after_the_point_is_refused(
    amount: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | dict.fromkeys(AMOUNTS, amount))

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{name}" for name in AMOUNTS}


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD", "CLF", "EUR", "XAF", "CHE"])
def test_a_current_currency_with_a_minor_unit_is_accepted(
    currency: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item | {"currency": currency})

    assert only_snapshot(user, account_id)["currency"] == currency


@pytest.mark.parametrize(
    "currency",
    [
        "BGN",
        "HRK",
        "DEM",
        "XAU",
        "XXX",
        "XTS",
        "XDR",
        "ZZZ",
        "usd",
        "Usd",
        " USD",
        "USD ",
        "US",
        "840",
        "",
        840,
        ["USD"],
    ],
    ids=ascii,
)
def test_a_code_that_is_not_a_current_currency_with_a_minor_unit_is_refused(
    currency: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {"currency": currency})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots/0/currency"}
