"""The metrics of GET /metrics; tests/system has tests of the alerts and the dashboard that use them."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from config import Settings
from service.auth import public
from tests.support import Caller, captured, correction, snapshot, until, usd, user_token
from tests.support.apps import serving


def samples(client: FlaskClient, name: str = "") -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples whose names begin with this one; parsing all of them takes a tenth of a second."""
    lines = client.get("/metrics").text.splitlines(keepends=True)
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families("".join(line for line in lines if line.startswith(name)))
        for s in family.samples
    }


def count(client: FlaskClient, name: str, **labels: str) -> float:
    return samples(client, name).get((name, tuple(sorted(labels.items()))), 0)


def test_requests_are_timed_by_route_template_and_status(anonymous: FlaskClient, user: Caller) -> None:
    route = "/api/v1/accounts/<account_id>/balance-snapshots"
    labels = {"method": "GET", "route": route, "status": "404"}
    before = count(anonymous, "http_request_duration_seconds_count", **labels)

    for _ in range(3):
        user.recent(str(uuid4()))

    assert count(anonymous, "http_request_duration_seconds_count", **labels) == before + 3


def test_requests_without_a_route_add_no_series_once_one_was_counted(anonymous: FlaskClient) -> None:
    def series() -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        return {key for key in samples(anonymous) if dict(key[1]).get("route", "none") == "none"}

    anonymous.get(f"/{uuid4()}")
    anonymous.open("/healthz", method="BREW")
    before = series()

    for _ in range(3):
        anonymous.get(f"/{uuid4()}")
        anonymous.open("/healthz", method=f"M{uuid4().hex}")

    assert series() == before


def test_captures_and_duplicates_are_counted(anonymous: FlaskClient, sync_job: Caller, user_id: str) -> None:
    def both() -> tuple[float, float]:
        name = "snapshots_captured_total"
        return count(anonymous, name, status="created"), count(anonymous, name, status="duplicate")

    created, duplicate = both()
    items = [snapshot(user_id, str(uuid4())) for _ in range(2)]
    captured(sync_job, *items)
    captured(sync_job, *items, snapshot(user_id, str(uuid4())))

    assert both() == (created + 3, duplicate + 2)


def test_corrections_withdrawals_and_duplicates_are_counted(
    anonymous: FlaskClient, sync_job: Caller, corrector: Caller, user_id: str
) -> None:
    def counts() -> list[float]:
        return [count(anonymous, "corrections_total", status=s) for s in ("corrected", "withdrawn", "duplicate")]

    items = [snapshot(user_id, str(uuid4())) for _ in range(3)]
    ids = [each["id"] for each in captured(sync_job, *items)]
    before = counts()
    batch = [correction(item, ids[n], usd("1.00") if n else None) for n, item in enumerate(items)]
    assert corrector.correct(*batch, batch[0]).status_code == 200
    assert corrector.correct(batch[0] | {"replacement": usd("7.00")}, batch[1]).status_code == 409

    assert [now - then for now, then in zip(counts(), before, strict=True)] == [2, 1, 1]


def test_the_limiters_decisions_are_counted(anonymous: FlaskClient, settings: Settings, user_id: str) -> None:
    def both() -> list[float]:
        return [count(anonymous, "limiter_decisions_total", decision=d) for d in ("admitted", "refused")]

    before = both()
    with serving(replace(settings, api_read_limit="2/hour")) as app:
        user = Caller(app, user_token(user_id))
        assert [user.latest().status_code for _ in range(3)] == [200, 200, 429]

    assert [now - then for now, then in zip(both(), before, strict=True)] == [2, 1]


def test_connections_are_counted_while_requests_hold_them(
    app: Flask, anonymous: FlaskClient, database_url: str, user_id: str
) -> None:
    with ThreadPoolExecutor(1) as caller, psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE accounts, balance_snapshots IN ACCESS EXCLUSIVE MODE")
        caller.submit(Caller(app, user_token(user_id)).latest)
        until(lambda: count(anonymous, "db_connections_in_use") == 1)
        other.rollback()
    assert count(anonymous, "db_connections_in_use") == 0


@pytest.fixture
def behind_proxy(settings: Settings, tmp_path: Path) -> Iterator[FlaskClient]:
    with serving(replace(settings, socket=str(tmp_path / "service.sock"))) as app:
        yield app.test_client()


def request_seconds(client: FlaskClient, **headers: str) -> tuple[float, float, float]:
    """Send a request; return what it added to its duration, to the time in the queue, and to the queued requests."""
    route = {"method": "GET", "route": "/healthz", "status": "200"}

    def measured() -> list[float]:
        return [
            count(client, "http_request_duration_seconds_sum", **route),
            count(client, "http_request_queue_seconds_sum"),
            count(client, "http_request_queue_seconds_count"),
        ]

    before = measured()
    client.get("/healthz", headers={name.replace("_", "-"): value for name, value in headers.items()})
    duration, queue, queued = (now - then for now, then in zip(measured(), before, strict=True))
    return duration, queue, queued


def test_time_in_the_queue_behind_the_proxy_counts_as_queueing_and_as_duration(behind_proxy: FlaskClient) -> None:
    duration, queue, queued = request_seconds(behind_proxy, X_Request_Start=f"{time.time() - 20:.3f}")

    assert 20 <= queue < 30
    assert queue <= duration < 30
    assert queued == 1


@pytest.mark.parametrize("header", ["", "soon", "nan", "inf", "-inf", "0", "9999999999.000"])
def test_an_impossible_time_of_arrival_is_ignored(behind_proxy: FlaskClient, header: str) -> None:
    duration, _, queued = request_seconds(behind_proxy, X_Request_Start=header)

    assert 0 <= duration < 10
    assert queued == 0


def test_the_time_of_arrival_is_ignored_without_a_proxy(anonymous: FlaskClient) -> None:
    duration, _, queued = request_seconds(anonymous, X_Request_Start=f"{time.time() - 20:.3f}")

    assert duration < 10
    assert queued == 0


def test_requests_in_flight_are_counted_while_they_run(
    app: Flask, anonymous: FlaskClient, database_url: str, user_id: str
) -> None:
    def in_flight() -> float:
        """Return the requests in flight, without the scrape itself."""
        return count(anonymous, "http_requests_in_flight") - 1

    assert in_flight() == 0
    with ThreadPoolExecutor(2) as callers, psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE accounts, balance_snapshots IN ACCESS EXCLUSIVE MODE")
        for _ in range(2):
            callers.submit(Caller(app, user_token(user_id)).latest)
        until(lambda: in_flight() == 2)
        other.rollback()
    assert in_flight() == 0


def test_a_request_that_fails_is_no_longer_in_flight(settings: Settings) -> None:
    with serving(settings) as app:

        @app.get("/raise")
        @public
        def _raise() -> str:
            raise RuntimeError

        client = app.test_client()

        assert client.get("/raise").status_code == 500
        # The scrape itself is in flight.
        assert count(client, "http_requests_in_flight") == 1


def test_threads_are_those_of_the_settings(settings: Settings) -> None:
    with serving(replace(settings, web_threads=7)) as app:
        assert count(app.test_client(), "http_threads") == 7
