"""Liveness (/healthz) and readiness (/readyz)."""

from pathlib import Path

from flask import Blueprint, Flask
from werkzeug.exceptions import ServiceUnavailable

from service import db
from service.auth import public
from service.connection import Connection

RETRY_AFTER_SECONDS = 5


def init_app(app: Flask, migrations: Path) -> None:
    """Add the probes.

    `migrations`: the folder of the migrations that this code needs, in files whose names begin with the version.
    """
    required_versions = {path.name.partition("_")[0] for path in migrations.glob("*.sql")}
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    @public
    def healthz() -> dict[str, str]:
        """Return 200 as long as the process responds."""
        return {"status": "ok"}

    @blueprint.get("/readyz")
    @public
    def readyz() -> dict[str, str]:
        """Return 200 if the primary is reachable and has every migration that this code needs, else 503."""
        if not required_versions <= db.read_primary(_applied_versions):
            raise ServiceUnavailable("The database lacks migrations.", retry_after=RETRY_AFTER_SECONDS)
        return {"status": "ready"}

    app.register_blueprint(blueprint)


def _applied_versions(connection: Connection) -> set[str]:
    return {version for (version,) in connection.execute("SELECT version FROM schema_migrations")}
