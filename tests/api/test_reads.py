"""What the three reads answer: rules 1 to 9, 11 and 12."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from schemas.fields import SOURCES
from schemas.responses import History, Latest, Snapshot
from tests.support import Answer, Caller, captured, faults, snapshot, user_token

Read = Callable[..., Answer]


def day(number: int) -> str:
    return f"2025-01-{number:02}T00:00:00Z"


@pytest.fixture
def series(sync_job: Caller, user_id: str, account_id: str) -> Callable[..., list[dict[str, Any]]]:
    """Captures balances of the account, one a day from 1 January 2025 on; None skips a day."""

    def capture(*balances: str | None, **fields: Any) -> list[dict[str, Any]]:
        return captured(
            sync_job,
            *(
                snapshot(user_id, account_id, balance, **{"captured_at": day(number), **fields})
                for number, balance in enumerate(balances, 1)
                if balance is not None
            ),
        )

    return capture


def changes(response: Answer) -> list[tuple[str, str | None, float | None]]:
    return [(s["balance"], s["change_amount"], s["change_percent"]) for s in response.json["snapshots"]]


def summary(response: Answer) -> dict[str, Any]:
    return {name: value for name, value in response.json.items() if name != "snapshots"}


# The shape


def test_each_read_answers_the_documented_members_in_the_documented_order(
    user: Caller, account_id: str, series: Any
) -> None:
    series("1.00", "2.00")

    for response, schema in (
        (user.latest(), Latest()),
        (user.history(account_id), History()),
        (user.recent(account_id), History()),
    ):
        assert response.status_code == 200
        assert response.content_type == "application/json"
        assert list(response.json) == list(schema.fields)
        assert list(response.json["snapshots"][0]) == list(Snapshot().fields)
        assert schema.validate(response.json) == {}


def test_a_snapshot_reads_back_as_it_was_captured(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    sent = snapshot(
        user_id,
        account_id,
        "25000",
        available_balance="24500.5",
        holdings_value="22000.125",
        cash_value=None,
        source="holdings_sync",
        captured_at="2025-12-26T12:00:00+02:00",
    )
    (answered,) = captured(sync_job, sent)

    (read,) = user.latest().json["snapshots"]
    created_at = read["created_at"]

    assert read == {
        **dict.fromkeys(Snapshot().fields),
        "created_at": created_at,
        "id": answered["id"],
        "account_id": account_id,
        "balance": "25000.00",
        "available_balance": "24500.50",
        "holdings_value": "22000.125",
        "currency": "USD",
        "source": "holdings_sync",
        "captured_at": "2025-12-26T10:00:00Z",
    }
    assert created_at.endswith("Z")


# Change (rules 1 to 3)


@pytest.mark.parametrize(
    ("previous", "balance", "amount", "percent"),
    [
        pytest.param("24500.00", "25000.00", "500.00", 2.04, id="gain"),
        pytest.param("20000.00", "22500.00", "2500.00", 12.5, id="one decimal"),
        pytest.param("100.00", "90.00", "-10.00", -10.0, id="loss"),
        pytest.param("100.00", "100.00", "0.00", 0.0, id="nothing"),
        pytest.param("-1000.00", "-500.00", "500.00", 50.0, id="debt paid off"),
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
def test_a_change_is_exact(
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


def test_no_change_is_told_between_two_currencies(
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


def test_the_previous_snapshot_may_lie_outside_what_is_returned(user: Caller, account_id: str, series: Any) -> None:
    series("100.00", "110.00", "121.00")
    expected = ("121.00", "11.00", 10.0)

    assert changes(user.history(account_id, day(3), day(4))) == [expected]
    assert changes(user.recent(account_id, limit="1")) == [expected]
    assert changes(user.latest()) == [expected]


def test_a_source_filter_makes_a_series_of_its_own(
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


# Order (rules 4 and 6)


def test_snapshots_of_one_instant_stand_in_the_order_of_their_creation(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    sources = ["scheduled_sync", "account_sync", "manual_sync"]
    for number, source in enumerate(sources, 1):
        captured(sync_job, snapshot(user_id, account_id, f"{number}.00", source=source))

    assert [s["source"] for s in user.history(account_id).json["snapshots"]] == sources
    assert [s["source"] for s in user.recent(account_id).json["snapshots"]] == sources[::-1]
    assert changes(user.recent(account_id, limit="1")) == [("3.00", "1.00", 50.0)]
    assert changes(user.latest()) == [("3.00", "1.00", 50.0)]


def test_snapshots_stand_in_the_order_of_their_capture_time_however_late_they_come(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    for number in (3, 1, 2):
        captured(sync_job, snapshot(user_id, account_id, f"{number}.00", captured_at=day(number)))

    assert [b for b, _, _ in changes(user.history(account_id))] == ["1.00", "2.00", "3.00"]
    assert [b for b, _, _ in changes(user.recent(account_id))] == ["3.00", "2.00", "1.00"]
    assert changes(user.latest()) == [("3.00", "1.00", 50.0)]


def test_a_microsecond_decides_the_order(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    times = ["2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000001Z", "2025-01-01T00:00:00.1Z"]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in reversed(times)))

    assert [s["captured_at"] for s in user.history(account_id).json["snapshots"]] == [
        "2025-01-01T00:00:00Z",
        "2025-01-01T00:00:00.000001Z",
        "2025-01-01T00:00:00.100000Z",
    ]


def test_latest_is_newest_first_and_then_by_account(user: Caller, sync_job: Caller, user_id: str) -> None:
    accounts = sorted(str(uuid4()) for _ in range(4))
    days = [1, 2, 2, 3]
    captured(sync_job, *(snapshot(user_id, a, captured_at=day(d)) for a, d in zip(accounts, days, strict=True)))

    ids = [s["account_id"] for s in user.latest().json["snapshots"]]

    assert ids == [accounts[3], accounts[1], accounts[2], accounts[0]]


# Summaries and totals (rules 5 to 7)


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

    response = user.history(account_id, day(2), day(3))

    assert response.json == {"snapshots": []} | EMPTY


def test_mixed_currencies_have_no_summary(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(
        sync_job,
        snapshot(user_id, account_id, "100", currency="USD", captured_at=day(1)),
        snapshot(user_id, account_id, "90", currency="EUR", captured_at=day(2)),
        snapshot(user_id, account_id, "99", currency="EUR", captured_at=day(3)),
    )

    for mixed in (user.history(account_id), user.recent(account_id)):
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


# Ranges and limits (rules 8 and 11)


def test_both_ends_of_a_range_belong_to_it_to_the_microsecond(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    times = [f"2025-01-01T00:00:00.00000{n}Z" for n in range(1, 6)]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in times))

    response = user.history(account_id, times[1], times[3])

    assert [s["captured_at"] for s in response.json["snapshots"]] == times[1:4]


@pytest.mark.parametrize(
    "start",
    [
        "2025-01-02T00:00:00Z",
        "2025-01-02t00:00:00z",
        "2025-01-02 00:00:00Z",
        "2025-01-02T00:00:00",
        "2025-01-02",
        "2025-01-02T00:00",
        "2025-01-02T00:00Z",
        "20250102T000000Z",
        "2025-W01-4",
        "2025-W01-4T00:00:00Z",
        "2025-01-02T00:00:00.000000Z",
        "2025-01-02T00:00:00,000Z",
        "2025-01-02T02:00:00+02:00",
        "2025-01-02T02:00:00+0200",
        "2025-01-02T02:00:00+02",
        "2025-01-01T18:30:00-05:30",
        "2025-01-02T00:00:00-00:00",
        "2025-01-02T23:59:00+23:59",
    ],
)
def test_a_time_may_be_written_in_every_form_of_iso_8601(
    user: Caller, account_id: str, series: Any, start: str
) -> None:
    series("1.00", "2.00")

    at = user.history(account_id, start, "2025-01-31")
    assert at.status_code == 200, at.json
    assert [b for b, _, _ in changes(at)] == ["2.00"]


def test_a_leap_second_is_the_second_after_it(user: Caller, account_id: str, series: Any) -> None:
    series("1.00", captured_at="2017-01-01T00:00:00Z")

    for leap in ("2016-12-31T23:59:60Z", "2016-12-31T15:59:60-08:00"):
        assert len(user.history(account_id, leap, "2018-01-01").json["snapshots"]) == 1


BAD_TIMES = [
    "",
    "now",
    "1735689600",
    "2025-01-01x00:00:00Z",
    "2025-13-01T00:00:00Z",
    "2025-02-29",
    "2025-01-01T24:00:00Z",
    "2025-01-01T00:60:00Z",
    "2025-01-01T00:00:61Z",
    "2025-01-01T12:00:60Z",
    "2025-06-29T23:59:60Z",
    "2025-01-01T00:00:00.Z",
    "2025-01-01T00:00:00.1234567Z",
    "2025-01-01T00:00:00.0000000Z",
    "2025-01-01T00:00:00+24:00",
    "2025-01-01T00:00:00+01:60",
    "2025-01-01T00:00:00+1:00",
    "2025-01-01T00:00:00Z+01:00",
    "2025-01-01T00:0000Z",
    "2025-01-01Z",
    "2025-1-1",
    "25-01-01",
    " 2025-01-01",
    "2025-01-01\n",
    "2025-01-01T00:00:00Z\x00",
    "２０２５-01-01",
    "0000-01-01",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59.999999-00:01",
    "9999-12-31T23:59:60Z",
    "10000-01-01T00:00:00Z",
    "-2025-01-01",
]


@pytest.mark.parametrize("time", BAD_TIMES)
@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_a_malformed_time_is_refused_by_name(user: Caller, account_id: str, name: str, time: str) -> None:
    query = {"start_date": "2025-01-01", "end_date": "2025-01-02"} | {name: time}

    response = user.get(f"/accounts/{account_id}/balance-history", **query)

    assert response.status_code == 400
    assert list(faults(response)) == [name]


@pytest.mark.parametrize(
    "time", ["2025-01-01T00:00:00 02:00", "2025-01-01T00:00:00 0200", "20250101T000000 02", "2025-01-01 10:00"]
)
def test_an_offset_whose_plus_became_a_space_is_explained(user: Caller, account_id: str, time: str) -> None:
    response = user.history(account_id, time, "2025-02-01")

    assert response.status_code == 400
    assert "%2B" in faults(response)["start_date"][0]


def test_the_first_and_the_last_instant_are_accepted(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")

    response = user.history(account_id, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")

    assert len(response.json["snapshots"]) == 1


@pytest.mark.parametrize("end", [day(1), "2024-12-31T23:59:59.999999Z", "2025-01-01T01:00:00%2B01:00"])
def test_a_range_that_does_not_go_forward_is_refused(user: Caller, account_id: str, end: str) -> None:
    response = user.history(account_id, day(1), end.replace("%2B", "+"))

    assert response.status_code == 400
    assert faults(response) == {"start_date": ["Must be before end_date."]}


def test_a_range_of_a_microsecond_is_accepted(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")

    assert len(user.history(account_id, day(1), "2025-01-01T00:00:00.000001Z").json["snapshots"]) == 1


def test_a_missing_end_is_named(user: Caller, account_id: str) -> None:
    response = user.get(f"/accounts/{account_id}/balance-history")

    assert response.status_code == 400
    assert set(faults(response)) == {"start_date", "end_date"}


@pytest.mark.parametrize(("limit", "count"), [("1", 1), ("30", 30), ("99", 99), ("100", 100), (None, 30)])
def test_a_limit_is_what_is_returned(
    user: Caller, sync_job: Caller, user_id: str, account_id: str, limit: str | None, count: int
) -> None:
    minutes = [f"2025-01-01T{n // 60:02}:{n % 60:02}:00Z" for n in range(102)]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=minute) for minute in minutes))

    response = user.recent(account_id, **({} if limit is None else {"limit": limit}))

    assert [s["captured_at"] for s in response.json["snapshots"]] == minutes[::-1][:count]
    assert response.json["total_count"] == count


@pytest.mark.parametrize(
    "limit",
    ["0", "101", "-1", "", " 7", "7 ", "+5", "5.0", "1e1", "1_0", "0x10", "007", "７", "five", "7\n", "9" * 5000],
    ids=repr,
)
def test_a_limit_is_never_clamped_nor_guessed(user: Caller, account_id: str, limit: str) -> None:
    response = user.recent(account_id, limit=limit)

    assert response.status_code == 400
    assert faults(response) == {"limit": ["Must be a whole number from 1 to 100."]}


@pytest.mark.parametrize("source", ["", "sync", "MANUAL_SYNC", "manual_sync ", "manual_sync\x00", "manual_sync,x"])
def test_an_unknown_source_is_answered_with_the_five(user: Caller, account_id: str, source: str) -> None:
    for response in (user.recent(account_id, source=source), user.history(account_id, source=source)):
        assert response.status_code == 400
        assert faults(response) == {
            "source": ["Must be one of account_sync, holdings_sync, manual_sync, scheduled_sync, initial_connection."]
        }


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_can_be_asked_for(
    user: Caller, sync_job: Caller, user_id: str, account_id: str, source: str
) -> None:
    captured(sync_job, snapshot(user_id, account_id, source=source))

    for response in (user.recent(account_id, source=source), user.history(account_id, source=source)):
        assert [s["source"] for s in response.json["snapshots"]] == [source]


def test_an_unknown_parameter_is_refused_by_every_read(user: Caller, account_id: str) -> None:
    for response in (
        user.latest(limit="1"),
        user.history(account_id, limit="1"),
        user.recent(account_id, start_date="2025-01-01"),
        user.recent(account_id, **{"a\nb": "1"}),
    ):
        assert response.status_code == 400
        assert len(faults(response)) == 1


@pytest.mark.parametrize(
    "query", ["limit=5&limit=5", "limit=5&limit=x&source=manual_sync", "limit=x&limit=5"], ids=lambda query: query
)
def test_a_repeated_parameter_is_refused(user: Caller, account_id: str, query: str) -> None:
    response = user.send("GET", f"/accounts/{account_id}/balance-snapshots?{query}")

    assert response.status_code == 400
    assert faults(response) == {"limit": ["Must be given once."]}


def test_all_faults_of_a_query_are_told_at_once(user: Caller, account_id: str) -> None:
    response = user.send("GET", f"/accounts/{account_id}/balance-snapshots?limit=0&source=x&page=2&q=1&q=2")

    assert set(faults(response)) == {"limit", "source", "page", "q"}


# Whose account it is (rules 9 and 10)


@pytest.fixture
def reads_of_account(account_id: str) -> list[Callable[[Caller], Answer]]:
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


def test_two_users_data_never_meet(app: Flask, sync_job: Caller) -> None:
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


# HEAD (rule 12)


def test_head_answers_as_get_without_the_body(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")
    path = f"/accounts/{account_id}/balance-snapshots"

    got, head = user.send("GET", path), user.send("HEAD", path)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert user.send("HEAD", f"/accounts/{uuid4()}/balance-snapshots").status_code == 404
