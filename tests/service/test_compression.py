"""Responses compressed by gzip, where no proxy in front compresses them."""

import gzip
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from config import Settings
from tests.support import Caller, Response, captured, snapshot, user_token
from tests.support.apps import serving
from tests.support.contract import docs_assets


@pytest.fixture
def many(sync_job: Caller, user_id: str) -> None:
    """Snapshots of so many accounts that the response is compressed."""
    captured(sync_job, *(snapshot(user_id, str(uuid4())) for _ in range(20)))


def latest(user: Caller, accepted: str | None, method: str = "GET") -> Response:
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    return user.send(method, "/balance-snapshots", headers=headers)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("accepted", ["gzip", "GZIP", "gzip, deflate, br", "gzip;q=0.5", "*", "br, *;q=0.1"])
def test_a_long_response_is_compressed_for_a_client_that_accepts_gzip(user: Caller, accepted: str) -> None:
    plain, packed = latest(user, None), latest(user, accepted)

    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 4


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("accepted", [None, "", "identity", "br", "gzip;q=0", "gzip;q=0, *", "identity, gzip;q=0.5"])
def test_a_response_is_plain_for_a_client_that_does_not_prefer_gzip(user: Caller, accepted: str | None) -> None:
    response = latest(user, accepted)

    assert "Content-Encoding" not in response.headers
    assert response.json["total_count"] == 20


@pytest.mark.usefixtures("many")
def test_head_has_the_headers_of_the_compressed_response(user: Caller) -> None:
    head, get = latest(user, "gzip", "HEAD"), latest(user, "gzip")

    assert head.data == b""
    for name in ("Content-Encoding", "Content-Length", "Vary"):
        assert head.headers[name] == get.headers[name]


def test_a_short_response_is_not_compressed(user: Caller) -> None:
    response = latest(user, "gzip")

    assert "Content-Encoding" not in response.headers
    assert response.headers["Vary"] == "Accept-Encoding"


def test_a_problem_varies_by_coding_too(user: Caller) -> None:
    assert user.latest(x="1").headers["Vary"] == "Accept-Encoding"


def test_the_csv_of_a_history_is_compressed(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    times = [f"2025-01-{day:02}T00:00:00Z" for day in range(1, 31)]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=at) for at in times))
    path, query = f"/accounts/{account_id}/balance-history.csv", {"start_date": "2025-01-01", "end_date": "2025-02-01"}

    response = user.send("GET", path, query_string=query, headers={"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(response.data).splitlines()) == 31


@pytest.mark.parametrize("path", ["swagger-ui.css", "/docs"])
def test_files_are_not_compressed_and_keep_their_etags(anonymous: FlaskClient, path: str) -> None:
    url = docs_assets(anonymous).get(path, path)
    response = anonymous.get(url, headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in response.headers
    assert "Vary" not in response.headers


@pytest.mark.usefixtures("many")
def test_the_service_does_not_compress_behind_the_proxy(settings: Settings, tmp_path: Path, user_id: str) -> None:
    with serving(replace(settings, socket=str(tmp_path / "service.sock"))) as app:
        response = latest(Caller(app, user_token(user_id)), "gzip")

    assert "Content-Encoding" not in response.headers
    assert "Vary" not in response.headers


@pytest.mark.usefixtures("many")
def test_a_response_varies_by_origin_and_by_coding(settings: Settings, user_id: str) -> None:
    with serving(replace(settings, cors_origins=("https://app.example.com",))) as app:
        response = latest(Caller(app, user_token(user_id)), "gzip")

    assert {word.strip() for word in response.headers["Vary"].split(",")} == {"Accept-Encoding", "Origin"}
