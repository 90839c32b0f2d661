"""The list of an account's corrections (rule 34), and its pages."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from flask import Flask

from schemas.responses import Corrections, Snapshot
from tests.support import Caller, Response, captured, correction, faults, snapshot, usd, user_token
from tests.support.corrections import next_page


@pytest.fixture
def items(user_id: str, account_id: str) -> list[dict[str, Any]]:
    return [snapshot(user_id, account_id, f"{n}00.00", captured_at=f"2025-01-0{n}T00:00:00Z") for n in range(1, 6)]


@pytest.fixture
def ids(sync_job: Caller, items: list[dict[str, Any]]) -> list[str]:
    """The ids of the stored snapshots."""
    return [each["id"] for each in captured(sync_job, *items)]


def listed(response: Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.json["total_count"] == len(response.json["corrections"])
    return list(response.json["corrections"])


def test_a_superseded_snapshot_is_listed_as_it_was_with_its_correction(
    corrector: Caller, user: Caller, account_id: str, items: list[dict[str, Any]], ids: list[str]
) -> None:
    before = {each["id"]: each for each in user.recent(account_id).json["snapshots"]}[ids[2]]
    response = corrector.correct(correction(items[2], ids[2], usd("3.00"), "Cents as dollars."))

    [shown] = listed(user.corrections(account_id))

    assert list(shown) == [
        *(name for name in Snapshot().fields if not name.startswith("change_")),
        "reason",
        "superseded_at",
        "superseded_by",
        "replaced_by",
    ]
    assert {name: shown[name] for name in before if not name.startswith("change_")} == {
        name: value for name, value in before.items() if not name.startswith("change_")
    }
    assert (shown["reason"], shown["superseded_by"]) == ("Cents as dollars.", "corrections-job")
    assert shown["replaced_by"] == response.json["corrections"][0]["replaced_by"]
    [replacement] = [each for each in user.recent(account_id).json["snapshots"] if each["id"] == shown["replaced_by"]]
    assert shown["superseded_at"] == replacement["created_at"]
    Corrections().load(user.corrections(account_id).json)


def test_the_newest_correction_comes_first_whatever_the_snapshots_times(
    corrector: Caller, user: Caller, account_id: str, items: list[dict[str, Any]], ids: list[str]
) -> None:
    for n in (3, 0, 4):
        corrector.correct(correction(items[n], ids[n], None))

    shown = listed(user.corrections(account_id))

    assert [each["id"] for each in shown] == [ids[4], ids[0], ids[3]]
    assert [each["replaced_by"] for each in shown] == [None] * 3


def test_an_account_without_corrections_has_an_empty_list(user: Caller, account_id: str, ids: list[str]) -> None:
    response = user.corrections(account_id)

    assert response.json == {"corrections": [], "total_count": 0}
    assert "Link" not in response.headers


def test_an_account_whose_snapshots_were_all_withdrawn_is_found(
    corrector: Caller, user: Caller, account_id: str, items: list[dict[str, Any]], ids: list[str]
) -> None:
    corrector.correct(*(correction(item, id_, None) for item, id_ in zip(items, ids, strict=True)))

    assert len(listed(user.corrections(account_id))) == 5
    assert user.recent(account_id).json["total_count"] == 0


def test_the_list_is_authenticated_and_limited_and_shown_only_to_its_owner(
    app: Flask, user: Caller, account_id: str, ids: list[str]
) -> None:
    assert Caller(app, "garbage").corrections(account_id).status_code == 401
    assert user.corrections(str(uuid4())).status_code == 404
    assert user.corrections("no-uuid").status_code == 404
    stranger = Caller(app, user_token(str(uuid4()))).corrections(account_id)
    assert (stranger.status_code, stranger.json["detail"]) == (403, "Not authorized to access this account")
    for response in (stranger, user.corrections(account_id.upper())):
        assert "X-RateLimit-Remaining" in response.headers


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"source": "manual_sync"}, "source"), ({"x": ""}, "x")],
)
def test_an_invalid_query_is_refused(query: dict[str, str], field: str, user: Caller, account_id: str) -> None:
    response = user.corrections(account_id, **query)

    assert response.status_code == 400
    assert list(faults(response)) == [field]


@pytest.mark.parametrize("limit", ["1", "2", "5", "100"])
def test_pages_hold_every_correction_once_even_while_new_ones_are_made(
    limit: str, corrector: Caller, user: Caller, account_id: str, items: list[dict[str, Any]], ids: list[str]
) -> None:
    corrector.correct(*(correction(items[n], ids[n], usd("1.00")) for n in range(4)))
    expected = [each["id"] for each in listed(user.corrections(account_id))]
    assert sorted(expected) == sorted(ids[:4])

    response: Response | None = user.corrections(account_id, limit=limit)
    corrector.correct(correction(items[4], ids[4], None))
    found = []
    while response:
        page = listed(response)
        assert 0 < len(page) <= int(limit)
        found += [each["id"] for each in page]
        response = next_page(user, response)

    assert found == expected


def test_a_cursor_belongs_to_its_list_and_account(
    corrector: Caller, user: Caller, sync_job: Caller, user_id: str, account_id: str, items: Any, ids: list[str]
) -> None:
    corrector.correct(*(correction(items[n], ids[n], None) for n in range(2)))
    captured(sync_job, snapshot(user_id, other := str(uuid4())))

    def cursor(response: Response) -> str:
        return parse_qs(urlsplit(response.headers["Link"].split(">")[0]).query)["cursor"][0]

    mine, of_snapshots = cursor(user.corrections(account_id, limit=1)), cursor(user.recent(account_id, limit=1))

    assert user.corrections(account_id, cursor=mine).status_code == 200
    message = {"cursor": ["Belongs to another list, account or source; follow the next link unchanged."]}
    assert faults(user.corrections(other, cursor=mine)) == message
    assert faults(user.recent(account_id, cursor=mine)) == message
    assert faults(user.corrections(account_id, cursor=of_snapshots)) == message
    assert "cursor" in faults(user.corrections(account_id, cursor=mine[:-1]))
