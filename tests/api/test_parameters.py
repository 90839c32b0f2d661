"""The limit and the source of a list, and the faults of a query (rule 11)."""

import pytest

from schemas.fields import SOURCES
from tests.support import Caller, captured, faults, snapshot


@pytest.mark.parametrize(("limit", "count"), [("1", 1), ("30", 30), ("99", 99), ("100", 100), (None, 30)])
def test_as_many_snapshots_are_returned_as_the_limit_allows(
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
def test_a_limit_is_never_clamped_or_guessed(user: Caller, account_id: str, limit: str) -> None:
    response = user.recent(account_id, limit=limit)

    assert response.status_code == 400
    assert faults(response) == {"limit": ["Must be a whole number from 1 to 100."]}


@pytest.mark.parametrize("source", ["", "sync", "MANUAL_SYNC", "manual_sync ", "manual_sync\x00", "manual_sync,x"])
def test_an_unknown_source_is_refused_with_a_list_of_the_five(user: Caller, account_id: str, source: str) -> None:
    for response in (user.recent(account_id, source=source), user.history(account_id, source=source)):
        assert response.status_code == 400
        assert faults(response) == {
            "source": ["Must be one of account_sync, holdings_sync, manual_sync, scheduled_sync, initial_connection."]
        }


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_can_be_requested(
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
        user.portfolio("2025-01-01", "2025-02-01", limit="1"),
        user.corrections(account_id, page="1"),
        user.get(
            f"/accounts/{account_id}/balance-history.csv", start_date="2025-01-01", end_date="2025-02-01", limit="1"
        ),
    ):
        assert response.status_code == 400
        assert len(faults(response)) == 1


@pytest.mark.parametrize(
    "query", ["limit=5&limit=5", "limit=5&limit=x&source=manual_sync", "limit=x&limit=5"], ids=lambda query: query
)
def test_a_repeated_parameter_is_refused(user: Caller, account_id: str, query: str) -> None:
    response = user.send("GET", f"/accounts/{account_id}/balance-snapshots?{query}")

    assert response.status_code == 400
    assert faults(response) == {"limit": ["Must be given only once."]}


def test_all_faults_of_a_query_are_reported_at_once(user: Caller, account_id: str) -> None:
    response = user.send("GET", f"/accounts/{account_id}/balance-snapshots?limit=0&source=x&page=2&q=1&q=2")

    assert set(faults(response)) == {"limit", "source", "page", "q"}


def test_a_query_that_is_sent_again_is_loaded_in_the_same_way(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=f"2025-01-0{day}T00:00:00Z") for day in (1, 2, 3)))

    responses = [user.recent(account_id, limit=limit) for limit in ("1", "2", "x", "1", "2", "x")]

    assert [response.status_code for response in responses] == [200, 200, 400] * 2
    assert [response.json.get("total_count") for response in responses] == [1, 2, None] * 2
