"""Liveness and readiness."""

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support.apps import serving
from tools.migrate import migrate


def test_a_migrated_database_makes_the_service_ready(anonymous: FlaskClient) -> None:
    response = anonymous.get("/readyz")

    assert (response.status_code, response.json) == (200, {"status": "ready"})


def test_a_database_that_is_not_migrated_does_not_make_the_service_ready(
    settings: Settings, empty_database_url: str
) -> None:
    with serving(replace(settings, database_url=empty_database_url)) as app:
        assert_not_ready(app)

        migrate(empty_database_url)
        assert app.test_client().get("/readyz").status_code == 200


def test_a_database_that_lacks_a_migration_does_not_make_the_service_ready(
    settings: Settings, migrated_database_url: str
) -> None:
    with serving(replace(settings, database_url=migrated_database_url)) as app:
        with app.extensions["pool"].connection() as connection:
            connection.execute("DELETE FROM schema_migrations")
        assert_not_ready(app)


def test_a_database_ahead_of_the_code_makes_the_service_ready(settings: Settings, migrated_database_url: str) -> None:
    with serving(replace(settings, database_url=migrated_database_url)) as app:
        with app.extensions["pool"].connection() as connection:
            connection.execute("INSERT INTO schema_migrations (version) VALUES ('99991231000000')")
        assert app.test_client().get("/readyz").status_code == 200


@pytest.mark.usefixtures("brief_wait")
def test_without_a_database_the_service_is_alive_but_not_ready(settings: Settings) -> None:
    with serving(replace(settings, database_url="postgresql://nobody@127.0.0.1:1/nowhere")) as app:
        assert_not_ready(app)
        response = app.test_client().get("/healthz")
        assert (response.status_code, response.json) == (200, {"status": "ok"})


def assert_not_ready(app: Flask) -> None:
    response = app.test_client().get("/readyz")
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert int(response.headers["Retry-After"]) >= 1
