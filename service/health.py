"""Whether the process lives (/healthz) and whether it can serve (/readyz)."""

from functools import cache
from pathlib import Path

from flask import Blueprint
from werkzeug.exceptions import ServiceUnavailable

from service import db
from service.auth import public

MIGRATIONS = Path(__file__).parent.parent / "sql" / "migrations"
RETRY_AFTER_SECONDS = 5

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def healthz() -> dict[str, str]:
    """200 as long as the process answers at all."""
    return {"status": "ok"}


@blueprint.get("/readyz")
@public
def readyz() -> dict[str, str]:
    """200 when the database is reachable and has every migration that this code was written for; else a 503."""
    if not _required_versions() <= db.read(_applied_versions):
        raise ServiceUnavailable("The database is not migrated.", retry_after=RETRY_AFTER_SECONDS)
    return {"status": "ready"}


def _applied_versions(connection: db.Connection) -> frozenset[str]:
    return frozenset(version for (version,) in connection.execute("SELECT version FROM schema_migrations"))


@cache
def _required_versions() -> frozenset[str]:
    return frozenset(path.name.partition("_")[0] for path in MIGRATIONS.glob("*.sql"))
