"""The service on a streaming replica, before and after its promotion."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from config import Settings
from tests.support import Caller, captured, day, snapshot, until, user_token
from tests.support.apps import serving
from tests.support.clusters import new_cluster
from tests.support.postgres_server import PostgresServer, Standby
from tools import postgres
from tools.migrate import migrate


@pytest.fixture(scope="module")
def primary_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres.running(new_cluster(tmp_path_factory.mktemp("primary") / "postgres")) as url:
        migrate(url)
        yield url


@pytest.fixture
def replica_url(primary_url: str, tmp_path: Path) -> Iterator[str]:
    with postgres.replica(primary_url, tmp_path / "replica") as url:
        yield url


@pytest.fixture
def app(settings: Settings, replica_url: str) -> Iterator[Flask]:
    with serving(replace(settings, database_url=replica_url)) as app:
        yield app


@pytest.fixture
def primary_app(settings: Settings, primary_url: str) -> Iterator[Flask]:
    with serving(replace(settings, database_url=primary_url)) as app:
        yield app


def sync_job(app: Flask) -> Caller:
    return Caller(app, user_token("sync-job", scope="balance-snapshots:write"))


def test_a_replica_answers_reads_with_the_snapshots_captured_on_the_primary(app: Flask, primary_app: Flask) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    captured(sync_job(primary_app), snapshot(user_id, account_id))
    user = Caller(app, user_token(user_id))

    until(lambda: user.latest().json["total_count"] == 1)
    for response in (user.history(account_id), user.recent(account_id)):
        assert (response.status_code, response.json["total_count"]) == (200, 1)


def test_a_replica_answers_captures_with_503_and_retry_after(app: Flask) -> None:
    response = sync_job(app).capture(snapshot(str(uuid4()), str(uuid4())))

    assert response.status_code == 503, response.text
    assert response.content_type == "application/problem+json"
    assert int(response.headers["Retry-After"]) >= 1


def test_a_replica_is_ready(app: Flask) -> None:
    """It serves reads; if it were not ready, a load balancer would stop sending those too."""
    assert app.test_client().get("/readyz").status_code == 200


def test_a_replica_that_is_promoted_takes_captures_without_a_restart_of_the_service(
    app: Flask, replica_url: str
) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    assert sync_job(app).capture(snapshot(user_id, account_id)).status_code == 503

    with psycopg.connect(replica_url) as connection:
        assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    captured(sync_job(app), snapshot(user_id, account_id))
    assert Caller(app, user_token(user_id)).latest().json["total_count"] == 1


def test_captures_and_reads_continue_after_a_failover_if_both_variables_name_both_hosts(
    settings: Settings, tmp_path: Path
) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    old = PostgresServer(tmp_path / "old")
    new = Standby(tmp_path / "new", old.url)
    hosts = f"postgresql://snapshots@/postgres?host={old.host},{new.host}&target_session_attrs="
    settings = replace(settings, database_url=f"{hosts}read-write", read_database_url=f"{hosts}prefer-standby")
    try:
        with serving(settings) as app:
            captured(sync_job(app), snapshot(user_id, account_id, captured_at=day(1)))
            until(lambda: Caller(app, user_token(user_id)).latest().json["total_count"] == 1)

            old.kill()
            with psycopg.connect(new.url) as connection:
                assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

            captured(sync_job(app), snapshot(user_id, account_id, captured_at=day(2)))
            assert Caller(app, user_token(user_id)).recent(account_id).json["total_count"] == 2
            assert app.test_client().get("/readyz").status_code == 200
    finally:
        new.stop()
        old.stop()
