"""Apps that run in the tests' own process."""

import contextlib
from collections.abc import Iterator

import pytest
from flask import Flask

from app import close_app, create_app
from config import Settings
from service import db
from tests.support import PATIENCE_SECONDS

# The algorithms that have a public key.
ASYMMETRIC = ("RS256", "ES256", "EdDSA")


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[Flask]:
    """Create an app with these settings, and close it afterwards."""
    app = create_app(settings)
    try:
        yield app
    finally:
        close_app(app)


@contextlib.contextmanager
def generous_database_timeouts() -> Iterator[None]:
    """Let requests wait for the database longer than in production, because a busy machine may delay it.

    tests/system/test_database_faults.py tests the timeouts of production.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "WAIT_SECONDS", PATIENCE_SECONDS)
        patch.setattr(db, "DEADLINE_SECONDS", PATIENCE_SECONDS)
        timeout = f"{PATIENCE_SECONDS}s"
        patch.setattr(db, "_SESSION", db._SESSION | {"statement_timeout": timeout, "lock_timeout": timeout})
        yield


@contextlib.contextmanager
def verifying(settings: Settings, algorithm: str, **key: str) -> Iterator[Flask]:
    """Create an app that verifies tokens with this algorithm and key."""
    environ = {"DATABASE_URL": settings.database_url, "JWT_ALGORITHM": algorithm, **key}
    with serving(Settings.from_env(environ)) as app:
        yield app
