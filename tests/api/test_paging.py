"""Paging through an account's list by the Link header (rule 30)."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.fields import SOURCES
from tests.support import API, Caller, Response, captured, faults, snapshot


def next_path(response: Response) -> str | None:
    """Return the path of the next page, relative to the API's base path, as a client reads it from the header."""
    assert response.status_code == 200, response.text
    link = response.headers.get("Link")
    if link is None:
        return None
    match = re.fullmatch(rf'<{API}(?P<path>/\S+)>; rel="next"', link)
    assert match, link
    return match["path"]


def pages(user: Caller, account_id: str, **query: Any) -> Iterator[Response]:
    page = user.recent(account_id, **query)
    yield page
    while path := next_path(page):
        page = user.send("GET", path)
        yield page


def listed(user: Caller, account_id: str, **query: Any) -> list[dict[str, Any]]:
    return [s for page in pages(user, account_id, **query) for s in page.json["snapshots"]]


def minutes(user_id: str, account_id: str, *numbers: int, source: str = "account_sync") -> list[dict[str, Any]]:
    """Return a snapshot for each of these minutes, whose number is its balance."""
    return [
        snapshot(user_id, account_id, f"{n}.00", captured_at=f"2025-01-01T{n // 60:02}:{n % 60:02}:00Z", source=source)
        for n in numbers
    ]


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(SOURCES[:3]), st.sampled_from(["USD", "USD", "JPY"])),
        min_size=1,
        max_size=14,
        unique_by=lambda key: key[:2],
    ),
    limit=st.integers(1, 5),
    source=st.sampled_from([None, *SOURCES[:3]]),
)
def test_pages_hold_the_whole_list(
    user: Caller, sync_job: Caller, user_id: str, keys: list[Any], limit: int, source: str | None
) -> None:
    account_id = str(uuid4())
    items = [
        snapshot(user_id, account_id, str(n), captured_at=f"2025-01-01T00:00:00.{at:06}Z", source=of, currency=currency)
        for n, (at, of, currency) in enumerate(keys)
    ]
    captured(sync_job, *items)
    query = {} if source is None else {"source": source}

    whole = user.recent(account_id, limit=100, **query).json["snapshots"]

    assert listed(user, account_id, limit=limit, **query) == whole
    assert all(page.json["total_count"] == limit for page in list(pages(user, account_id, limit=limit, **query))[:-1])


def test_the_last_page_has_no_link(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(sync_job, *minutes(user_id, account_id, 1, 2, 3, 4))

    assert [page.json["total_count"] for page in pages(user, account_id, limit=2)] == [2, 2]
    assert "Link" not in user.recent(account_id, limit=4).headers
    assert "Link" in user.recent(account_id, limit=3).headers


def test_captures_between_two_pages_cause_neither_repetitions_nor_gaps(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, *minutes(user_id, account_id, 10, 20, 30, 40))
    first = user.recent(account_id, limit=2)
    captured(sync_job, *minutes(user_id, account_id, 50, 35, 15))

    path = next_path(first)
    assert path
    second = user.send("GET", path)

    shown = [s["balance"] for page in (first, second) for s in page.json["snapshots"]]
    assert shown == ["40.00", "30.00", "20.00", "15.00"]
    assert second.json["snapshots"][0]["change_amount"] == "5.00"


def test_a_page_keeps_the_parameters_of_the_request(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, *minutes(user_id, account_id, 1, 2, 3), *minutes(user_id, account_id, 4, source="manual_sync"))

    found = listed(user, account_id.upper(), limit=1, source="account_sync")

    assert [s["balance"] for s in found] == ["3.00", "2.00", "1.00"]


@pytest.fixture
def cursor(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> str:
    captured(sync_job, *minutes(user_id, account_id, 1, 2, 3))
    path = next_path(user.recent(account_id, limit=1))
    assert path
    return path.partition("cursor=")[2]


def refusal(response: Response) -> list[str]:
    assert response.status_code == 400, response.text
    return faults(response)["cursor"]


def test_a_cursor_belongs_to_its_account_and_source(
    user: Caller, sync_job: Caller, user_id: str, account_id: str, cursor: str
) -> None:
    other = str(uuid4())
    captured(sync_job, *minutes(user_id, other, 1))
    message = ["Belongs to another list, account or source; follow the next link unchanged."]

    assert refusal(user.recent(other, cursor=cursor)) == message
    assert refusal(user.recent("no-uuid", cursor=cursor)) == message
    assert refusal(user.recent(account_id, cursor=cursor, source="account_sync")) == message
    assert user.recent(account_id, cursor=cursor, limit=7).status_code == 200


def encoded(members: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "===",
        "\x00",
        "é",
        encoded(None),
        encoded([]),
        encoded({"a": 1}),
        encoded(["a", None, "b", "c"]),
        encoded(["d3300000-0000-4000-8000-00000000000a", None, "2025-W01-1", "d3300000-0000-4000-8000-00000000000a"]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode()[:4000],
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_an_invalid_cursor_is_refused(user: Caller, sync_job: Caller, user_id: str, account_id: str, text: str) -> None:
    captured(sync_job, *minutes(user_id, account_id, 1))

    assert refusal(user.recent(account_id, cursor=text)) == ["Must be the cursor of a next link, unchanged."]


def test_a_changed_cursor_is_refused(user: Caller, account_id: str, cursor: str) -> None:
    for changed in (cursor + "=", cursor[:-1], f" {cursor}", cursor.swapcase()):
        assert user.recent(account_id, cursor=changed).status_code == 400, changed
