"""The rate limit as the API page documents it (rules 17 and 18), and its place among the checks."""

import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask

from config import Settings
from snapshots import queries
from tests.support import Caller, Response, captured, correction, snapshot, user_token
from tests.support.apps import serving

LIMIT_HEADERS = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}


@pytest.fixture
def limited(settings: Settings) -> Iterator[Flask]:
    """An app that lets a user read three times an hour, so that nothing is refilled while a test runs."""
    with serving(replace(settings, api_read_limit="3/hour")) as app:
        yield app


@pytest.fixture
def reader(limited: Flask, user_id: str) -> Caller:
    return Caller(limited, user_token(user_id))


def remaining(response: Response) -> int:
    return int(response.headers["X-RateLimit-Remaining"])


def test_the_documented_limit_is_the_default() -> None:
    settings = Settings.from_env({"DATABASE_URL": "postgresql://", "JWT_SECRET_KEY": "x" * 32})

    assert settings.api_read_limit == "100/minute"


def test_all_reads_of_a_user_draw_on_one_limit(reader: Caller, account_id: str) -> None:
    responses = [reader.latest(), reader.history(account_id), reader.recent(account_id), reader.latest()]

    assert [response.status_code for response in responses] == [200, 404, 404, 429]
    assert [remaining(response) for response in responses] == [2, 1, 0, 0]


def test_a_refusal_is_a_problem_that_says_when_to_retry(reader: Caller) -> None:
    for _ in range(3):
        reader.latest()

    response = reader.latest()

    assert response.status_code == 429
    assert response.content_type == "application/problem+json"
    assert response.json["title"] == "Too Many Requests"
    assert 1 <= int(response.headers["Retry-After"]) <= 3600


@pytest.mark.parametrize(
    ("limit", "explained"),
    [
        ("2/minute", "The user's limit of 2 reads per minute, over all read endpoints together, is used up."),
        ("1 per 2 hours", "The user's limit of 1 read per 2 hours, over all read endpoints together, is used up."),
    ],
)
def test_a_refusal_names_the_limit_and_repeats_when_to_retry(
    settings: Settings, user_id: str, limit: str, explained: str
) -> None:
    with serving(replace(settings, api_read_limit=limit)) as app:
        reader = Caller(app, user_token(user_id))
        *_, response = [reader.latest() for _ in range(3)]

    seconds = int(response.headers["Retry-After"])
    assert response.json["detail"] == f"{explained} The next read is possible in {seconds:,} seconds."


def test_an_admitted_request_has_no_retry_after(reader: Caller) -> None:
    response = reader.latest()

    assert "Retry-After" not in response.headers
    assert response.headers["X-RateLimit-Limit"] == "3"
    assert time.time() < int(response.headers["X-RateLimit-Reset"]) <= time.time() + 3601


def test_the_errors_of_an_authenticated_read_state_the_limit(
    settings: Settings, sync_job: Caller, user_id: str, account_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError

    captured(sync_job, snapshot(str(uuid4()), account_id))
    with serving(replace(settings, api_read_limit="9/hour")) as app:
        reader = Caller(app, user_token(user_id))
        responses = [reader.latest(x="1"), reader.recent(account_id), reader.recent(str(uuid4()))]
        monkeypatch.setattr(queries, "get_latest_snapshots", fail)
        responses.append(reader.latest())

    assert [response.status_code for response in responses] == [400, 403, 404, 500]
    assert [remaining(response) for response in responses] == [8, 7, 6, 5]
    for response in responses:
        assert set(response.headers.keys()) >= LIMIT_HEADERS
        assert "Retry-After" not in response.headers


def test_users_do_not_share_a_limit(limited: Flask, reader: Caller) -> None:
    for _ in range(4):
        reader.latest()

    other = Caller(limited, user_token(str(uuid4())))

    assert other.latest().status_code == 200


def test_a_new_token_another_address_or_upper_case_does_not_make_a_new_user(
    limited: Flask, reader: Caller, user_id: str
) -> None:
    for _ in range(3):
        reader.latest()

    again = Caller(limited, user_token(user_id.upper()))
    response = again.send("GET", "/balance-snapshots", headers={"X-Forwarded-For": "192.0.2.7"})

    assert response.status_code == 429


def test_a_refused_token_does_not_count_against_the_limit_of_its_user(
    limited: Flask, reader: Caller, user_id: str
) -> None:
    for _ in range(5):
        response = Caller(limited, user_token(user_id) + "x").latest()
        assert response.status_code == 401
        assert not LIMIT_HEADERS & set(response.headers.keys())

    assert remaining(reader.latest()) == 2


def test_the_limit_is_checked_before_the_query(reader: Caller) -> None:
    for _ in range(3):
        reader.latest()

    assert reader.latest(unknown="1").status_code == 429


def test_captures_corrections_and_health_are_not_limited(limited: Flask, user_id: str) -> None:
    job = Caller(limited, user_token(user_id, scope="balance-snapshots:write balance-snapshots:correct"))

    for _ in range(5):
        item = snapshot(user_id, str(uuid4()))
        responses = [job.capture(item)]
        responses.append(job.correct(correction(item, responses[0].json["snapshots"][0]["id"], None)))
        assert [response.status_code for response in responses] == [201, 200]
        assert not any(LIMIT_HEADERS & set(response.headers.keys()) for response in responses)
        assert limited.test_client().get("/healthz").status_code == 200
    assert remaining(job.latest()) == 2
