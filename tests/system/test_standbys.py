"""Reads from a real standby that lags, cancels queries, is stopped, frozen or promoted: no read fails."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from app import connect_app
from config import Settings
from service import db
from service.connection import Connection
from tests.support import PATIENCE_SECONDS, Caller, captured, correction, snapshot, until, usd, user_token
from tests.support.apps import serving
from tests.support.postgres_server import PostgresServer, Standby
from tests.support.printed_log import printing
from tests.support.standby_reads import is_read_from_standby, no_failed_reads, read_with, reading_from

STRONG = {"Prefer": "consistency=strong"}


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("primary"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def standby(primary: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    standby = Standby(tmp_path_factory.mktemp("standby"), primary.url)
    yield standby
    standby.stop()


@pytest.fixture
def app(settings: Settings, primary: PostgresServer, standby: Standby) -> Iterator[Flask]:
    with reading_from(settings, primary, standby.host) as app:
        yield app


def metric(app: Flask, name: str, **labels: str) -> float:
    text = app.test_client().get("/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    (value,) = [sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)]
    return float(value)


def sync_job(app: Flask) -> Caller:
    return Caller(app, user_token("sync-job", scope="balance-snapshots:write"))


def test_reads_are_answered_by_the_standby_and_captures_by_the_primary(app: Flask) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())

    captured(sync_job(app), snapshot(user_id, account_id))

    until(lambda: Caller(app, user_token(user_id)).latest().json["total_count"] == 1)
    assert is_read_from_standby(app)


def test_corrections_are_stored_on_the_primary(app: Flask) -> None:
    item = snapshot(str(uuid4()), str(uuid4()))
    (stored,) = captured(sync_job(app), item)
    corrector = Caller(app, user_token("support", scope="balance-snapshots:correct"))

    assert corrector.correct(correction(item, stored["id"], usd("1.00"))).status_code == 200


def test_a_caller_that_prefers_strong_consistency_reads_its_own_capture_from_a_standby_that_lags(
    app: Flask, standby: Standby
) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    user = Caller(app, user_token(user_id))
    with standby.lagging():
        captured(sync_job(app), snapshot(user_id, account_id))

        # A busy machine may delay the standby, and then the primary answers.
        until(lambda: user.latest().json["total_count"] == 0)
        assert user.send("GET", "/balance-snapshots", headers=STRONG).json["total_count"] == 1


def test_an_account_that_a_lagging_standby_does_not_have_yet_is_found(app: Flask, standby: Standby) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    user = Caller(app, user_token(user_id))
    with standby.lagging():
        captured(sync_job(app), snapshot(user_id, account_id))

        for response in (user.history(account_id), user.recent(account_id), user.corrections(account_id)):
            assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("value", "is_strong"),
    [
        ("consistency=strong", True),
        ('return=minimal, Consistency="strong"; of=reads', True),
        ("consistency=eventual", False),
        ("strong", False),
        (",;=", False),
    ],
)
def test_a_preference_is_parsed_as_rfc_7240_defines_it(app: Flask, value: str, is_strong: bool) -> None:
    until(lambda: is_read_from_standby(app, Prefer=value) is not is_strong)


def test_a_read_takes_one_statement_of_one_server(
    settings: Settings, primary: PostgresServer, standby: Standby
) -> None:
    logged = {server: server.log().count("-- get_latest_snapshots") for server in (primary, standby)}
    with reading_from(settings, primary, standby.host, options="-c log_statement=all") as app:
        Caller(app, user_token(str(uuid4()))).latest()

    assert standby.log().count("-- get_latest_snapshots") == logged[standby] + 1
    assert primary.log().count("-- get_latest_snapshots") == logged[primary]


def test_the_log_names_the_host_of_the_standby_that_answered(app: Flask, standby: Standby) -> None:
    user = Caller(app, user_token(str(uuid4())))
    with printing() as output:
        user.send("GET", "/balance-snapshots", headers=STRONG)
        until(lambda: user.latest().status_code == 200 and "standby" in output.lines[-1])

    assert "standby" not in output.lines[0]
    assert output.lines[-1]["standby"] == standby.host


def test_a_worker_starts_and_is_ready_without_waiting_for_a_standby(
    settings: Settings, primary: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "CONNECT_SECONDS", PATIENCE_SECONDS)
    nowhere = "postgresql://snapshots@/postgres?host=/nowhere"
    with serving(replace(settings, database_url=primary.url, read_database_url=nowhere)) as app:
        started_at = time.monotonic()
        connect_app(app)

        assert time.monotonic() - started_at < db.CONNECT_SECONDS
        assert app.test_client().get("/readyz").status_code == 200


def test_without_its_primary_the_service_is_not_ready_and_answers_reads(settings: Settings, standby: Standby) -> None:
    nowhere = "postgresql://snapshots@/postgres?host=/nowhere"
    with serving(replace(settings, database_url=nowhere, read_database_url=standby.url)) as app:
        until(lambda: Caller(app, user_token(str(uuid4()))).latest().status_code == 200)

        assert app.test_client().get("/readyz").status_code == 503


def test_no_read_fails_while_a_standby_is_down_and_reads_return_to_it(app: Flask, standby: Standby) -> None:
    with no_failed_reads(app):
        time.sleep(0.3)
        standby.kill()
        try:
            time.sleep(1.5)
            assert not is_read_from_standby(app)
            assert app.test_client().get("/readyz").status_code == 200
        finally:
            standby.start()
        until(lambda: is_read_from_standby(app))


def test_no_read_fails_while_a_standby_is_frozen_and_reads_return_to_it(
    app: Flask, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half of the deadline is left for the primary, which is enough on a busy machine.
    monkeypatch.setattr(db, "DEADLINE_SECONDS", 6)
    with no_failed_reads(app):
        time.sleep(0.3)
        with standby.frozen():
            time.sleep(db.DEADLINE_SECONDS)
            started_at = time.monotonic()
            assert not is_read_from_standby(app)
            assert time.monotonic() - started_at < db.DEADLINE_SECONDS / 2
        until(lambda: is_read_from_standby(app))


def test_a_read_that_queued_too_long_does_not_make_a_standby_look_frozen(
    settings: Settings, primary: PostgresServer, standby: Standby
) -> None:
    long_ago = {"X-Request-Start": f"{time.time() - db.DEADLINE_SECONDS - 0.1:.3f}"}
    with reading_from(replace(settings, socket="behind-a-proxy"), primary, standby.host) as app:
        user = Caller(app, user_token(str(uuid4())))

        assert user.send("GET", "/balance-snapshots", headers=long_ago).status_code == 503
        assert is_read_from_standby(app)


def test_no_read_fails_or_becomes_stale_once_a_standby_is_promoted(
    settings: Settings, primary: PostgresServer, tmp_path: Path
) -> None:
    standby = Standby(tmp_path, primary.url)
    user_id, account_id = str(uuid4()), str(uuid4())
    try:
        with reading_from(settings, primary, standby.host) as app:
            with no_failed_reads(app):
                time.sleep(0.3)
                with psycopg.connect(standby.url) as connection:
                    assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
                captured(sync_job(app), snapshot(user_id, account_id))
                time.sleep(0.3)
            assert Caller(app, user_token(user_id)).latest().json["total_count"] == 1
    finally:
        standby.stop()


def test_a_read_that_the_standby_cancels_for_a_conflict_with_recovery_is_answered_by_the_primary(
    app: Flask, primary: PostgresServer, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The conflict must come before the timeouts.
    monkeypatch.setattr(db, "DEADLINE_SECONDS", 4 * PATIENCE_SECONDS)
    user_id, account_id = str(uuid4()), str(uuid4())
    captured(sync_job(app), snapshot(user_id, account_id))
    until(lambda: Caller(app, user_token(user_id)).latest().json["total_count"] == 1)

    def slow_on_standby(connection: Connection) -> Any:
        connection.execute("SET statement_timeout = 0")
        return connection.execute(
            "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_sleep(300) END::text, count(*)"
            " FROM balance_snapshots"
        ).fetchone()

    with standby.impatient(), ThreadPoolExecutor(1) as threads:
        reader = threads.submit(read_with, app, slow_on_standby)
        with psycopg.connect(standby.url, autocommit=True) as observer:
            until(lambda: observer.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'").rowcount == 1)
        with psycopg.connect(primary.url, autocommit=True) as owner:
            owner.execute("DELETE FROM balance_snapshots WHERE user_id = %s", [user_id])
            owner.execute("VACUUM balance_snapshots")
        result = reader.result(PATIENCE_SECONDS)

    assert result[0] is False
    assert "canceling statement due to conflict with recovery" in standby.log()


def test_reads_continue_from_the_remaining_standby(
    settings: Settings, primary: PostgresServer, standby: Standby
) -> None:
    hosts = f"/nowhere,{standby.host}"
    with reading_from(settings, primary, hosts, load_balance_hosts="random") as app, no_failed_reads(app):
        time.sleep(0.5)
        until(lambda: is_read_from_standby(app))


def test_the_primary_answers_if_it_is_named_in_place_of_a_standby(settings: Settings, primary: PostgresServer) -> None:
    url = f"{primary.url}&target_session_attrs=prefer-standby"
    with serving(replace(settings, database_url=primary.url, read_database_url=url)) as app, no_failed_reads(app):
        time.sleep(0.3)
        assert not is_read_from_standby(app)


def test_the_lag_of_a_standby_is_shown_until_it_has_caught_up(app: Flask, standby: Standby) -> None:
    def lag() -> tuple[float, float]:
        return metric(app, "db_standby_lag_bytes"), metric(app, "db_standby_lag_seconds")

    until(lambda: lag() == (0, 0))
    with standby.lagging():
        captured(sync_job(app), snapshot(str(uuid4()), str(uuid4())))
        until(lambda: lag()[0] > 0 and lag()[1] >= 2)
    until(lambda: lag() == (0, 0))


def test_a_standby_is_shown_as_lost_until_it_is_back(app: Flask, standby: Standby) -> None:
    assert metric(app, "db_standbys_lost") == 0
    standby.stop()
    try:
        until(lambda: metric(app, "db_standbys_lost") == 1)
    finally:
        standby.start()
    until(lambda: metric(app, "db_standbys_lost") == 0)


def test_reads_are_counted_by_the_database_that_answers(app: Flask) -> None:
    user = Caller(app, user_token(str(uuid4())))

    def counts() -> list[float]:
        return [metric(app, "db_reads_total", database=database) for database in ("standby", "primary")]

    before = counts()
    user.latest()
    user.send("GET", "/balance-snapshots", headers=STRONG)

    assert counts() == [n + 1 for n in before]
