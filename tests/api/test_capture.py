"""Capture over HTTP: rules 20 to 25, and 7 to 9 for what comes in."""

import gzip
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from schemas.fields import SOURCES
from tests.support import AMOUNTS, Answer, Caller, captured, faults, snapshot, user_token

PATH = "/balance-snapshots"
MIB = 1024 * 1024
DAY = "2025-01-{:02}T00:00:00Z"


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    """A snapshot that is as it should be."""
    return snapshot(user_id, account_id)


def send(sync_job: Caller, body: bytes | str, **request: Any) -> Answer:
    """These bytes as a capture's body."""
    return sync_job.send("POST", PATH, data=body, **{"content_type": "application/json", **request})


def shown(user: Caller, account_id: str) -> dict[str, Any]:
    """The only snapshot of an account, read back."""
    (only,) = user.recent(account_id).json["snapshots"]
    return dict(only)


def stored_count(user: Caller) -> int:
    """How many accounts of the user have a snapshot."""
    return int(user.latest().json["total_count"])


def assert_refused(response: Answer, status: int, user: Caller) -> None:
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert stored_count(user) == 0


# What an item holds (rule 20)


@pytest.mark.parametrize("count", [1, 1000])
def test_a_batch_holds_1_to_1000_snapshots(
    count: int, sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    items = [
        snapshot(user_id, account_id, f"{n}.00", captured_at=(start + timedelta(hours=n)).isoformat())
        for n in range(count)
    ]

    assert len(captured(sync_job, *items)) == count

    balances = [s["balance"] for s in user.history(account_id).json["snapshots"]]
    assert balances == [f"{n}.00" for n in range(count)]


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_another_size_is_refused(count: int, sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    response = sync_job.capture(*[item] * count)

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots"}


REQUIRED = ("user_id", "account_id", "balance", "currency", "source", "captured_at")
OPTIONAL = tuple(name for name in AMOUNTS if name != "balance")


@pytest.mark.parametrize("member", REQUIRED)
@pytest.mark.parametrize("change", ["left out", "null"])
def test_a_required_member_is_required(
    member: str, change: str, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    if change == "null":
        item[member] = None
    else:
        del item[member]

    response = sync_job.capture(item)

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{member}"}


@pytest.mark.parametrize("member", OPTIONAL)
@pytest.mark.parametrize(
    ("given", "answer"),
    [({}, None), ({"{}": None}, None), ({"{}": "-7.5"}, "-7.50")],
    ids=["left out", "null", "given"],
)
def test_an_optional_amount_may_be_left_out_or_null(
    given: dict[str, str | None],
    answer: str | None,
    member: str,
    sync_job: Caller,
    user: Caller,
    account_id: str,
    item: dict[str, Any],
) -> None:
    captured(sync_job, item | {name.format(member): value for name, value in given.items()})

    assert {name: shown(user, account_id)[name] for name in OPTIONAL} == dict.fromkeys(OPTIONAL) | {member: answer}


@pytest.mark.parametrize("member", ["id", "created_at", "change_amount", "Balance", "", "_schema"])
def test_an_unknown_member_is_refused(member: str, sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    response = sync_job.capture(item | {member: "1"})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{member}"}


@pytest.mark.parametrize("source", SOURCES)
def test_each_of_the_five_sources_is_taken(
    source: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item | {"source": source})

    assert shown(user, account_id)["source"] == source


def test_there_are_five_sources() -> None:
    assert set(SOURCES) == {"account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("source", "bank_sync"),
        ("source", "Account_Sync"),
        ("source", ""),
        ("source", ["account_sync"]),
        ("source", {}),
        ("source", "account_sync\0"),
        ("source", "\ud800"),
        ("user_id", ""),
        ("user_id", 7),
        ("user_id", "a user"),
        ("user_id", "{8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e}"),
        ("user_id", "urn:uuid:8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e"),
        ("user_id", "\0d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e"),
        ("account_id", "8d0e2d1c6a304b5c8c5e1f2a3b4c5d6e"),
        ("account_id", "8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6e\n"),
        ("account_id", "8d0e2d1c-6a30-4b5c-8c5e-1f2a3b4c5d6\uff10"),
        ("account_id", "\udfff"),
        ("captured_at", "2025-01-01\0"),
        ("captured_at", "\ud800"),
        ("currency", "US\0"),
        ("currency", "\udcff"),
        ("balance", "1\0"),
        ("balance", "\ud800"),
    ],
    ids=ascii,
)
def test_a_value_of_another_kind_is_refused(
    member: str, value: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {member: value})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{member}"}


# Money (rule 7)


@pytest.mark.parametrize(
    ("currency", "given", "answer"),
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
def test_an_amount_is_read_back_exactly_with_at_least_its_currency_s_digits(
    currency: str, given: str, answer: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item | {"currency": currency} | dict.fromkeys(AMOUNTS, given))

    assert [shown(user, account_id)[name] for name in AMOUNTS] == [answer] * len(AMOUNTS)


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
def test_an_amount_that_is_no_plain_decimal_string_within_15_and_4_digits_is_refused(
    amount: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | dict.fromkeys(AMOUNTS, amount))

    assert_refused(response, 400, user)
    assert faults(response).keys() == {f"/snapshots/0/{name}" for name in AMOUNTS}


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD", "CLF", "EUR", "XAF", "CHE"])
def test_a_current_currency_with_a_minor_unit_is_taken(
    currency: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    captured(sync_job, item | {"currency": currency})

    assert shown(user, account_id)["currency"] == currency


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
def test_another_currency_is_refused(currency: object, sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    response = sync_job.capture(item | {"currency": currency})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots/0/currency"}


# Time (rules 8 and 20)


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("2025-06-15T10:00:00Z", "2025-06-15T10:00:00Z"),
        ("2025-06-15t10:00:00z", "2025-06-15T10:00:00Z"),
        ("2025-06-15 10:00:00+00:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00-00:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T12:30:00+02:30", "2025-06-15T10:00:00Z"),
        ("2025-06-14T20:00:00-14:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15", "2025-06-15T00:00:00Z"),
        ("2025-06-15T10:00:00.000Z", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00.5Z", "2025-06-15T10:00:00.500000Z"),
        ("2025-06-15T10:00:00.123450Z", "2025-06-15T10:00:00.123450Z"),
        ("2025-06-15T10:00:00.000001Z", "2025-06-15T10:00:00.000001Z"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("1969-07-20T20:17:40Z", "1969-07-20T20:17:40Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00-01:00", "0001-01-01T01:00:00Z"),
    ],
)
def test_a_past_instant_is_taken_in_any_form_and_answered_in_utc(
    given: str, answer: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    (stored,) = captured(sync_job, item | {"captured_at": given})

    assert stored["captured_at"] == shown(user, account_id)["captured_at"] == answer


@pytest.mark.parametrize(
    "instant",
    [
        "2025-06-15T10:00:00.1234567Z",
        "2025-06-15T10:00:00.0000000Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-14:00",
        "0000-12-31T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2025-06-15T10:00:00 02:00",
        "2025-06-15x10:00:00Z",
        "2025-06-15T10:00:00 Z",
        "2025-06-15T24:00:01Z",
        "2025-06-15T10:00:60Z",
        "2025-06-15T10:60:00Z",
        "2025-06-15T10:00:00+24:00",
        "2025-02-29T10:00:00Z",
        "2025-13-01",
        "2025-06",
        "15/06/2025",
        "now",
        "infinity",
        "\uff12025-06-15",
        "",
        1749981600,
        [],
    ],
    ids=ascii,
)
def test_an_instant_that_is_no_iso_8601_or_out_of_range_is_refused(
    instant: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {"captured_at": instant})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots/0/captured_at"}


def test_an_instant_60_seconds_ahead_is_taken(sync_job: Caller, item: dict[str, Any]) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=60)

    assert sync_job.capture(item | {"captured_at": ahead.isoformat()}).status_code == 201


@pytest.mark.parametrize("ahead", [timedelta(seconds=75), timedelta(days=36500)], ids=str)
def test_an_instant_further_ahead_is_refused(
    ahead: timedelta, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {"captured_at": (datetime.now(UTC) + ahead).isoformat()})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots/0/captured_at"}


# All faults at once, none of it stored (rule 21)


def test_all_faults_of_a_batch_are_named_at_once(
    sync_job: Caller, user: Caller, user_id: str, account_id: str, item: dict[str, Any]
) -> None:
    response = sync_job.post(
        {
            "snapshots": [
                item,
                snapshot("me", account_id, "1e3", cash_value=5, captured_at="2999-01-01", currency="XAU"),
                item | {"a/b~c": 1, "source": None},
                "an item",
                None,
                [],
                {},
                snapshot(user_id, str(uuid4())),
            ],
            "to/tal~": 8,
        }
    )

    assert_refused(response, 400, user)
    assert faults(response).keys() == {
        *(f"/snapshots/1/{name}" for name in ("user_id", "balance", "cash_value", "captured_at", "currency")),
        *("/snapshots/2/a~1b~0c", "/snapshots/2/source"),
        *("/snapshots/3", "/snapshots/4", "/snapshots/5"),
        *(f"/snapshots/6/{name}" for name in REQUIRED),
        "/to~1tal~0",
    }


def test_a_flood_of_faulty_items_is_told_their_number_only(sync_job: Caller) -> None:
    response = send(sync_job, f'{{"snapshots": [{"{}," * 200_000}{{}}]}}')

    assert response.status_code == 400
    assert faults(response).keys() == {"/snapshots"}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"[]", [""]),
        (b'[{"snapshots": []}]', [""]),
        (b'"snapshots"', [""]),
        (b"7", [""]),
        (b"true", [""]),
        (b"null", [""]),
        (b"{}", ["/snapshots"]),
        (b'{"snapshots": null}', ["/snapshots"]),
        (b'{"snapshots": "all"}', ["/snapshots"]),
        (b'{"snapshots": 1}', ["/snapshots"]),
        (b'{"snapshots": {}}', ["/snapshots"]),
        (b'{"snapshots": {"0": {}}}', ["/snapshots"]),
        (b'{"snapshots": [1]}', ["/snapshots/0"]),
        (b'{"snapshots": [[]]}', ["/snapshots/0"]),
        (b'{"Snapshots": []}', ["/snapshots", "/Snapshots"]),
        (b'{"_schema": []}', ["/snapshots", "/_schema"]),
        (b'{"\\ud800": []}', ["/snapshots", "/\ud800"]),
    ],
    ids=ascii,
)
def test_a_body_of_another_shape_is_a_400_that_points_at_the_fault(
    body: bytes, pointers: list[str], sync_job: Caller
) -> None:
    response = send(sync_job, body)

    assert response.status_code == 400
    assert sorted(faults(response)) == sorted(pointers)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_batch_with_one_bad_item_stores_nothing(
    place: int, sync_job: Caller, user: Caller, user_id: str, item: dict[str, Any]
) -> None:
    items = [snapshot(user_id, str(uuid4())) for _ in range(3)]
    items[place]["balance"] = "1.00000"

    response = sync_job.capture(*items)

    assert_refused(response, 400, user)
    assert {user.recent(good["account_id"]).status_code for good in items} == {404}


# The body itself (rule 25)


@pytest.mark.parametrize(
    "body",
    [
        "",
        " ",
        "{",
        '{"snapshots": [%s]',
        '{"snapshots": [%s]} {}',
        '{"snapshots": [%s],}',
        "{'snapshots': []}",
        '\ufeff{"snapshots": [%s]}',
        '{"snapshots": [%s], "snapshots": [%s]}',
        '{"snapshots": [{"balance": "1", "balance": "1"}]}',
        '{"snapshots": [%s], "x": {"y": 1, "\\u0079": 1}}',
        '{"snapshots": NaN}',
        '{"snapshots": [Infinity]}',
        '{"snapshots": [-Infinity]}',
        '{"snapshots": ["\t"]}',
        '{"snapshots": [01]}',
        '{"snapshots": ' + "[" * 100_000,
        '{"snapshots": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        b'{"snapshots": ["\xff"]}',
        b'{"snapshots": ["\xed\xa0\x80"]}',
        '{"snapshots": []}'.encode("utf-16"),
    ],
    ids=lambda body: ascii(body)[:45],
)
def test_a_body_that_is_not_strict_json_in_utf_8_is_a_400(
    body: str | bytes, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    if isinstance(body, str):
        body = body.replace("%s", json.dumps(item))

    response = send(sync_job, body)

    assert_refused(response, 400, user)
    assert "errors" not in response.json  # Nothing was read that a pointer could point into.


@pytest.mark.parametrize("digits", [400, 100_000])
def test_a_number_of_many_digits_is_a_400(digits: int, sync_job: Caller) -> None:
    assert send(sync_job, f'{{"snapshots": [{{"balance": {"9" * digits}}}]}}').status_code == 400


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken(content_type: str, sync_job: Caller, item: dict[str, Any]) -> None:
    body = json.dumps({"snapshots": [item]})

    assert send(sync_job, body, content_type=content_type).status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
    ],
)
def test_another_content_type_is_a_415(
    content_type: str | None, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    body = json.dumps({"snapshots": [item]})

    assert_refused(send(sync_job, body, content_type=content_type), 415, user)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "gzip, identity"])
def test_a_compressed_body_is_a_415(encoding: str, sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    body = gzip.compress(json.dumps({"snapshots": [item]}).encode())

    assert_refused(send(sync_job, body, headers={"Content-Encoding": encoding}), 415, user)


# A body that says no length needs a real server: tests/system/test_stack_requests.py.


def test_a_body_of_1_mib_is_taken(sync_job: Caller, item: dict[str, Any]) -> None:
    body = json.dumps({"snapshots": [item]}).ljust(MIB)

    assert send(sync_job, body).status_code == 201


def test_a_longer_body_is_a_413(sync_job: Caller, user: Caller, item: dict[str, Any]) -> None:
    body = json.dumps({"snapshots": [item]}).ljust(MIB + 1)

    assert_refused(send(sync_job, body), 413, user)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [("x" * (MIB + 1), "text/plain", 415), ("x" * (MIB + 1), "application/json", 413), ("x", "application/json", 400)],
    ids=["kind", "size", "form"],
)
def test_the_kind_is_checked_before_the_size_and_the_size_before_the_form(
    body: str, content_type: str, status: int, sync_job: Caller
) -> None:
    assert send(sync_job, body, content_type=content_type).status_code == status


def test_a_fault_is_told_before_a_contradiction(sync_job: Caller, item: dict[str, Any]) -> None:
    captured(sync_job, item)

    response = sync_job.capture(item | {"balance": "7.00"}, item | {"currency": "usd"})

    assert response.status_code == 400
    assert faults(response).keys() == {"/snapshots/1/currency"}


# The answer (rule 24)


def test_the_answer_has_the_documented_shape(
    sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item)

    assert (response.status_code, response.content_type) == (201, "application/json")
    assert list(response.json) == ["snapshots", "created_count", "duplicate_count"]
    (answer,) = response.json["snapshots"]
    assert list(answer.items()) == [
        ("id", shown(user, account_id)["id"]),
        ("account_id", account_id),
        ("captured_at", "2025-01-01T00:00:00Z"),
        ("source", "account_sync"),
        ("status", "created"),
    ]


def test_the_answer_is_in_the_order_of_the_request_and_counts(
    sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    days = [snapshot(user_id, account_id, f"{n}.00", captured_at=DAY.format(n)) for n in range(1, 8)]
    known = {answer["captured_at"]: answer["id"] for answer in captured(sync_job, days[4], days[1])}

    response = sync_job.capture(*reversed(days))

    assert response.status_code == 201
    assert (response.json["created_count"], response.json["duplicate_count"]) == (5, 2)
    answers = response.json["snapshots"]
    assert [answer["captured_at"] for answer in answers] == [day["captured_at"] for day in reversed(days)]
    assert {a["captured_at"]: a["id"] for a in answers if a["status"] == "duplicate"} == known
    listed = {s["captured_at"]: s["id"] for s in user.recent(account_id).json["snapshots"]}
    assert listed == {answer["captured_at"]: answer["id"] for answer in answers}


def test_a_batch_of_new_snapshots_is_answered_in_the_order_of_the_request(sync_job: Caller, user_id: str) -> None:
    items = [
        snapshot(user_id, account, captured_at=DAY.format(day), source=source)
        for account in (str(uuid4()) for _ in range(20))
        for day in (1, 2, 3)
        for source in ("manual_sync", "account_sync")
    ]
    random.shuffle(items)

    first, again = captured(sync_job, *items), sync_job.capture(*items).json["snapshots"]

    key = itemgetter("account_id", "captured_at", "source")
    assert [key(answer) for answer in first] == [key(item) for item in items]
    assert again == [answer | {"status": "duplicate"} for answer in first]


def test_ids_are_uuid_v7_and_ascend_in_the_order_of_capture(sync_job: Caller, user_id: str) -> None:
    accounts = sorted((str(uuid4()) for _ in range(50)), reverse=True)
    items = [snapshot(user_id, account, captured_at=DAY.format(28 - n)) for n in range(21) for account in accounts]

    answers = [
        answer for batch in (items[:1000], items[1000:1001], items[1001:]) for answer in captured(sync_job, *batch)
    ]

    ids = [UUID(answer["id"]) for answer in answers]
    assert ids == sorted(set(ids))
    assert {(uuid.version, uuid.variant) for uuid in ids} == {(7, "specified in RFC 4122")}


# Any delivery may be repeated (rule 22)


def test_a_batch_that_is_delivered_again_stores_nothing_new(
    sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    batch = [snapshot(user_id, account_id, f"{n}.00", captured_at=DAY.format(n)) for n in range(1, 4)]
    first = captured(sync_job, *batch)
    before = user.history(account_id).json

    response = sync_job.capture(*batch)

    assert response.status_code == 200
    assert (response.json["created_count"], response.json["duplicate_count"]) == (0, 3)
    assert response.json["snapshots"] == [answer | {"status": "duplicate"} for answer in first]
    assert user.history(account_id).json == before


def test_a_snapshot_twice_in_a_batch_is_created_once(
    sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item, item)

    assert response.status_code == 201
    first, second = response.json["snapshots"]
    assert (first["status"], second) == ("created", first | {"status": "duplicate"})
    assert (response.json["created_count"], response.json["duplicate_count"]) == (1, 1)
    assert shown(user, account_id)["id"] == first["id"]


VALUES: dict[str, Any] = {"available_balance": "1.00", "holdings_value": "2.00", "cash_value": None}


def _upper_case(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name].upper() for name in ("user_id", "account_id")}


SPELLINGS = pytest.mark.parametrize(
    "spelling",
    [
        {"balance": "10.1"},
        {"balance": "010.1000"},
        {"holdings_value": "2"},
        {"captured_at": "2025-01-01"},
        {"captured_at": "2025-01-01T02:00:00.000+02:00"},
        {"captured_at": "2024-12-31t19:00:00-05:00"},
        {"cash_value": ...},
        _upper_case,
    ],
    ids=["fewer digits", "more digits", "no digits", "a date", "an offset", "another day", "no null", "upper case"],
)


def respelled(item: dict[str, Any], spelling: Any) -> dict[str, Any]:
    changes = spelling(item) if callable(spelling) else spelling
    return {name: value for name, value in (item | changes).items() if value is not ...}


@SPELLINGS
def test_equal_values_in_another_spelling_are_the_stored_snapshot(
    spelling: Any, sync_job: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, "10.10", **VALUES)
    first = captured(sync_job, item)

    response = sync_job.capture(respelled(item, spelling))

    assert response.status_code == 200
    assert response.json["snapshots"] == [first[0] | {"status": "duplicate"}]


@SPELLINGS
def test_equal_values_in_another_spelling_are_one_snapshot_within_a_batch(
    spelling: Any, sync_job: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, "10.10", **VALUES)

    first, second = captured(sync_job, respelled(item, spelling), item)

    assert (first["status"], second) == ("created", first | {"status": "duplicate"})


@pytest.mark.parametrize("member", ["account_id", "captured_at", "source"])
def test_another_account_time_or_source_is_another_snapshot(
    member: str, sync_job: Caller, item: dict[str, Any]
) -> None:
    others = {"account_id": str(uuid4()), "captured_at": "2025-01-01T00:00:00.000001Z", "source": "manual_sync"}
    other = item | {"balance": "7.00", member: others[member]}

    assert [answer["status"] for answer in captured(sync_job, item, other)] == ["created", "created"]


# Contradictions (rules 22 and 23)

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
def test_other_values_than_stored_are_a_409_and_nothing_is_stored(
    values: Mapping[str, Any], sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, **VALUES)
    captured(sync_job, item)
    before = user.history(account_id).json
    unrelated = snapshot(user_id, str(uuid4()))
    another_day = item | {"captured_at": DAY.format(2)}

    response = sync_job.capture(unrelated, another_day, {**item, **values}, item)

    assert response.status_code == 409
    assert faults(response).keys() == {"/snapshots/2"}
    assert user.history(account_id).json == before
    assert user.recent(unrelated["account_id"]).status_code == 404


@CONTRADICTIONS
def test_different_values_within_a_batch_are_a_409_and_nothing_is_stored(
    values: Mapping[str, Any], sync_job: Caller, user: Caller, user_id: str, account_id: str
) -> None:
    item = snapshot(user_id, account_id, **VALUES)
    unrelated = snapshot(user_id, str(uuid4()))

    response = sync_job.capture(item, unrelated, item, {**item, **values}, item | {"captured_at": DAY.format(2)})

    assert_refused(response, 409, user)
    assert faults(response).keys() == {"/snapshots/0", "/snapshots/2", "/snapshots/3"}
    assert {user.recent(account).status_code for account in (account_id, unrelated["account_id"])} == {404}


def test_a_refused_batch_may_be_corrected_and_sent_again(sync_job: Caller, item: dict[str, Any]) -> None:
    corrected = item | {"balance": "7.00"}
    assert sync_job.capture(item, corrected).status_code == 409

    assert sync_job.capture(corrected).status_code == 201


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
        item | {"captured_at": DAY.format(2)},
        snapshot(another_id, account_id, captured_at=DAY.format(3)),
    )

    assert response.status_code == 409
    assert faults(response).keys() == {"/snapshots/1", "/snapshots/3"}
    assert user.history(account_id).json == before
    assert another.recent(account_id).status_code == 403
    assert stored_count(another) == 0


def test_two_users_for_one_new_account_in_a_batch_are_a_409_and_it_stays_free(
    sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    another_id = str(uuid4())

    response = sync_job.capture(
        item,
        snapshot(another_id, account_id, "7.00"),
        item | {"captured_at": DAY.format(2)},
        snapshot(another_id, account_id, captured_at=DAY.format(3)),
    )

    assert_refused(response, 409, user)
    assert faults(response).keys() == {"/snapshots/1", "/snapshots/3"}
    assert sync_job.capture(snapshot(another_id, account_id)).status_code == 201


def test_a_snapshot_may_be_captured_for_each_of_several_users_at_once(
    app: Flask, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    another_id = str(uuid4())

    captured(sync_job, item, snapshot(another_id, str(uuid4())))

    assert [stored_count(user), stored_count(Caller(app, user_token(another_id)))] == [1, 1]
